"""What commands print: text for people, JSON for machines."""

import contextlib
import os
import sys

from nengo_permadrop.support.plain import to_json

BROKEN_PIPE = 141  # as of a program that SIGPIPE ends


def show(args, data, text):
    """
    Print the result of a command on standard output, the only place that it goes to.

    Parameters
    ----------
    args : `argparse.Namespace`
        Of a command that `.add_command` made, so with the option ``--json``.
    data : dict or list
        What is printed with ``--json``, as one JSON document; NumPy's numbers and
        arrays are made plain, numbers that aren't finite become null.
    text : str
        What is printed without.
    """
    write(to_json(data) if args.json else text)


@contextlib.contextmanager
def silenced():
    """
    Nothing on standard error, not even from other programs that are started here.

    Exceptions come through as ever.
    """
    try:
        number = sys.stderr.fileno()
    except (AttributeError, OSError):  # something else stands in for it
        yield
        return
    sys.stderr.flush()
    kept = os.dup(number)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), number)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, number)
        os.close(kept)


def write(text):
    """
    Print text on standard output, at once.

    Raises
    ------
    SystemExit
        With code `BROKEN_PIPE` if nobody reads any more (``| head``).
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # or Python would try once more, and complain, when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(BROKEN_PIPE) from None
