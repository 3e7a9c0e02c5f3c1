"""
Whether samples belong together, and targets belong to samples.

Arrays of the same shape can hold other things, or the same in another order, and
nothing that is computed from them would show it. Names do. Where both sides have names,
they must be the same, in the same order; default names (``y0, y1, ...``; ``0, 1, ...``)
say nothing, unless the others are the same ones in another order.
"""

import contextlib
import contextvars
import warnings

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.samples.names import default_output_names
from nengo_permadrop.support.validation import validated_targets

# Whether targets that look like labels have been warned of, in a context of `told_once`
_told = contextvars.ContextVar("told", default=None)
_are_quantities = contextvars.ContextVar("are_quantities", default=False)

_SCORES_OF_REGRESSION = (
    "these scores are of regression, and a label is no quantity. Score probabilities "
    "of classes with, for instance, sklearn.metrics.log_loss(labels, samples.mean())"
)


def check_pair(samples_a, samples_b, attr="samples_b"):
    """
    Raise an error unless two sets are of the same observations and outputs.

    Parameters
    ----------
    samples_a, samples_b : `.PredictiveSamples` or ndarray
        Of shape ``(n_draws, n_observations, n_outputs)``. Arrays have no names.
    attr : str, optional
        What the error calls the second.

    Raises
    ------
    nengo.exceptions.ValidationError
        If observations or outputs differ in number, name or order.
    """
    shapes = [
        getattr(samples, "values", samples).shape for samples in (samples_a, samples_b)
    ]
    if shapes[0][1:] != shapes[1][1:]:
        raise ValidationError(
            "the samples must have the same (n_observations, n_outputs); got "
            f"{shapes[0][1:]} and {shapes[1][1:]}, of shapes {shapes[0]} and "
            f"{shapes[1]} (n_draws, n_observations, n_outputs)",
            attr=attr,
        )
    if all(hasattr(samples, "output_names") for samples in (samples_a, samples_b)):
        for kind in ("output_names", "observation_names"):
            check_names(kind, getattr(samples_a, kind), getattr(samples_b, kind), attr)


def check_names(kind, names, others, attr):
    """
    Raise an error if two lists of names, of the same length, are of different things.

    Parameters
    ----------
    kind : {"output_names", "observation_names"}
    names, others : list of str or int
    attr : str
        What the error calls the object that has the ``others``.

    Raises
    ------
    nengo.exceptions.ValidationError
        With the first names that differ, and the order that would be right.
    """
    # numbers that were read from a table are text
    names, others = ([str(name) for name in each] for each in (names, others))
    if names == others:
        return
    n = len(names)
    default = default_output_names(n)
    if kind == "observation_names":
        default = [str(i) for i in range(n)]
    reordered = sorted(names) == sorted(others)
    if not reordered and default in (names, others):
        return
    differing = [i for i in range(n) if names[i] != others[i]]
    first = differing[0]
    message = (
        f"{kind} differ: at {first} there are {names[first]!r} and {others[first]!r} "
        f"({len(differing)} of {n} differ)"
    )
    if reordered:
        message += "; they are the same in another order: reorder one of them"
        if len(set(others)) == n <= 20:
            order = [others.index(name) for name in names]
            message += f" (the second by {order})"
    else:
        message += (
            ". Compare samples of the same observations and outputs; if these are, "
            "give them the same names"
        )
    raise ValidationError(message, attr=attr)


def matched_targets(y, samples, attr="y"):
    """
    Observed targets, as `.validation.validated_targets` takes them, in the right order.

    A `pandas.DataFrame` or `pandas.Series` has names: columns and index must not be the
    samples' names in another order. Other names than the samples' say nothing: tables
    are often numbered, or name their columns in other words.

    Parameters
    ----------
    y : (n_observations, n_outputs) array_like
    samples : `.PredictiveSamples`
    attr : str, optional

    Returns
    -------
    y : (n_observations, n_outputs) ndarray
    """
    array = validated_targets(y, samples, attr)
    index, columns = (
        () if names is None or callable(names) else names  # as the method of lists is
        for names in (getattr(y, "index", None), getattr(y, "columns", None))
    )
    # rows of a table that was shuffled have numbers that say nothing about the samples
    if samples.observation_names != list(range(samples.n_observations)):
        _check_order("observation_names", samples, index, attr)
    _check_order("output_names", samples, columns, attr)
    return array


