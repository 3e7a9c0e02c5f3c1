"""Activations that are layers of their own."""

import numpy as np

from nengo_permadrop.sources.keras.activations import (
    LAYERS,
    activated,
    check_softmax_axis,
)
from nengo_permadrop.sources.keras.softlif import softlif_parameters
from nengo_permadrop.sources.keras.table import check_options, register_layer, weight


@register_layer("Activation")
def _activation(writer, call, value):
    check_options(call)
    # even where it changes nothing, the layer has an operation
    value = writer.affine(*call.named, [value], [None], writer.shape(value))
    return activated(writer, call, value)


@register_layer(*LAYERS)
def _layer(writer, call, value):
    check_options(call)
    name = call.spec.acts_as
    if name == "Softmax":
        check_softmax_axis(call, writer.shape(value))
    kind, parameters = LAYERS[name](call, call.spec.config)
    return writer.activation(*call.named, value, kind, **parameters)


def _prelu_weights(config):
    return ["alpha"], []


@register_layer("PReLU", weights=_prelu_weights)
def _prelu(writer, call, value):
    check_options(call)
    shape = list(writer.shape(value))
    for axis in call.spec.config.get("shared_axes") or ():
        shape[axis - 1] = 1  # Keras counts the batch axis
    alpha = weight(call, "alpha", shape).astype(float)
    slopes = np.broadcast_to(alpha, writer.shape(value)).ravel()
    return writer.activation(*call.named, value, "relu", negative_slope=slopes)


@register_layer("SoftLIF")
def _softlif(writer, call, value):
    check_options(call, allowed=("training",))
    parameters = softlif_parameters(call.spec.config)
    return writer.activation(*call.named, value, "softlif", **parameters)
