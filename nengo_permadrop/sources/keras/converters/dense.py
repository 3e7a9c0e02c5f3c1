"""Dense layers."""

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.converters.activation import activated
from nengo_permadrop.sources.keras.table import check_options, register_layer, weight


def _dense_weights(config):
    return ["kernel", *(["bias"] if config.get("use_bias", True) else [])], []


@register_layer("Dense", weights=_dense_weights)
def _dense(writer, call, value):
    check_options(call)
    shape = writer.shape(value)
    if len(shape) != 1:
        raise ConversionError(
            str(call),
            f"takes a value of shape {shape}",
            "Only vectors are supported; add a Flatten layer before it",
        )
    units = int(call.spec.config["units"])
    kernel = weight(call, "kernel", (*shape, units))
    biased = "bias" in call.spec.weights
    if kernel.dtype not in (np.float32, np.float64):  # twice as long ones take memory
        kernel = kernel.astype(np.float32)
    value = writer.affine(
        *call.named,
        [value],
        [kernel.T],
        (units,),
        constant=weight(call, "bias", (units,)).astype(float) if biased else None,
        macs=kernel.size,
    )
    return activated(writer, call, value)
