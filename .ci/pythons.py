"""
The Pythons of this machine, and the newest of them.

Prints the path of the newest that the package is for, and says on standard error which
it is; fails if it is older than ``--least``.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 14)

# A name on the path proves nothing: those of pyenv are there for versions that aren't
# chosen, too, and fail. Packages of Debian may lack ensurepip, so no venv can be made
ASK = """
import ensurepip, json, sys, sysconfig, venv
threads = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
usable = sys.version_info.releaselevel == "final" and not threads
print(json.dumps([usable, sys.version_info[:3], sys.executable]))
"""


def candidates():
    """Paths where Pythons may be: on the path, and among pyenv's versions."""
    for minor in range(OLDEST[1], NEWEST[1] + 1):
        if path := shutil.which(f"python3.{minor}"):
            yield path
    yield sys.executable
    if pyenv := shutil.which("pyenv"):
        done = subprocess.run([pyenv, "root"], capture_output=True, text=True)
        if done.returncode == 0:
            yield from sorted(
                map(str, Path(done.stdout.strip()).glob("versions/3.*/bin/python"))
            )


def version_of(path):
    """Version and real path of a Python that runs and can be used, else None."""
    try:
        done = subprocess.run(
            [path, "-I", "-c", ASK], capture_output=True, text=True, timeout=60
        )
        usable, version, real = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return (tuple(version), real) if usable else None


def pythons():
    """
    The newest Python of each minor version.

    Returns
    -------
    found : {(int, int): (version, path)}
        From the oldest to the newest; version is a tuple of three ints.
    """
    found = {}
    for path in dict.fromkeys(candidates()):
        answer = version_of(path)
        if answer is None or not OLDEST <= answer[0][:2] <= NEWEST:
            continue
        minor = answer[0][:2]
        found[minor] = max(found.get(minor, answer), answer)
    return dict(sorted(found.items()))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--least", default="3.12", help="the oldest that will do")
    options = parser.parse_args(arguments)
    least = tuple(map(int, options.least.split(".")))
    found = pythons()
    words = ", ".join(".".join(map(str, version)) for version, _ in found.values())
    newest = max(found, default=(0, 0))
    if newest < least:
        sys.exit(f"no Python {options.least} or later that runs here; found {words}")
    version, path = found[newest]
    print(
        f"Pythons that run here: {words}; the newest is {'.'.join(map(str, version))}",
        file=sys.stderr,
    )
    print(path)


if __name__ == "__main__":
    main()
