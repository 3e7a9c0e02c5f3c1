"""Checks of arrays, with errors that say what is wrong with them and where."""

import numpy as np
from nengo.exceptions import ValidationError


def validated_values(values, attr, obj=None):
    """
    A floating-point copy of samples, or an error that names the first bad value.

    ``attr`` and ``obj`` are what the `nengo.exceptions.ValidationError` calls them.
    """
    array = _real(values, attr, obj)
    if array.ndim != 3 or 0 in array.shape:
        raise ValidationError(
            "must have shape (n_draws, n_observations, n_outputs), none of them 0; got "
            f"shape {array.shape}",
            attr=attr,
            obj=obj,
        )
    finite = np.isfinite(array)
    if not finite.all():
        draw, observation, output = np.argwhere(~finite)[0]
        raise ValidationError(
            f"must be finite; got {array[draw, observation, output]} at draw {draw}, "
            f"observation {observation}, output {output} "
            f"({np.count_nonzero(~finite)} of {array.size} values aren't finite)",
            attr=attr,
            obj=obj,
        )
    return np.array(array)


def validated_targets(y, samples, attr="y"):
    """
    The observed targets of samples, ``(n_observations, n_outputs)`` of float64.

    Parameters
    ----------
    y : (n_observations, n_outputs) array_like
        Finite; for one output also ``(n_observations,)``.
    samples : `.PredictiveSamples`
        What they must fit.
    attr : str, optional
        What the error calls them.

    Returns
    -------
    y : (n_observations, n_outputs) ndarray

    Raises
    ------
    nengo.exceptions.ValidationError
        If they don't fit, or aren't finite.
    """
    array = _real(y, attr).astype(np.float64)
    shape = samples.values.shape[1:]
    if shape[1] == 1 and array.ndim == 1:
        array = array[:, np.newaxis]
    if array.shape != shape:
        raise ValidationError(
            f"must have the samples' shape (n_observations, n_outputs), {shape}; got "
            f"{array.shape}",
            attr=attr,
        )
    finite = np.isfinite(array)
    if not finite.all():
        observation, output = np.argwhere(~finite)[0]
        raise ValidationError(
            f"must be finite; got {array[observation, output]} at observation "
            f"{observation}, output {output}",
            attr=attr,
        )
    return array


def _real(values, attr, obj=None):
    """An array of floating-point numbers; others than real ones are an error."""
    try:
        array = np.asarray(values)
        if not np.issubdtype(array.dtype, np.floating):
            array = array.astype(np.float64, casting="same_kind")
    except (TypeError, ValueError) as error:
        raise ValidationError(
            f"must be an array of real numbers: {error}", attr=attr, obj=obj
        ) from error
    return array
