"""
Checks of arguments: what is wrong, and where, before anything is computed.

All raise `nengo.exceptions.ValidationError`, which names the argument. What they
return is the argument as a plain number or array, so that nothing after them depends
on what kind of number it was.
"""

import math
import numbers
import os
from collections.abc import Mapping

import numpy as np
from nengo.exceptions import ValidationError
from nengo.params import NumberParam

# Nengo and NumPy take seeds below this
SEED_LIMIT = 2**32


class FiniteNumberParam(NumberParam):
    """A parameter of a Nengo object that is a number: no NaN, infinity or bool."""

    def coerce(self, instance, num):
        if num is not None:
            check_number(num, self.name, obj=instance)
        return super().coerce(instance, num)


def is_integer(value):
    """Whether a value is an integer; a bool isn't one."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_integer(value, attr, low=None, high=None, obj=None):
    """
    An integer in a range, as an int.

    Parameters
    ----------
    value : object
    attr : str
        The argument's name.
    low, high : int, optional
        The least and greatest value.
    obj : object, optional
        What it is an argument of, for the error.
    """
    inside = is_integer(value)
    inside = (
        inside and (low is None or value >= low) and (high is None or value <= high)
    )
    if not inside:
        expected = "must be an integer"
        if low is not None:
            expected += f" >= {low}"
        if high is not None:
            expected += f"{'' if low is None else ' and'} <= {high}"
        raise ValidationError(f"{expected}, got {_shown(value)}", attr=attr, obj=obj)
    return int(value)


def check_seed(seed, attr="seed", obj=None):
    """A seed, as an int: below 2**32, as all that is seeded takes it."""
    if not is_integer(seed) or not 0 <= seed < SEED_LIMIT:
        raise ValidationError(
            f"must be an integer from 0 to 2**32 - 1, got {_shown(seed)}",
            attr=attr,
            obj=obj,
        )
    return int(seed)


def check_seeds(seeds, attr, shape=None):
    """Seeds, as an array: integers from 0 on that have 64 bits, of a shape."""
    array = np.asarray(seeds)
    if array.dtype.kind == "i" and (array.size == 0 or array.min() >= 0):
        array = array.astype(np.uint64)
    if array.dtype.kind != "u" or shape not in (None, array.shape):
        like = "" if shape is None else f" of shape {shape}"
        raise ValidationError(
            f"must be integers from 0 to 2**64 - 1{like}, got {_shown(seeds)}",
            attr=attr,
        )
    return array


def check_number(
    value, attr, low=None, high=None, low_open=False, high_open=False, unit="", obj=None
):
    """
    A finite number in a range, as a float.

    Parameters
    ----------
    value : object
    attr : str
        The argument's name.
    low, high : float, optional
        Bounds.
    low_open, high_open : bool, optional
        Whether the number may not be the bound itself.
    unit : str, optional
        For the error.
    obj : object, optional
        What it is an argument of, for the error.
    """
    number = _as_number(value)
    if (
        number is None
        or (low is not None and not (number > low if low_open else number >= low))
        or (high is not None and not (number < high if high_open else number <= high))
    ):
        bounds = []
        if low is not None:
            bounds.append(f"{'>' if low_open else '>='} {low}")
        if high is not None:
            bounds.append(f"{'<' if high_open else '<='} {high}")
        expected = " ".join(["must be a finite number", " and ".join(bounds)]).strip()
        unit = f" ({unit})" if unit else ""
        raise ValidationError(
            f"{expected}{unit}, got {_shown(value)}", attr=attr, obj=obj
        )
    return number


def check_seconds(value, attr, zero=False, obj=None):
    """A time in seconds, greater than 0, or with ``zero`` 0 too; as a float."""
    return check_number(value, attr, 0, low_open=not zero, unit="seconds", obj=obj)


def check_times(presentation_time=None, settle=None, dt=None):
    """Times as `.sample` takes them, those that aren't None; as floats."""
    if dt is not None:
        dt = check_seconds(dt, "dt")
    if presentation_time is not None:
        presentation_time = check_seconds(presentation_time, "presentation_time")
    if settle is not None:
        settle = check_seconds(settle, "settle", zero=True)
    return presentation_time, settle, dt


def check_execution(executor=None, checkpoint=None, max_memory=None):
    """Where and how something is computed, as `.sample` takes it."""
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise ValidationError(
            f"must be a concurrent.futures.Executor or None, got {_shown(executor)}",
            attr="executor",
        )
    if checkpoint is not None:
        check_path(checkpoint, "checkpoint")
    if max_memory is not None:
        check_number(max_memory, "max_memory", 0, low_open=True, unit="bytes")


def as_names(value, attr):
    """
    Names that are given as one, or as several.

    Parameters
    ----------
    value : str or sequence of str
    attr : str
        What they are called.

    Returns
    -------
    names : tuple of str

    Raises
    ------
    nengo.exceptions.ValidationError
        If it is something else.
    """
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(
        isinstance(name, str) and name for name in names
    ):
        raise ValidationError(
            f"must be names, such as ('MCDropout',), got {value!r}", attr=attr
        )
    return tuple(names)


def check_path(path, attr):
    """A str or path-like object."""
    if not isinstance(path, (str, os.PathLike)):
        raise ValidationError(f"must be a path, got {_shown(path)}", attr=attr)
    return path


