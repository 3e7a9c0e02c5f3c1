"""
Which columns of a table are what a network takes.

Which columns are the target, and which name the row, is said; all others are features,
in their order.
"""

import difflib
import math
import numbers
from typing import NamedTuple

import numpy as np
import pandas as pd
from nengo.exceptions import ValidationError

from nengo_permadrop.datasets.base import Split
from nengo_permadrop.datasets.tables import parts_of

# by whether there is a target: what says which columns are no features
_IMAGE_AXES = 4  # rows, height, width, channels
_WHICH = {
    True: "which are the target, name the row, or aren't used is said by y, ids and "
    "ignore (--target, --id, --ignore)",
    False: "which name the row, or aren't used, as a target isn't, is said by ids and "
    "ignore (--id, --ignore)",
}
# keys of an .npz file that are a target if none is named
_TARGETS = ("y", "target", "targets")


class OwnRows(NamedTuple):
    """
    Rows of a table as a network takes them.

    Attributes
    ----------
    rows : `.datasets.Split`
        Its target is of shape ``(n_rows, 0)`` if there is none.
    target_names : list of str
    columns : {str: list of str}
        What each input took: names of columns, or the key of an array.
    """

    rows: Split
    target_names: list
    columns: dict


def own_rows(
    table,
    shapes,
    *,
    target=None,
    columns=None,
    ids=(),
    ignore=(),
    needs_target=True,
):
    """
    The rows of a table as a network takes them.

    Parameters
    ----------
    table : `.tables.Table`
    shapes : {str: tuple of int} or None
        Shape of one row of each of the network's inputs, in their order. None for a
        network that is yet to be made: one input, named "input", of as many features as
        there are; images, (n_rows, height, width, channels), stay images.
    target : column, list of columns, array_like or None
        Name or number of the target's columns, or key of its array; or the targets
        themselves. None takes "y" of arrays.
    columns : {str: list of columns} or None
        Features of each input, by name or number; "a:b" is the columns from a to b. For
        arrays, a key.
    ids : list of columns, optional
        What names a row; its number if there are none.
    ignore : list of columns, optional
        What isn't used.
    needs_target : bool, optional
        Whether rows without a target are refused.

    Returns
    -------
    own : `OwnRows`

    Raises
    ------
    nengo.exceptions.ValidationError
        If there are no such columns, they don't hold numbers or lack some, or aren't
        what the inputs take.
    """
    parts = _Chosen(table)
    parts.taken.update(map(parts.name_of, ignore))
    labels = {str(parts.name_of(each)): parts.take(each) for each in ids}
    values, names = _target(parts, target, needs_target)
    if columns:
        taken = _by_input(parts, shapes, columns)
    elif table.columns is not None:
        taken = _all_columns(parts, shapes)
    else:
        taken = _all_arrays(parts, shapes)
    inputs = {
        name: _shaped(
            parts.values(names),
            shapes and shapes.get(name),
            lambda needed, size, name=name, names=names: (
                f"input '{name}' takes {needed} features, and {table.name} has {size} "
                f"for it ({_listed(names)}); {_WHICH[needs_target]}"
            ),
        )
        for name, names in taken.items()
    }
    n_rows = len(next(iter(inputs.values())))
    if values is None:
        values = np.empty((n_rows, 0), np.float32)
    elif len(values) != n_rows:
        raise ValidationError(
            f"there {_counted(len(values), 'target')} for {n_rows} rows", attr="y"
        )
    rows = Split(inputs, values, labels or {"Row": np.arange(n_rows)})
    return OwnRows(rows, names, {k: list(map(str, v)) for k, v in taken.items()})


