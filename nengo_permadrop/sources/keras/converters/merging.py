"""Layers that take several values."""

from itertools import repeat

from scipy import sparse

from nengo_permadrop.sources.keras.table import check_options, register_layer
from nengo_permadrop.sources.linear.broadcasting import (
    broadcast_matrix,
    common_shape,
)
from nengo_permadrop.sources.operators.arithmetic import joined


@register_layer("Concatenate")
def _concatenate(writer, call, *values):
    check_options(call)
    axis = int(call.spec.config["axis"])
    axis = axis if axis < 0 else axis - 1  # Keras counts the batch axis
    return joined(writer, call, values, axis)


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
