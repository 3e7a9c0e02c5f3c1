"""Layers that scale and shift by what they have seen."""

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.converters.constants import keras_constant
from nengo_permadrop.sources.keras.table import check_options, register_layer, weight
from nengo_permadrop.sources.linear.broadcasting import (
    broadcast_constant,
    broadcast_matrix,
    common_shape,
)
from nengo_permadrop.sources.operators.layers import standardised

# Keras's epsilon, below which no deviation is divided by
_EPSILON = 1e-7


def _normalization_weights(config):
    trained = [("gamma", "scale"), ("beta", "center")]
    trained = [name for name, option in trained if config.get(option, True)]
    others = ["moving_mean", "moving_variance"]
    if config.get("renorm"):  # of Keras 2
        others += ["moving_stddev", "renorm_mean", "renorm_stddev"]
    return trained, others


@register_layer("BatchNormalization", weights=_normalization_weights)
def _batch_normalization(writer, call, value):
    options = dict(call.options)
    if options.pop("training", None):
        raise ConversionError(
            str(call),
            "is called with training=True, which normalises by the batch",
            "Call it without, so that it uses its moving averages",
        )
    check_options(call, options)
    config, weights = call.spec.config, call.spec.weights
    shape = writer.shape(value)
    axes = _axes(call, config["axis"], len(shape))
    kept = tuple(n if axis in axes else 1 for axis, n in enumerate(shape))
    size = (shape[axes[0]],) if len(axes) == 1 else (1, *kept)
    found = {
        name: weight(call, name, size).reshape(kept)
        for name in weights
        if not name.startswith(("renorm", "moving_stddev"))  # which training needs
    }
    mean = found["moving_mean"].astype(float)
    std = np.sqrt(found["moving_variance"].astype(float) + config["epsilon"])
    scale = found.get("gamma", 1.0) / std
    shift = found.get("beta", 0.0) - mean * scale
    return standardised(writer, call, value, mean, std, scale, shift)


def _axes(call, named, rank):
    """Axes of a value that are named with the batch axis before them."""
    named = named if isinstance(named, (list, tuple)) else [named]
    axes = sorted({int(axis) % (rank + 1) - 1 for axis in named})
    if axes and axes[0] < 0:
        raise ConversionError(
            str(call),
            "has an axis=0, which is that of observations",
            "Give the axes of single observations",
        )
    return axes


def _adapted_weights(config):
    return [], ["mean", "variance", "count"] if config.get("mean") is None else []


@register_layer("Normalization", weights=_adapted_weights)
def _normalization(writer, call, value):
    check_options(call)
    config, shape = call.spec.config, writer.shape(value)
    axis = config.get("axis", -1)
    axes = [] if axis is None else _axes(call, axis, len(shape))
    size = tuple(shape[axis] for axis in axes)
    if config.get("mean") is None:
        mean, variance = (weight(call, name, size) for name in ("mean", "variance"))
    else:
        mean, variance = (
            _given(call, name, config[name], size) for name in ("mean", "variance")
        )
    kept = tuple(n if axis in axes else 1 for axis, n in enumerate(shape))
    mean = mean.astype(float).reshape(kept)
    std = np.maximum(np.sqrt(variance.astype(float).reshape(kept)), _EPSILON)
    if config.get("invert"):
        return standardised(writer, call, value, mean, std, std, mean, known=False)
    return standardised(writer, call, value, mean, std, 1 / std, -mean / std)


def _given(call, name, numbers, size):
    """Numbers of a layer's options for its axes."""
    numbers = keras_constant(call, numbers)
    while numbers.ndim > len(size) and len(numbers) == 1:
        numbers = numbers[0]
    try:
        return np.broadcast_to(numbers, size)
    except ValueError:
        raise ConversionError(
            str(call),
            f"has a {name} of shape {numbers.shape} for axes of shape {size}",
            "Give a number, or one for each element along its axes",
        ) from None


@register_layer("Rescaling")
def _rescaling(writer, call, value):
    check_options(call)
    config, given = call.spec.config, writer.shape(value)
    scale, offset = (
        keras_constant(call, config.get(name, default))
        for name, default in (("scale", 1.0), ("offset", 0.0))
    )
    shape = common_shape(call, [given], [scale.shape, offset.shape])
    matrix = broadcast_matrix(given, shape, broadcast_constant(call, scale, shape))
    constant = broadcast_constant(call, offset, shape)
    return writer.affine(*call.named, [value], [matrix], shape, constant=constant)
