"""Arithmetic on values and constants, broadcast as NumPy does."""

import math
from dataclasses import dataclass

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.linear.broadcasting import (
    broadcast_constant,
    broadcast_matrix,
    common_shape,
    constant_array,
)
from nengo_permadrop.sources.linear.windows import check_entries


@dataclass(frozen=True)
class GraphValue:
    """A value of a graph, by its index, among constants."""

    index: int


def check_broadcast(where, operands):
    """
    Raise if constants can't be broadcast together, or become too large.

    Parameters
    ----------
    where : object
        The layer: its string names it in messages.
    operands : list of array_like
    """
    shapes = [np.shape(each) for each in operands]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise ConversionError(
            str(where),
            f"takes constants of the shapes {', '.join(map(str, shapes))}",
            "Use shapes that can be broadcast to one",
        ) from error
    check_entries(where, math.prod(shape))


def summed(writer, where, operands, signs):
    """
    A sum of values and constants, with signs.

    Parameters
    ----------
    writer : `.GraphWriter`
    where : object
        The layer: its string names it in messages, ``named`` is path and label.
    operands : list of (`GraphValue` or array_like)
        At least one is a value.
    signs : list of float

    Returns
    -------
    value : int
    """
    signed = list(zip(operands, signs))
    values = [
        (each.index, sign) for each, sign in signed if isinstance(each, GraphValue)
    ]
    constants = [
        sign * constant_array(where, each)
        for each, sign in signed
        if not isinstance(each, GraphValue)
    ]
    shapes = [writer.shape(index) for index, _ in values]
    shape = common_shape(where, shapes, [each.shape for each in constants])
    return writer.affine(
        *where.named,
        [index for index, _ in values],
        [
            broadcast_matrix(given, shape, sign)
            for given, (_, sign) in zip(shapes, values)
        ],
        shape,
        constant=(
            sum(broadcast_constant(where, each, shape) for each in constants)
            if constants
            else None
        ),
    )


def scaled(writer, where, value, factors):
    """
    A value times a constant.

    Parameters
    ----------
    writer, where
        As in `summed`.
    value : `GraphValue`
    factors : array_like

    Returns
    -------
    value : int
    """
    given, factors = writer.shape(value.index), constant_array(where, factors)
    shape = common_shape(where, [given], [factors.shape])
    factors = broadcast_constant(where, factors, shape)
    matrix = broadcast_matrix(given, shape, factors)
    return writer.affine(*where.named, [value.index], [matrix], shape)


def joined(writer, call, values, axis):
    """
    Values side by side.

    Parameters
    ----------
    writer : `.GraphWriter`
    call : object
        The layer, as in `summed`.
    values : sequence of int
    axis : int
        Without the batch axis.

    Returns
    -------
    value : int
    """
    places, start = [], 0
    for value in values:
        size = writer.size(value)
        places.append(np.arange(start, start + size).reshape(writer.shape(value)))
        start += size
    order = np.concatenate(places, axis=axis)
    return writer.permuted(*call.named, values, order, order.shape)
