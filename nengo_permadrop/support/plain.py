"""What is computed, as JSON and tables can hold it."""

import json
import math

_REASONS = {"nan": "not a number (NaN)", "inf": "infinite", "-inf": "minus infinite"}


def plain(data):
    """
    Data as JSON can hold it.

    Parameters
    ----------
    data : object
        Dictionaries, lists and tuples of text, numbers and None; NumPy's numbers and
        arrays too.

    Returns
    -------
    data : object
        With plain numbers, and None for those that aren't finite, which JSON has no
        word for (see `not_finite`).
    """
    if hasattr(data, "tolist"):  # NumPy's
        data = data.tolist()
    if isinstance(data, dict):
        return {str(key): plain(each) for key, each in data.items()}
    if isinstance(data, (list, tuple)):
        return [plain(each) for each in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def not_finite(data):
    """
    Where `plain` puts None for a number that isn't finite.

    Parameters
    ----------
    data : object
        As `plain` takes it.

    Returns
    -------
    found : {str: str}
        What was there, by place, such as ``{"tests.spiking.0": "infinite"}``.
    """
    return dict(_places(data))


def _places(data, place=()):
    if hasattr(data, "tolist"):
        data = data.tolist()
    if isinstance(data, dict):
        for key, each in data.items():
            yield from _places(each, (*place, key))
    elif isinstance(data, (list, tuple)):
        for i, each in enumerate(data):
            yield from _places(each, (*place, i))
    elif isinstance(data, float) and not math.isfinite(data):
        yield ".".join(map(str, place)), _REASONS[str(data)]


def to_json(data, indent=2):
    """Data as a JSON document; see `plain`."""
    return json.dumps(plain(data), indent=indent, allow_nan=False)


def printable(text):
    """
    Text without characters that can't be shown or written.

    Parameters
    ----------
    text : str
        A name, which may come from anywhere.

    Returns
    -------
    text : str
        In one line. Control characters, breaks of lines and halves of characters
        (surrogates) are written as Python writes them, such as ``\\n``.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def shortened(text, length=40):
    """Text with its middle left out where it is longer than ``length`` characters."""
    if len(text) <= length:
        return text
    half = (length - 1) // 2
    return f"{text[: length - 1 - half]}…{text[-half:]}"


def table_row(cells):
    """
    A row of a tab-separated table.

    Parameters
    ----------
    cells : iterable of str

    Returns
    -------
    line : str
        With its line feed. A cell with a tab, a break of lines or a quote in it is
        quoted, as spreadsheets and pandas read it. NUL and halves of characters, which
        no table can hold, are written as Python writes them.
    """
    return "\t".join(map(_cell, cells)) + "\n"


def _cell(text):
    text = "".join(
        (
            char.encode("unicode_escape").decode("ascii")
            if char == "\0" or "\ud800" <= char <= "\udfff"
            else char
        )
        for char in text
    )
    if any(char in text for char in '\t\n\r"'):
        text = text.replace('"', '""')
        return f'"{text}"'
    return text