def _check_order(kind, samples, others, attr):
    names = getattr(samples, kind)
    if sorted(map(str, names)) == sorted(map(str, others)):
        check_names(kind, names, list(others), attr)


def regression_targets(y, samples):
    """
    Targets that scores of regression can be made of: `matched_targets` without labels.

    Labels of classes are numbers too, and would get scores that mean nothing. Whole
    numbers alone are no sign of them (ages and counts are such), so what is refused
    is what can hardly be anything else:

    - truth values, categories and text;
    - for several outputs, two or more rows of which each has a single 1 and is 0
      elsewhere (one-hot);
    - for several outputs, one whole number a row, of ``0 .. n_outputs - 1``.

    For one output, targets of which each is 0 or 1 get a warning: a measurement may
    have two values. Indicators that are meant as quantities, such as those of the data
    set ``digits``, can be standardised.

    Parameters
    ----------
    y : (n_observations, n_outputs) array_like
    samples : `.PredictiveSamples`

    Returns
    -------
    y : (n_observations, n_outputs) ndarray of float64

    Raises
    ------
    nengo.exceptions.ValidationError
        If they are labels of classes, or don't fit the samples.

    Warns
    -----
    UserWarning
        If there is one output, and each target is 0 or 1.
    """
    n_outputs = samples.n_outputs
    plain = _plain(y)
    dtypes = getattr(y, "dtypes", getattr(y, "dtype", plain.dtype))
    kinds = [str(dtype) for dtype in np.atleast_1d(dtypes)]
    if {"category", "bool", "boolean"} & set(kinds) or plain.dtype.kind in "bSU":
        kind = "truth values" if "bool" in kinds[0] else "categories or text"
        raise ValidationError(
            f"must be real numbers; got {kind} ({', '.join(sorted(set(kinds)))}): "
            f"{_SCORES_OF_REGRESSION}",
            attr="y",
        )
    if n_outputs > 1 and plain.size == len(samples.observation_names):
        if plain.dtype.kind in "iuf" and np.isin(plain, np.arange(n_outputs)).all():
            raise ValidationError(
                "must have the samples' shape (n_observations, n_outputs), "
                f"{samples.values.shape[1:]}; got {plain.shape}. If these are the "
                f"labels of {n_outputs} classes: {_SCORES_OF_REGRESSION}",
                attr="y",
            )
    array = matched_targets(y, samples)
    two_values = bool(np.isin(array, (0, 1)).all()) and not _are_quantities.get()
    if two_values and n_outputs > 1 and len(array) > 1:
        if np.all(array.sum(axis=1) == 1):
            raise ValidationError(
                f"is one-hot, a 1 in each of {len(array)} rows and 0 elsewhere: "
                f"{_SCORES_OF_REGRESSION}",
                attr="y",
            )
    told = _told.get()
    if two_values and n_outputs == 1 and 0 < array.mean() < 1 and not told:
        if told is not None:
            told.append(True)
        warnings.warn(
            "every target is 0 or 1: if these are labels of classes, the scores mean "
            f"nothing, as {_SCORES_OF_REGRESSION}",
            stacklevel=3,  # whoever called the metric
        )
    return array


@contextlib.contextmanager
def as_quantities():
    """A context in which targets of 0 and 1 are meant as the numbers that they are."""
    token = _are_quantities.set(True)
    try:
        yield
    finally:
        _are_quantities.reset(token)


@contextlib.contextmanager
def told_once():
    """A context in which targets that look like labels are warned of once."""
    token = _told.set([])
    try:
        yield
    finally:
        _told.reset(token)


def _plain(y):
    try:
        return np.asarray(y)
    except ValueError:  # ragged; validated_targets says so
        return np.empty(0, dtype=object)