class _Chosen:
    """A table, and which of its columns or arrays are taken."""

    def __init__(self, table):
        self.table = table
        self.kind = "arrays" if table.columns is None else "columns"
        self.taken = set()

    @property
    def left(self):
        return [name for name in self.table.names if name not in self.taken]

    def name_of(self, column):
        """A column's name, from its name or number."""
        names = self.table.names
        for known in (column, str(column)):
            if known in names:
                return known
        number = _number(column)
        if number is not None and -len(names) <= number < len(names):
            return names[number]
        texts = [str(name) for name in names]
        lower = {text.lower(): text for text in texts}
        near = [
            lower[each]
            for each in difflib.get_close_matches(str(column).lower(), lower, n=1)
        ]
        hint = f"; is it '{near[0]}'?" if near else f"; it has {_listed(texts)}"
        raise ValidationError(
            f"{self.table.name} has no {self.kind[:-1]} '{column}'{hint}",
            attr="data",
        )

    def between(self, column):
        """Names of the columns that a name, a number or "first:last" says."""
        first, colon, last = str(column).partition(":")
        if not colon or column in self.table.names:
            return [self.name_of(column)]
        names = self.table.names
        a, b = (names.index(self.name_of(each)) for each in (first, last))
        if a > b:
            raise ValidationError(
                f"'{first}' comes after '{last}' in {self.table.name}; write "
                f"'{last}:{first}'",
                attr="data",
            )
        return names[a : b + 1]

    def take(self, column):
        """A column's or array's values, which are not a feature then."""
        name = self.name_of(column)
        self.taken.add(name)
        parts = parts_of(self.table)
        return np.asarray(parts[name])

    def values(self, names):
        """Columns, or the one array, as numbers."""
        return self.array(names[0]) if self.kind == "arrays" else self.numbers(names)

    def numbers(self, names):
        """Columns as one array of numbers."""
        unnamed = [str(name) for name in names if str(name).startswith("Unnamed: ")]
        if unnamed:
            raise ValidationError(
                f"a column of {self.table.name} has no name, perhaps the numbers of "
                f"rows; say that it isn't used (ignore; --ignore '{unnamed[0]}'), or "
                "name it",
                attr="data",
            )
        frame = self.table.columns[list(names)]
        self.taken.update(names)
        text = [str(n) for n in names if not _holds_numbers(frame[n])]
        if text:
            word, verb = (
                ("columns", "don't") if len(text) > 1 else ("column", "doesn't")
            )
            raise ValidationError(
                f"{word} {_listed(text)} of {self.table.name} {verb} hold numbers; say "
                "that they name the row or aren't used (ids, ignore; --id, --ignore), "
                "or make numbers of them, as the network was trained",
                attr="data",
            )
        values = frame.to_numpy(np.float64)
        self.check_finite(values, names)
        return values.astype(np.float32)

    def array(self, name):
        """An array of numbers."""
        values = self.take(name)
        if values.dtype.kind not in "buif":
            raise ValidationError(
                f"'{name}' of {self.table.name} holds {values.dtype}, not numbers",
                attr="data",
            )
        flat = values.reshape(len(values), -1).astype(np.float64)
        self.check_finite(flat, [name] * flat.shape[1])
        return values.astype(np.float32)

    def check_finite(self, values, names):
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            row, column = bad[0]
            what = "nothing" if np.isnan(values[row, column]) else "infinity"
            raise ValidationError(
                f"{self.table.name} has {what} in row {row} of '{names[column]}' "
                f"({len(bad)} such values in all); leave out these rows or fill them, "
                "as the network was trained",
                attr="data",
            )


def _number(column):
    if isinstance(column, numbers.Integral):
        return int(column)
    try:
        return int(column)
    except (TypeError, ValueError):
        return None


def _holds_numbers(column):
    return pd.api.types.is_numeric_dtype(column) and column.dtype.kind != "c"


def _target(parts, target, needed):
    """Targets, (n_rows, n_outputs) or None, and their names."""
    if target is None and parts.table.columns is None:
        target = next((key for key in _TARGETS if key in parts.table.names), None)
    if target is None:
        if needed:
            kind = parts.kind[:-1]
            raise ValidationError(
                f"say which {kind} of {parts.table.name} is the target (y, --target); "
                f"it has {_listed(map(str, parts.table.names))}",
                attr="y",
            )
        return None, []
    _check_index(parts.table, target)
    if hasattr(target, "columns"):  # a table
        names, values = list(map(str, target.columns)), target.to_numpy()
    elif isinstance(target, (str, numbers.Integral)) or _are_names(target):
        chosen = [target] if isinstance(target, (str, numbers.Integral)) else target
        if parts.table.columns is None:
            (key,) = chosen
            values, names = parts.array(key), None
        else:
            names = [each for one in chosen for each in parts.between(one)]
            values = parts.numbers(names)
    else:
        names = [str(target.name)] if getattr(target, "name", None) else None
        values = np.asarray(target)
    values = np.asarray(values, np.float32).reshape(len(values), -1)
    if not np.isfinite(values).all():
        raise ValidationError("targets must be finite numbers", attr="y")
    if names is None:
        n = values.shape[1]
        names = ["y"] if n == 1 else [f"y{i}" for i in range(n)]
    return values, [str(name) for name in names]


