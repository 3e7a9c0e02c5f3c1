"""What was run, on what, and how long it took."""

import contextlib
import datetime
import os
import platform
import shlex
import sys
import time

from nengo_permadrop.version import version

PACKAGES = ("nengo", "keras", "tensorflow", "jax", "torch", "numpy", "scipy")


def versions():
    """Versions of Python, of this package and of those in use, {str: str}."""
    found = {"python": platform.python_version(), "nengo-permadrop": version}
    for name in PACKAGES:  # the modules, as distributions go by several names
        if name in sys.modules:
            found[name] = sys.modules[name].__version__
    return found


def command():
    """The command line of this process, or the name of the script that it runs."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    folder = os.path.basename(os.path.dirname(sys.argv[0])) if sys.argv else ""
    if name.startswith("nengo-permadrop") or (name, folder) == (
        "__main__.py",
        "nengo_permadrop",
    ):
        return shlex.join(["nengo-permadrop", *sys.argv[1:]])
    return f"from Python ({name})" if name else "from Python"


def now():
    """Date and time, with the time zone, to the second."""
    return datetime.datetime.now().astimezone().isoformat(" ", timespec="seconds")


class Steps:
    """
    Times the steps of a long computation, and tells of them on standard error.

    Parameters
    ----------
    progress : bool
        Whether to tell.

    Attributes
    ----------
    times : {str: float}
        Seconds that each step took.
    """

    def __init__(self, progress):
        self.progress = progress
        self.times = {}

    @contextlib.contextmanager
    def __call__(self, name, words):
        """A context for the step ``name``, told as ``words``."""
        if self.progress:
            print(f"{words} ...", file=sys.stderr, flush=True)
        start = time.perf_counter()
        yield
        self.times[name] = time.perf_counter() - start
