"""Layers that put the same elements elsewhere."""

import math

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.table import check_options, register_layer


@register_layer("Flatten")
def _flatten(writer, call, value):
    check_options(call)
    data_format = call.spec.config.get("data_format")
    if data_format == "channels_first" and len(writer.shape(value)) > 1:
        raise ConversionError(
            str(call), "has data_format='channels_first'", "Use channels_last"
        )
    return writer.affine(*call.named, [value], [None], (writer.size(value),))


@register_layer("Reshape")
def _reshape(writer, call, value):
    check_options(call)
    size, shape = writer.size(value), [int(n) for n in call.spec.config["target_shape"]]
    if shape.count(-1) == 1:
        shape[shape.index(-1)] = size // max(1, -math.prod(shape))
    if min(shape, default=1) < 0 or math.prod(shape) != size:
        raise ConversionError(
            str(call),
            f"makes the shape {tuple(call.spec.config['target_shape'])} of "
            f"{writer.shape(value)}",
            "Use a shape of as many elements",
        )
    return writer.affine(*call.named, [value], [None], tuple(shape))


@register_layer("InputLayer")
def _input(writer, call, value):
    # of a nested model: stands for the value that the model is called with
    return writer.affine(*call.named, [value], [None], writer.shape(value))