def _check_index(table, target):
    """Raise if targets of a table have other labels than its rows: which are whose?"""
    index = getattr(target, "index", None)
    if table.columns is None or not isinstance(index, pd.Index):
        return
    if table.columns.index.equals(index):
        return
    known = len(index) == len(table.columns) and set(index) == set(table.columns.index)
    fix = "y.loc[X.index]" if known else "y.to_numpy()"
    why = "in the order of the rows" if known else "if they are in the same order"
    raise ValidationError(
        f"the index of the targets ({_listed(index[:3])}, ...) isn't that of "
        f"{table.name} ({_listed(table.columns.index[:3])}, ...); give {fix}, {why}",
        attr="y",
    )


def _counted(n, what):
    return f"is 1 {what}" if n == 1 else f"are {n} {what}s"


def _are_names(target):
    return isinstance(target, (list, tuple)) and all(isinstance(t, str) for t in target)


def _by_input(parts, shapes, columns):
    if shapes is None:
        shapes = {name: None for name in columns}
    unknown = [name for name in columns if name not in shapes]
    if unknown and len(shapes) == len(columns) == 1:
        columns, unknown = dict(zip(shapes, columns.values())), []
    missing = [name for name in shapes if name not in columns]
    if unknown or missing:
        raise ValidationError(
            f"the network's inputs are {_listed(shapes)}; columns are given for "
            f"{_listed(columns)}",
            attr="columns",
        )
    taken = {}
    for name in shapes:
        own = columns[name]
        own = [own] if isinstance(own, (str, numbers.Integral)) else list(own)
        taken[name] = [each for one in own for each in parts.between(one)]
        if parts.kind == "arrays" and len(own) != 1:
            raise ValidationError(
                f"input '{name}' takes one array; found {_listed(own)}", attr="columns"
            )
    return taken


def _all_columns(parts, shapes):
    if shapes is not None and len(shapes) > 1:
        sizes = ", ".join(f"'{k}' of {math.prod(v)}" for k, v in shapes.items())
        raise ValidationError(
            f"the network has several inputs ({sizes}): say which columns of "
            f"{parts.table.name} each takes (columns, --input NAME=FIRST:LAST)",
            attr="columns",
        )
    if not parts.left:
        raise ValidationError(f"{parts.table.name} has no other columns", attr="data")
    return {"input" if shapes is None else next(iter(shapes)): parts.left}


def _all_arrays(parts, shapes):
    left = parts.left
    if shapes is None:
        shapes = {name: None for name in left} if len(left) > 1 else {"input": None}
    if set(left) >= set(shapes):
        keys = {name: name for name in shapes}
    elif len(left) == len(shapes) and (
        len(shapes) == 1 or all(isinstance(key, int) for key in left)
    ):
        keys = dict(
            zip(shapes, left)
        )  # one input, whatever its name; or by their order
    else:
        raise ValidationError(
            f"the network's inputs are {_listed(shapes)}, and {parts.table.name} has "
            f"{_listed(left)} besides the target; name the arrays so, or say which is "
            "which (columns, --input NAME=KEY)",
            attr="columns",
        )
    unused = [key for key in left if key not in keys.values()]
    if unused:
        raise ValidationError(
            f"{parts.table.name} also has {_listed(unused)}, which no input takes; "
            "say that it names the row or isn't used (ids, ignore; --id, --ignore)",
            attr="data",
        )
    return {name: [key] for name, key in keys.items()}


def _shaped(values, shape, words):
    """Values in the shape that an input takes; ``words`` are of two sizes."""
    if shape is None:
        # a network that is yet to be made takes images as such
        is_image = values.ndim == _IMAGE_AXES
        return values if is_image else values.reshape(len(values), -1)
    size, needed = math.prod(values.shape[1:]), math.prod(shape)
    if values.ndim == 1 and len(values) == needed > 1:
        raise ValidationError(
            f"of shape {values.shape} is a single row; give it as the only one of "
            f"several, X[None], of shape {(1, *values.shape)}",
            attr="X",
        )
    if size != needed:
        raise ValidationError(words(needed, size), attr="data")
    return values.reshape(len(values), *shape)


def _listed(names, most=8):
    names = [f"'{name}'" for name in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) + more) or "none"
