"""Checking the observations that a user hands in."""

import math

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.support.validation import check_real_array


def match_inputs(X, shapes):
    """
    Observations as one array per input, checked.

    Parameters
    ----------
    X : array_like, list of array_like or dict
        One array of shape ``(n_observations, ...)`` if there is one input; a list in
        the order of ``shapes``; or a dictionary with the keys of ``shapes``.
    shapes : dict
        Name (or Node) of each input, with the shape of one observation. Flattened
        observations are accepted too.

    Returns
    -------
    arrays : list of (n_observations, size) ndarray of float64
        Flattened, in the order of ``shapes``.

    Raises
    ------
    nengo.exceptions.ValidationError
        If inputs are missing, too many, or of the wrong shape, differ in their numbers
        of observations, hold NaN or infinity, or aren't real numbers.
    """
    names = list(shapes)
    if isinstance(X, dict):
        missing = [name for name in names if name not in X]
        unknown = [key for key in X if key not in shapes]
        if missing or unknown:
            raise ValidationError(
                f"inputs are {_listed(names)}; missing: {_listed(missing)}; unknown: "
                f"{_listed(unknown)}",
                attr="X",
            )
        arrays = [X[name] for name in names]
    elif isinstance(X, (list, tuple)) and (len(names) > 1 or _holds_arrays(X)):
        if len(X) != len(names):
            raise ValidationError(
                f"there are {len(names)} inputs ({_listed(names)}), but a list of "
                f"{len(X)} arrays was given",
                attr="X",
            )
        arrays = X
    elif len(names) > 1:
        raise ValidationError(
            f"there are {len(names)} inputs ({_listed(names)}); give a list of arrays "
            "or a dictionary",
            attr="X",
        )
    else:
        arrays = [X]

    arrays = [_checked(x, name, shapes[name]) for x, name in zip(arrays, names)]
    lengths = {name: len(x) for name, x in zip(names, arrays)}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name}: {n}" for name, n in lengths.items())
        raise ValidationError(
            f"all inputs must have as many observations; found {found}", attr="X"
        )
    return arrays


def evenly_spaced(X, most):
    """
    Some rows of a table, from the first to the last.

    Parameters
    ----------
    X : list of (n_observations, size) ndarray
        At least one row of each input.
    most : int
        Number of rows, if there are so many.

    Returns
    -------
    rows : list of (n, size) ndarray
        The same rows of each input.
    """
    n = len(X[0])
    chosen = np.linspace(0, n - 1, min(n, most)).astype(int)
    return [x[chosen] for x in X]


def _checked(x, name, shape):
    shape = tuple(shape)
    size = math.prod(shape)
    x = check_real_array(x, "X", f"input '{name}'").astype(np.float64)
    if x.ndim < 2 or x.shape[1:] not in (shape, (size,)):
        expected = f"(n_observations, {', '.join(map(str, shape))})"
        fix = ""
        if x.shape in (shape, (size,)):
            fix = ". For a single observation, give X[np.newaxis]"
        raise ValidationError(
            f"input '{name}' must have the shape {expected}, got {x.shape}{fix}",
            attr="X",
        )
    if len(x) == 0:
        raise ValidationError(f"input '{name}' has no observations", attr="X")
    flat = x.reshape(len(x), size)
    bad = np.argwhere(~np.isfinite(flat))
    if len(bad) > 0:
        row, column = bad[0]
        raise ValidationError(
            f"input '{name}' has {flat[row, column]} in row {row}, column {column} "
            f"({len(bad)} such values in all); replace or remove them",
            attr="X",
        )
    return flat


def _holds_arrays(X):
    return any(len(getattr(x, "shape", ())) >= 2 or _nested(x) for x in X)


def _nested(x):
    """Whether rows are given as lists."""
    return isinstance(x, (list, tuple)) and any(
        isinstance(y, (list, tuple)) or len(getattr(y, "shape", ())) > 0 for y in x
    )


def _listed(names):
    return ", ".join(map(str, names)) if names else "none"
