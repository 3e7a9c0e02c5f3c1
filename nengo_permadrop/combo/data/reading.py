"""Reading tables of features, and saying where they are not as they should be."""

import contextlib
import csv
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nengo_permadrop.support.errors import DamagedFileError

# what CANDLE's files have where a value is missing, and what pandas takes for it
MISSING = (
    *("na", "-", ""),
    *("NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A"),
)

# rows that are parsed at a time: wide tables would take a multiple of their size
_CHUNK = 500


# characters of a name: arrays of text take the longest for each
_MAX_NAME = 1000
_MAX_HEADER = 2**26  # bytes
_REPAIR = "repair or delete it, or copy the file again"

# what no line of a table holds; pandas ends a number or a line at some of them
_CONTROL = bytes(code for code in range(32) if chr(code) not in "\t\r\n")


class DataFileError(DamagedFileError):
    """
    A data file isn't as it should be; the message names file, line and column.

    Parameters
    ----------
    path : str or path-like
    found, fix : str
        As of `.DamagedFileError`.
    line : int, optional
        From 1.
    column : str, optional

    Attributes
    ----------
    path : str
    line : int or None
    column : str or None
    """

    def __init__(self, path, found, fix="check the file", line=None, column=None):
        where = str(path)
        if line is not None:
            where += f", line {line}"
        if column is not None:
            where += f", column {column!r}"
        super().__init__(where, found, fix)
        self.path, self.line, self.column = str(path), line, column


@contextlib.contextmanager
def reading(path):
    """
    Turn what is raised while a table is read into a `DataFileError` with its name.

    Parameters
    ----------
    path : str or path-like
    """
    try:
        yield
    except (DataFileError, MemoryError, OSError):
        raise
    except Exception as error:  # pandas raises almost anything for a damaged file
        found = f"can't be read ({type(error).__name__}: {str(error)[:200]})"
        raise DataFileError(path, found, "copy the file again") from error


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """
    Features of cells or of drugs, as a file holds them.

    Attributes
    ----------
    ids : (n_rows,) ndarray of str
        Names of the cells or drugs, each different.
    columns : (n_columns,) ndarray of str
        Names of the features, each different.
    values : (n_rows, n_columns) ndarray of float32
        NaN where a value is missing.
    path : str
        Where they are from, for messages.
    """

    ids: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    path: str

    def __len__(self):
        return len(self.ids)

    def renamed(self, ids):
        """
        The same table with other ids.

        Parameters
        ----------
        ids : sequence of str

        Returns
        -------
        table : `FeatureTable`

        Raises
        ------
        `DataFileError`
            If two ids are the same.
        """
        ids = np.array(ids, dtype=str)
        check_unique(self.path, ids, "the id", "are the same in two rows")
        return FeatureTable(ids, self.columns, self.values, self.path)

    def take(self, rows):
        """The `FeatureTable` of some rows (a slice or an array of row numbers)."""
        return FeatureTable(self.ids[rows], self.columns, self.values[rows], self.path)


def read_features(path, id_column, keep=None):
    """
    Read a tab-separated table of numbers with one column of names.

    Rows that aren't kept take no memory.

    Parameters
    ----------
    path : str or path-like
    id_column : str
        The column of names, such as "NAME".
    keep : callable, optional
        Takes names, an ndarray of str, and says which rows to keep, an ndarray of bool.

    Returns
    -------
    table : `FeatureTable`
        Perhaps without rows.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    `DataFileError`
        If a column is missing or twice there, a line has too few or too many values, a
        name is missing or there twice, or a value isn't a finite number.
    """
    path = existing(path)
    names = header(path, "\t", (id_column,))
    features = [name for name in names if name != id_column]
    check_lines(path, "\t", len(names))
    ids, values, n_rows = [], [], 0
    with reading(path):
        try:
            for found, chunk in _chunks(path, names, id_column):
                n_rows += len(found)
                rows = slice(None) if keep is None else keep(found)
                ids.append(found[rows])
                values.append(chunk[rows])
        except DataFileError:
            raise
        except ValueError:
            _raise_bad_value(path, names, id_column)
            raise
        if n_rows == 0 or not features:
            raise DataFileError(path, "has no rows or no values")
        table = FeatureTable(
            np.concatenate(ids), np.array(features), np.concatenate(values), str(path)
        )
        if np.isinf(table.values).any():
            _raise_bad_value(path, names, id_column)
    return table.renamed(table.ids)


def _chunks(path, names, id_column):
    """Yield names, ndarray of str, and values, float32, of some rows at a time."""
    import pandas as pd

    features = [name for name in names if name != id_column]
    with pd.read_csv(
        path,
        sep="\t",
        names=names,
        skiprows=1,
        na_values={**dict.fromkeys(features, MISSING), id_column: [""]},
        keep_default_na=False,
        dtype={id_column: str, **dict.fromkeys(features, np.float32)},
        chunksize=_CHUNK,
    ) as chunks:
        for chunk in chunks:
            found = chunk.pop(id_column)
            if found.isna().any():
                line = found.index[found.isna()][0] + 2
                fix = "give it one, or delete the line"
                raise DataFileError(path, "has no name", fix, line, id_column)
            check_lengths(path, found)
            yield found.to_numpy(dtype=str), chunk.to_numpy(dtype=np.float32)