def check_texts(texts, attr, n):
    """So many strings."""
    if (
        not isinstance(texts, (list, tuple))
        or len(texts) != n
        or not all(isinstance(text, str) for text in texts)
    ):
        raise ValidationError(
            f"must be {n} string{'' if n == 1 else 's'}, got {_shown(texts)}", attr=attr
        )
    return texts


def check_mapping(options, attr):
    """Options by name; None are none."""
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise ValidationError(f"must be a dict, got {_shown(options)}", attr=attr)
    return options


def check_whole_steps(seconds, dt, attr, obj=None, zero=False):
    """
    How many time steps some seconds are.

    Parameters
    ----------
    seconds, dt : float
    attr, obj
        As in `check_number`.
    zero : bool, optional
        Whether it may be none.

    Returns
    -------
    n_steps : int

    Raises
    ------
    nengo.exceptions.ValidationError
        If they aren't a whole number, to a millionth of a step. (36 * 0.001 isn't
        0.036, but is as many steps.)
    """
    n_steps = round(seconds / dt)
    if not same_time(n_steps * dt, seconds, dt) or n_steps < (0 if zero else 1):
        nearest = max(n_steps, 0 if zero else 1) * dt
        where = "" if obj is None else f"{obj}: "
        raise ValidationError(
            f"{where}must be a whole number of time steps of {dt:g} s, got "
            f"{_shown(seconds)} s; the nearest is {nearest:.9g} s",
            attr=attr,
            obj=obj,
        )
    return n_steps


def same_time(a, b, dt):
    """Whether two times are the same time step, up to rounding of the numbers."""
    return abs(a - b) <= 1e-6 * dt


def check_choice(value, attr, choices, obj=None):
    """One of some values, by equality; unhashable ones are just not one of them."""
    if not any(type(value) is type(c) and value == c for c in choices):
        raise ValidationError(
            f"must be one of {', '.join(map(repr, choices))}, got {_shown(value)}",
            attr=attr,
            obj=obj,
        )
    return value


def check_float_type(dtype, attr, obj=None):
    """The NumPy type that is named, which must be a floating-point one."""
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise ValidationError(f"isn't a type ({error})", attr=attr, obj=obj) from error
    if found.kind != "f":
        raise ValidationError(
            f"must be a floating-point type; got {found}", attr=attr, obj=obj
        )
    return found


def check_real_array(values, attr, what=None, obj=None):
    """
    An array of real numbers.

    Parameters
    ----------
    values : array_like
        Of integers, bools or floating-point numbers; or of objects that all are.
        Masked arrays must have nothing masked.
    attr : str
        The argument's name.
    what : str, optional
        A part of the argument, for the error.
    obj : object, optional
        What it is an argument of, for the error.

    Returns
    -------
    array : ndarray
        Of the same floating-point type, or of float64.

    Raises
    ------
    nengo.exceptions.ValidationError
        If they are anything else: NumPy would make numbers of strings, and drop
        imaginary parts, masks and units.
    """
    what = "" if what is None else f"{what} "

    def wrong(found, fix):
        return ValidationError(
            f"{what}must be an array of real numbers, got {found}; {fix}",
            attr=attr,
            obj=obj,
        )

    if hasattr(values, "toarray"):
        raise wrong(f"a sparse matrix ({type(values).__name__})", "give its .toarray()")
    try:
        masked = np.ma.count_masked(values) if np.ma.isMaskedArray(values) else 0
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise wrong(_shown(values), str(error)) from error
    if masked:
        fix = "fill them, or leave these rows out"
        raise wrong(f"a masked array with {masked} masked values", fix)
    if array.dtype.kind == "O" and all(_is_real(x) for x in array.flat):
        array = array.astype(np.float64)
    if array.dtype.kind not in "biuf":
        found = f"dtype {array.dtype}" if array.ndim else _shown(values)
        raise wrong(found, "convert what are numbers with .astype(float)")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _is_real(value):
    return isinstance(value, (numbers.Real, np.bool_))


def _as_number(value):
    """A finite number as a float, or None."""
    if isinstance(value, np.ndarray) and value.shape == () and not np.ma.isMA(value):
        value = value.item()
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _shown(value):
    """A value in an error: short, and of what type if that isn't plain."""
    # NumPy 2 writes np.float64(nan)
    text = repr(value.item() if isinstance(value, np.generic) else value)
    if len(text) > 60:
        text = f"{text[:57]}..."
    if value is None or isinstance(value, (bool, int, float, str)):
        return text
    return f"{text} ({type(value).__name__})"


def validated_values(values, attr, obj=None):
    """
    A floating-point copy of samples, or an error that names the first bad value.

    ``attr`` and ``obj`` are what the `nengo.exceptions.ValidationError` calls them.
    """
    array = check_real_array(values, attr, obj=obj)
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


def check_samples(samples, attr="samples"):
    """`.PredictiveSamples`, and not their values."""
    if not all(hasattr(samples, name) for name in ("values", "n_draws", "masks")):
        raise ValidationError(
            f"must be PredictiveSamples, got {_shown(samples)}", attr=attr
        )
    return samples


def check_levels(levels, attr):
    """Some probabilities, as floats in [0, 1]."""
    array = check_real_array(levels, attr)
    if array.ndim > 1:
        raise ValidationError(f"must be numbers, got {_shown(levels)}", attr=attr)
    for level in np.atleast_1d(array):
        check_number(level, attr, 0, 1)
    return array


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
    check_samples(samples)
    array = check_real_array(y, attr).astype(np.float64)
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
