"""Errors as the command shows them."""

from nengo.exceptions import NengoException, ValidationError

# What users can fix; everything else is a defect of the program
EXPECTED = (NengoException, ImportError, OSError, ValueError)


# arguments of functions that are no option, where the text says it all
_PLAIN = ("path", "data", "model", "options", "y", "X", "output", "target")


def one_line(error, parser=None):
    """
    An error in one line: what happened and, if it can be fixed, how.

    Parameters
    ----------
    error : Exception
    parser : `argparse.ArgumentParser`, optional
        Of the command, whose options are named as they are typed.

    Returns
    -------
    line : str
    """
    text = " ".join(_said(error, parser).split())
    if isinstance(error, EXPECTED) and text:
        return text
    return (
        f"{type(error).__name__}: {text} (this is a defect of the program; --debug "
        "shows where)"
    )


def _said(error, parser):
    """What an error says; one of the file system names the file first."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    text = str(error)
    attr = getattr(error, "attr", None)
    if not isinstance(error, ValidationError) or not text.startswith(f"{attr}: "):
        return text
    text = text[len(attr) + 2 :]
    option = _option(attr, parser)
    if option is None and attr not in _PLAIN:
        return f"{attr}: {text}"
    return text if option is None else f"{option}: {text}"


def _option(attr, parser):
    """The option that sets an argument, as it is typed; None for other things."""
    for action in () if parser is None else parser._actions:
        if action.dest == attr:
            long = [text for text in action.option_strings if text.startswith("--")]
            return long[0] if long else None
    return None
