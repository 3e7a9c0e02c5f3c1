"""Reading tables of features, and saying where they are not as they should be."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# what CANDLE's files have where a value is missing, and what pandas takes for it
MISSING = (
    *("na", "-", ""),
    *("NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A"),
)

# rows that are parsed at a time: wide tables would take a multiple of their size
_CHUNK = 500


class DataFileError(ValueError):
    """A data file isn't as it should be; the message names file, line and column."""


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
        check_unique(ids, f"{self.path}: the id", "are the same in two rows")
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
    import pandas as pd

    path = existing(path)
    names = header(path, "\t", (id_column,))
    features = [name for name in names if name != id_column]
    check_lines(path, "\t", len(names))
    ids, values, n_rows = [], [], 0
    try:
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
                n_rows += len(found)
                if found.isna().any():
                    line = found.index[found.isna()][0] + 2
                    raise DataFileError(
                        f"{path}, line {line}, column {id_column!r}: has no name; give "
                        "it one, or delete the line"
                    )
                found = found.to_numpy(dtype=str)
                rows = slice(None) if keep is None else keep(found)
                ids.append(found[rows])
                values.append(chunk.to_numpy(dtype=np.float32)[rows])
    except DataFileError:
        raise
    except ValueError as error:
        _raise_bad_value(path, names, id_column)
        raise DataFileError(f"{path}: {error}") from error
    if n_rows == 0 or not features:
        raise DataFileError(f"{path}: has no rows or no values; check the file")
    table = FeatureTable(
        np.concatenate(ids), np.array(features), np.concatenate(values), str(path)
    )
    if np.isinf(table.values).any():
        _raise_bad_value(path, names, id_column)
    return table.renamed(table.ids)


def existing(path):
    """The Path of a file, if there is one; FileNotFoundError says how to mend it."""
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
    with open(path, encoding="utf-8", newline="") as stream:
        names = next(csv.reader(stream, delimiter=separator), [])
    for name in needed:
        if name not in names:
            raise DataFileError(
                f"{path}, line 1: has no column {name!r}; it has "
                f"{', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
            )
    check_unique(names, f"{path}, line 1: the column", "is there twice")
    return names


def check_unique(names, what, problem):
    """Raise `DataFileError` for a name that is in a sequence twice."""
    seen = set()
    for name in names:
        if name in seen:
            raise DataFileError(f"{what} {str(name)!r} {problem}; rename or remove one")
        seen.add(name)


def check_lines(path, separator, n_fields):
    """
    Raise `DataFileError` for a line with too few or too many values.

    pandas fills up what is missing, as in the last line of a file that was cut off in a
    download. Lines with quotes are left to it.
    """
    mark = separator.encode()
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, start=1):
            found = line.count(mark) + 1
            if found != n_fields and b'"' not in line:
                if not line.strip():
                    if not stream.read().strip():
                        return
                    raise DataFileError(f"{path}, line {number}: is empty; delete it")
                raise DataFileError(
                    f"{path}, line {number}: has {found} values, the first line "
                    f"{n_fields}; repair or delete it, or copy the file again"
                )


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
        f"{path}, line {line}, column {column!r}: {text!r} is not a finite number; "
        "replace it (a missing value is 'na', '-' or nothing)"
    )
