"""Values and constants of different shapes, as one shape."""

import math

import numpy as np
from scipy import sparse

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.linear.windows import check_entries


def common_shape(call, values, constants=()):
    """
    The shape that values, and constants with them, are broadcast to.

    Parameters
    ----------
    call : object
        Whose string names the layer in messages.
    values : list of tuple of int
        Shapes, without the batch axis; of as many axes each.
    constants : list of tuple of int, optional
        Shapes, aligned with the values' last axes.

    Returns
    -------
    shape : tuple of int
        Without the batch axis.

    Raises
    ------
    ConversionError
        If there is none.
    """
    try:
        batch, *shape = np.broadcast_shapes(
            *((1, *each) for each in values), *constants
        )
    except ValueError:
        batch, shape = None, ()
    if batch != 1 or any(len(each) != len(shape) for each in values):
        found = " and ".join(map(str, (*values, *constants)))
        raise ConversionError(
            str(call),
            f"takes values of different shapes, {found}",
            "Give it values of one shape",
        )
    check_entries(call, math.prod(shape))
    return tuple(shape)


def broadcast_matrix(given, shape, factors=1.0):
    """
    The matrix that broadcasts a value and multiplies its elements.

    Parameters
    ----------
    given, shape : tuple of int
        Of the value, and of the result.
    factors : float or (size,) ndarray, optional

    Returns
    -------
    matrix : (size, size of the value) csr_matrix or None
        None if it changes nothing.
    """
    if given == shape and np.ndim(factors) == 0 and factors == 1:
        return None
    size = math.prod(shape)
    factors = np.broadcast_to(np.asarray(factors, dtype=float), size)
    order = broadcast_order(given, shape)
    return sparse.csr_matrix(
        (factors, order, np.arange(size + 1)), shape=(size, math.prod(given))
    )


def broadcast_order(shape, wanted):
    """
    Which element of a value each element is, when it is broadcast.

    Parameters
    ----------
    shape, wanted : tuple of int
        Without the batch axis.

    Returns
    -------
    order : (size,) ndarray of int
    """
    places = np.arange(math.prod(shape)).reshape(1, *shape)
    return np.broadcast_to(places, (1, *wanted)).ravel()


def constant_array(call, constant):
    """
    A constant of a model as an array.

    Parameters
    ----------
    call : object
        Whose string names the layer in messages.
    constant : object
        A number, nested lists of them, or an array.

    Returns
    -------
    values : ndarray of float

    Raises
    ------
    ConversionError
        If it is anything else.
    """
    try:
        values = np.asarray(constant, dtype=float)
    except (TypeError, ValueError):
        values = np.asarray(np.nan)
    if not np.isfinite(values).all():
        raise ConversionError(
            str(call), "has a constant that is no finite number", "Use numbers"
        )
    return values


def broadcast_constant(call, constant, shape):
    """
    A constant, as a value's elements.

    Parameters
    ----------
    call : object
        Whose string names the layer in messages.
    constant : object
        As `constant_array` takes it.
    shape : tuple of int
        Of the value, without the batch axis.

    Returns
    -------
    values : (size,) ndarray of float
    """
    values = constant_array(call, constant)
    try:
        return np.broadcast_to(values, (1, *shape)).ravel()
    except ValueError:
        raise ConversionError(
            str(call),
            f"has a constant of shape {values.shape} for a value of shape {shape}",
            "Use a constant of the value's shape",
        ) from None
