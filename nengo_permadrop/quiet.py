"""Ignoring warnings without disturbing what other threads do with theirs."""

import contextlib
import threading
import warnings

_lock = threading.RLock()


@contextlib.contextmanager
def ignoring(message):
    """
    Ignore warnings in a short piece of work.

    Filters of warnings are those of the process: of two threads that change them at the
    same time, the first to end puts back its filters in the middle of the other's work,
    and the last leaves what the first had changed. Here one waits for the other.

    Parameters
    ----------
    message : str
        Regular expression for the beginning of the warnings' text.
    """
    with _lock, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message)
        yield
