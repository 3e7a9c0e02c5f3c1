"""Layers that take several values."""

from itertools import repeat

import numpy as np
from scipy import sparse

from nengo_permadrop.sources.keras.converters.broadcasting import (
    broadcast_matrix,
    common_shape,
)
from nengo_permadrop.sources.keras.table import check_options, register_layer


@register_layer("Concatenate")
def _concatenate(writer, call, *values):
    check_options(call)
    axis = int(call.spec.config["axis"])
    axis = axis if axis < 0 else axis - 1  # Keras counts the batch axis
    return joined(writer, call, values, axis)


def joined(writer, call, values, axis):
    """
    Values side by side.

    Parameters
    ----------
    writer : `.GraphWriter`
    call : `.LayerCall`
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


@register_layer("Add")
def _add(writer, call, *values):
    return _summed(writer, call, values, [1] * len(values))


@register_layer("Subtract")
def _subtract(writer, call, *values):
    return _summed(writer, call, values, [1, -1])


@register_layer("Average")
def _average(writer, call, *values):
    total = _summed(writer, call, values, [1] * len(values))
    mean = sparse.identity(writer.size(total), format="csr") / len(values)
    return writer.affine(*call.named, [total], [mean], writer.shape(total))


def _summed(writer, call, values, signs):
    check_options(call)
    given = [writer.shape(value) for value in values]
    shape = common_shape(call, given)
    matrices = [broadcast_matrix(*each) for each in zip(given, repeat(shape), signs)]
    return writer.affine(*call.named, values, matrices, shape)
