"""Data sets of one's own rows."""

import warnings

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.datasets.base import Dataset, Split, random_parts, standardised
from nengo_permadrop.datasets.features import own_rows
from nengo_permadrop.datasets.preparation import Preparation
from nengo_permadrop.datasets.tables import read_table

# Of the rows for a network that is trained already: the share that validates
_VALIDATION = 0.5
_MOST_VALIDATION = 500
# Shares of validation and test rows where a network is trained on the others
_TRAINED = 0.2
_LEAST_ROWS = 8


def own_dataset(
    data,
    target=None,
    *,
    shapes=None,
    columns=None,
    ids=(),
    ignore=(),
    trained=True,
    seed=0,
):
    """
    A data set of one's own rows.

    Parameters
    ----------
    data : str, path-like, `pandas.DataFrame`, array_like, list or dict
        See `.tables.read_table`.
    target, columns, ids, ignore
        See `.features.own_rows`.
    shapes : {str: tuple of int} or None
        Of the inputs of the network; None if it is yet to be made.
    trained : bool, optional
        Whether the network is trained already. Rows and targets are then as they were
        given, and half of them, 500 at the most, are for validation, the others for the
        test. Otherwise 60% are for training, and all is standardised as in `.Dataset`.
    seed : int, optional
        Decides which rows are for what.

    Returns
    -------
    dataset : `.Dataset`

    Raises
    ------
    nengo.exceptions.ValidationError
        As `.tables.read_table` and `.features.own_rows`; or if there are too few rows.

    Warns
    -----
    UserWarning
        If all targets are the same.
    """
    table = read_table(data)
    rows, names, taken = own_rows(
        table, shapes, target=target, columns=columns, ids=ids, ignore=ignore
    )
    n_rows = len(rows)
    if n_rows < _LEAST_ROWS:
        raise ValidationError(
            f"{table.name} has {n_rows} rows; a study needs at least {_LEAST_ROWS}",
            attr="data",
        )
    _warn_of_constants(table.name, rows.target, names)
    rng = np.random.RandomState(seed)
    target_name = names[0] if len(names) == 1 else "targets"
    if not trained:
        n = max(2, int(_TRAINED * n_rows))
        parts = random_parts(n_rows, n, n, rng)
        source = _said(table.name, names, n_rows) + (
            " Inputs and target are standardised by the moments of the training rows."
        )
        return standardised(
            table.name,
            rows,
            parts,
            target_name,
            source,
            output_names=names,
            columns=taken,
        )
    n_validation = min(int(_VALIDATION * n_rows), _MOST_VALIDATION)
    order = rng.permutation(n_rows)
    validation, test = order[:n_validation], np.sort(order[n_validation:])
    unscaled = np.zeros(len(names)), np.ones(len(names))
    return Dataset(
        table.name,
        _none_of(rows),
        rows.take(np.sort(validation)),
        rows.take(test),
        target_name=target_name,
        target_mean=unscaled[0],
        target_std=unscaled[1],
        source=_said(table.name, names, n_rows)
        + " They are given to the network as they are, and its answers are taken to be "
        "in the target's units. It must not have been trained on them.",
        output_names=tuple(names),
        preparation=Preparation(
            tuple(names), *unscaled, columns=taken, ids=tuple(rows.labels)
        ),
    )


def _warn_of_constants(name, target, names):
    for column, values in zip(names, target.T):
        if np.ptp(values) == 0:
            warnings.warn(
                f"every target '{column}' of {name} is {values[0]:g}: there is nothing "
                "to predict, and whether a network does can't be said",
                stacklevel=3,
            )


def _said(name, names, n_rows):
    return f"{n_rows} rows of {name}, target {', '.join(names)}."


def _none_of(rows):
    return Split(
        {key: x[:0] for key, x in rows.inputs.items()},
        rows.target[:0],
        {key: x[:0] for key, x in rows.labels.items()},
    )
