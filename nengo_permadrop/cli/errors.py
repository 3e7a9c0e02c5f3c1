"""Errors as the command shows them."""

from nengo.exceptions import NengoException

# What users can fix; everything else is a defect of the program
EXPECTED = (NengoException, ImportError, OSError, ValueError)


def one_line(error):
    """An error in one line: what happened and, if it can be fixed, how."""
    text = " ".join(str(error).split())
    if isinstance(error, EXPECTED) and text:
        return text
    return (
        f"{type(error).__name__}: {text} (this is a defect of the program; --debug "
        "shows where)"
    )
