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
    A context that Ctrl-C ends with ``KeyboardInterrupt``, whatever comes of the first.

    A network that is being trained spends much of its time in callbacks from C. There
    a ``KeyboardInterrupt`` may be

    - ignored, as in ``__del__``, and only told to `sys.unraisablehook`: it is raised
      once more;
    - made another error, such as ``SystemError``: ``KeyboardInterrupt`` is raised from
      it;
    - caught, by a bare ``except``: it is raised at the end of the context, as what was
      interrupted without knowing can't be relied on.

    Where Ctrl-C is ignored, as under ``nohup``, it stays so. In another thread than the
    main one, which signals go to, the context does nothing: what it sets is the
    process's.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = threading.Event()
    hook = sys.unraisablehook

    def unraisable(args):
        if isinstance(args.exc_value, KeyboardInterrupt):
            # from a thread, a little later: raised here it would be swallowed again
            threading.Timer(DELAY, _interrupt).start()
        else:
            hook(args)

    sys.unraisablehook = unraisable
    try:
        with _noted(came):
            yield
        error = None
    except Exception as caught:
        if not came.is_set():
            raise
        error = caught
    finally:
        sys.unraisablehook = hook
    if came.is_set():
        raise KeyboardInterrupt from error


@contextlib.contextmanager
def _noted(came):
    """A context in which Ctrl-C also sets an event."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):
        yield
        return

    def noting(number, frame):
        came.set()
        handler(number, frame)

    signal.signal(signal.SIGINT, noting)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _interrupt():
    if hasattr(signal, "pthread_kill"):  # also ends what the main thread waits for
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        _thread.interrupt_main()
