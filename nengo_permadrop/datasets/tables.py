"""
Reading tables: rows of a user's file or arrays.

A file of columns (.csv, .tsv, .parquet) is read by pandas; .npz and .npy hold arrays,
and nothing in them is unpickled.
"""

import csv
import itertools
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from nengo.exceptions import ValidationError

from nengo_permadrop.support.optional import require

ENDINGS = (".csv", ".tsv", ".parquet", ".npz", ".npy")


@dataclass(frozen=True, eq=False)
class Table:
    """
    Rows, as they were read.

    Attributes
    ----------
    name : str
        Of the file, or what stands for it in messages.
    columns : `pandas.DataFrame` or None
        Of a table of columns.
    arrays : {str: ndarray} or None
        By key, ``(n_rows, ...)``, of what has no columns of its own.
    """

    name: str
    columns: pd.DataFrame = None
    arrays: dict = None

    @property
    def names(self):
        """Of the columns, or of the arrays; a list."""
        return list(self.arrays if self.columns is None else self.columns)


def read_table(data):
    """
    Read a user's rows.

    Parameters
    ----------
    data : str, path-like, `pandas.DataFrame`, array_like, list or {str: array_like}
        A file (`ENDINGS`) with a header where it has columns; a table; an array of
        ``(n_rows, ...)``; or several, in the order of the network's inputs or by name.

    Returns
    -------
    table : `Table`

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    nengo.exceptions.ValidationError
        If it isn't what its name says, or has no rows.
    ImportError
        If pandas needs another package for it, which is named.
    """
    if isinstance(data, (str, Path)) or hasattr(data, "__fspath__"):
        table = _from_file(Path(data))
    elif isinstance(data, pd.DataFrame):
        table = Table("the table", columns=data)
    elif isinstance(data, dict):
        table = Table("X", arrays={k: np.asarray(v) for k, v in data.items()})
    elif isinstance(data, (list, tuple)) and any(hasattr(x, "shape") for x in data):
        arrays = {i: np.asarray(x) for i, x in enumerate(data)}
        table = Table("X", arrays=arrays)
    else:
        table = Table("X", arrays={"X": np.asarray(data)})
    _check_names(table)
    lengths = {k: len(v) if np.ndim(v) else 0 for k, v in parts_of(table).items()}
    if not lengths or not max(lengths.values()):
        raise ValidationError(f"{table.name} has no rows", attr="data")
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{k}: {n}" for k, n in lengths.items())
        raise ValidationError(
            f"arrays of {table.name} differ in their numbers of rows ({found})",
            attr="data",
        )
    return table


def parts_of(table):
    """Its columns or arrays, by name."""
    return table.columns if table.columns is not None else table.arrays


def _check_names(table):
    """Raise if columns can't be told apart."""
    names = list(map(str, table.names))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValidationError(
            f"{table.name} has several columns '{twice[0]}'; give each another name",
            attr="data",
        )
    header = "".join(names)
    if table.columns is not None and header.count(";") >= max(1, len(names)):
        raise ValidationError(
            f"columns of {table.name} seem to be separated by ';' ('{names[0]}'); "
            "separate them by commas, or read them with pandas and give the table",
            attr="data",
        )


def _from_file(path):
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValidationError(
            f"'{path}' ends in none of {', '.join(ENDINGS)}; write the rows as one of "
            "these",
            attr="data",
        )
    if path.is_dir():
        raise ValidationError(f"'{path}' is a folder; give a file", attr="data")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file of rows")
    try:
        if ending in (".csv", ".tsv"):
            separator = "," if ending == ".csv" else "\t"
            _check_header(path, separator)
            return Table(path.name, columns=pd.read_csv(path, sep=separator))
        if ending == ".parquet":
            require("pyarrow")
            return Table(path.name, columns=pd.read_parquet(path))
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            if ending == ".npz":
                return Table(path.name, arrays=dict(found))
        if found.ndim == 2:
            return Table(path.name, columns=_numbered(found))
        return Table(path.name, arrays={"X": found})
    except ValidationError:  # which says it all
        raise
    except UnicodeDecodeError as error:
        reason = (
            f"it isn't text in UTF-8 (byte {error.object[error.start]:#x}); save it as "
            'UTF-8 (in a spreadsheet "CSV UTF-8"), or read it with pandas '
            "(encoding=...) and give the table"
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1]
    except (zipfile.BadZipFile, EOFError) as error:
        reason = f"it is damaged: {error}"
    except OSError as error:
        if error.errno is not None:  # of the file system, which says what
            raise
        reason = str(error).strip().splitlines()[0]
    if "allow_pickle" in reason or "pickled" in reason:
        reason = (
            "it isn't an array of numbers, or holds Python objects, which could run "
            "code and aren't read"
        )
    raise ValidationError(
        f"'{path}' can't be read as {ending}: {reason}", attr="data"
    ) from None


def _check_header(path, separator):
    """Raise if pandas would give columns other names, or shift them, silently."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(itertools.islice(csv.reader(file, delimiter=separator), 2))
    if len(lines) < 2:
        return
    header, first = lines
    if separator == "," and len(header) == 1 and "\t" in header[0]:
        raise ValidationError(
            f"columns of {path.name} are separated by tabs; name the file "
            f"'{path.with_suffix('.tsv').name}'",
            attr="data",
        )
    if _are_values(header):
        raise ValidationError(
            f"{path.name} has no header: its first line holds numbers "
            f"({', '.join(header[:3])}{', ...' if len(header) > 3 else ''}); write the "
            "names of the columns above them",
            attr="data",
        )
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise ValidationError(
            f"{path.name} has several columns '{twice[0]}'; give each another name",
            attr="data",
        )
    if len(first) > len(header):
        raise ValidationError(
            f"rows of {path.name} have {len(first)} fields, and its header "
            f"{len(header)}; write as many",
            attr="data",
        )


def _are_values(header):
    """Whether a first line holds numbers, other than those of the columns."""
    try:
        numbers = [float(name) for name in header]
    except ValueError:
        return False
    return numbers not in (
        list(range(len(header))),
        list(range(1, len(header) + 1)),
    )


def _numbered(array):
    return pd.DataFrame(array, columns=[str(i) for i in range(array.shape[1])])
