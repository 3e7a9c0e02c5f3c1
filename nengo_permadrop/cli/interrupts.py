"""Ctrl-C that isn't lost."""

import _thread
import contextlib
import signal
import sys
import threading

DELAY = 0.05  # seconds


@contextlib.contextmanager
def insistent():
    """
    A context in which a ``KeyboardInterrupt`` that was swallowed is raised once more.

    Python ignores exceptions in ``__del__`` and in callbacks from C, where a network
    that is being trained spends much of its time, and only tells `sys.unraisablehook`.
    """
    before = sys.unraisablehook

    def hook(unraisable):
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            # from a thread, a little later: raised here it would be swallowed again
            threading.Timer(DELAY, _interrupt).start()
        else:
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _interrupt():
    if hasattr(signal, "pthread_kill"):  # also ends what the main thread waits for
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        _thread.interrupt_main()
