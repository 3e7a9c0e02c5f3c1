"""Layers that take several values."""

import numpy as np
from scipy import sparse

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.table import check_options, register_layer


@register_layer("Concatenate")
def _concatenate(writer, call, *values):
    check_options(call)
    axis = int(call.spec.config["axis"])
    axis = axis if axis < 0 else axis - 1  # Keras counts the batch axis
    places, start = [], 0
    for value in values:
        size = writer.size(value)
        places.append(np.arange(start, start + size).reshape(writer.shape(value)))
        start += size
    order = np.concatenate(places, axis=axis)
    return writer.permuted(*call.named, values, order, order.shape)


@register_layer("Add")
def _add(writer, call, *values):
    shape = _one_shape(writer, call, values)
    return writer.affine(*call.named, values, [None] * len(values), shape)


@register_layer("Average")
def _average(writer, call, *values):
    shape = _one_shape(writer, call, values)
    total = writer.affine(*call.named, values, [None] * len(values), shape)
    mean = sparse.identity(writer.size(total), format="csr") / len(values)
    return writer.affine(*call.named, [total], [mean], shape)


def _one_shape(writer, call, values):
    check_options(call)
    shapes = [writer.shape(value) for value in values]
    if len(set(shapes)) > 1:
        raise ConversionError(
            str(call),
            f"takes values of different shapes, {' and '.join(map(str, shapes))}",
            "Give it values of one shape",
        )
    return shapes[0]