def existing(path):
    """The Path of a file, if there is one; FileNotFoundError says how to fix it."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; put CANDLE's file there, or write files in its "
            "format with 'nengo-permadrop combo-data'"
        )
    return path


def header(path, separator, needed):
    """
    Names of the columns of a file.

    Parameters
    ----------
    path : str or path-like
    separator : str
    needed : sequence of str
        Columns that must be there.

    Returns
    -------
    names : list of str

    Raises
    ------
    `DataFileError`
        If a column is missing, or two have the same name.
    """
    with open(path, "rb") as stream:
        line = stream.readline(_MAX_HEADER)
    names = _fields(path, 1, line.removeprefix(b"\xef\xbb\xbf"), separator)
    for name in needed:
        if name not in names:
            shown = ", ".join(name[:50] for name in names[:8])
            shown += ", ..." if len(names) > 8 else ""
            raise DataFileError(path, f"has no column {name!r}", f"it has {shown}", 1)
    check_lengths(path, names)
    check_unique(path, names, "the column", "is there twice", line=1)
    return names


def check_unique(path, names, what, problem, line=None, column=None):
    """Raise `DataFileError` for a name that is in a sequence twice."""
    seen = set()
    for name in names:
        if name in seen:
            found = f"{what} {str(name)!r} {problem}"
            raise DataFileError(path, found, "rename or remove one", line, column)
        seen.add(name)


def check_lengths(path, names):
    """Raise `DataFileError` for a name that is too long to be one."""
    longest = max(names, key=len, default="")
    if len(longest) > _MAX_NAME:
        found = f"has a name of {len(longest)} characters, {longest[:20]!r}..."
        raise DataFileError(path, found, f"names have {_MAX_NAME} at most")


def check_lines(path, separator, n_fields):
    """
    Raise `DataFileError` for a line that isn't one of a table.

    That is, one with too few or too many values, for pandas fills up what is missing;
    with quotes that end in another line, or not at all; with other bytes than text in
    UTF-8.

    Warns
    -----
    UserWarning
        If the last line has no end. The file may have been cut off inside its last
        value, and some programs write such files.
    """
    mark = separator.encode()
    line = b"\n"
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                if not stream.read().strip():
                    return
                raise DataFileError(path, "is empty", "delete it", number)
            if b'"' in line:
                found = len(_fields(path, number, line, separator))
            else:
                _check_text(path, number, line)
                found = line.count(mark) + 1
            if found != n_fields:
                found = f"has {found} values, the first line {n_fields}"
                raise DataFileError(path, found, _REPAIR, number)
    if not line.endswith(b"\n"):
        last = line.rpartition(mark)[2][-50:].decode("utf-8", "replace")
        warnings.warn(
            f"{path}, line {number}: ends without a line break. If the file was cut "
            f"off there, its last value, {last!r}, is a part of the right one: copy "
            "the file again. If it is whole, append a line break",
            stacklevel=3,
        )


def _fields(path, number, line, separator):
    """The values of a line."""
    _check_text(path, number, line)
    text = line.decode("utf-8").rstrip("\r\n")
    try:
        (fields,) = csv.reader([text], delimiter=separator, strict=True)
    except (csv.Error, ValueError) as error:
        raise DataFileError(path, f"can't be read ({error})", _REPAIR, number) from None
    return fields


def _check_text(path, number, line):
    """Raise `DataFileError` for a line with other bytes than text."""
    strange = len(line) - len(line.translate(None, _CONTROL))
    strange += line.count(b"\r") - line.endswith((b"\r\n", b"\r"))
    try:
        if not line.isascii():
            line.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"is not text in UTF-8 (byte {line[error.start]:#04x})"
        raise DataFileError(path, found, _REPAIR, number) from None
    if strange:
        raise DataFileError(path, "holds bytes that are not text", _REPAIR, number)


def _raise_bad_value(path, names, id_column):
    """Look through a file for a value that isn't a number, line by line."""
    with open(path, encoding="utf-8", newline="") as stream:
        lines = csv.reader(stream, delimiter="\t")
        next(lines)
        for fields in lines:
            for name, text in zip(names, fields):
                if name != id_column and not _is_number(text):
                    raise bad_value(path, lines.line_num, name, text)


def _is_number(text):
    """Whether a text is a finite number, or stands for a missing one."""
    if text in MISSING:
        return True
    try:
        return bool(np.isfinite(np.float32(text)))
    except ValueError:
        return False


def bad_value(path, line, column, text):
    """The `DataFileError` for a value that isn't a finite number."""
    return DataFileError(
        path,
        f"{text[:100]!r} is not a finite number",
        "replace it (a missing value is 'na', '-' or nothing)",
        line,
        column,
    )
