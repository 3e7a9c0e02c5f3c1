"""
One small converter a Keras layer.

A converter is a function of the network that is being built, the layer's call and the
values that it takes, registered under the layer's class name; it returns the value that
the layer gives. To add a layer, add a function here, a test, and a line in CHANGES.rst.
"""

import numpy as np
from scipy import sparse

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.graph.linear import stacked, summed
from nengo_permadrop.neurons.activations import ACTIVATIONS

CONVERTERS = {}
REFUSED = {
    name: (
        "drops whole feature maps, not units",
        "Use PermanentDropout, which drops units",
    )
    for name in ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
}
REFUSED["GaussianDropout"] = REFUSED["AlphaDropout"] = (
    "doesn't drop units but adds noise to them",
    "Use PermanentDropout, which drops units",
)
REFUSED["Softmax"] = (
    "has no counterpart in neurons",
    "Remove it and take the softmax of the samples (train with from_logits=True)",
)


def register_layer(*class_names):
    """Register the converter of Keras layers with these class names.

    Parameters
    ----------
    *class_names : str

    Returns
    -------
    decorator : callable
        For ``convert(builder, call, *values) -> Value``, where ``builder`` makes Nengo
        objects (see `.build.NetworkBuilder`), ``call`` is a `.graph.LayerCall` and
        each of ``values`` is a `.linear.Value`.
    """

    def decorator(function):
        for name in class_names:
            CONVERTERS[name] = function
        return function

    return decorator


def convert_call(builder, call, values):
    """The value that a layer gives, by its registered converter.

    Raises
    ------
    ConversionError
        If the layer, or something about it, is not supported.
    """
    class_name = call.spec.class_name
    if class_name not in CONVERTERS:
        found, mend = REFUSED.get(
            class_name,
            (
                "is a layer without a converter",
                f"Supported are {', '.join(sorted(CONVERTERS))}; register a converter "
                "with nengo_permadrop.sources.keras.convert.register_layer",
            ),
        )
        raise ConversionError(describe(call), found, mend)
    return CONVERTERS[class_name](builder, call, *values)


def describe(call):
    """A layer, for messages: its path in the model and its class."""
    return f"layer '{call.path}' ({call.spec.class_name})"


def permanent_rate(call, dropout):
    """
    The probability that a dropout layer drops a unit at prediction time.

    Parameters
    ----------
    call : `.graph.LayerCall`
        Of a Keras ``Dropout`` or a ``PermanentDropout``.
    dropout : {"permanent", "off"}
        What a plain ``Dropout`` means; one that is called with an explicit ``training``
        does what that says (but Keras 3 doesn't tell an explicit False from none).

    Returns
    -------
    rate : float
    """
    config, options = call.spec.config, dict(call.options)
    training = options.pop("training", None)
    _no_options(call, options)
    if config.get("noise_shape") is not None:
        raise ConversionError(
            describe(call),
            f"drops units together (noise_shape={config['noise_shape']})",
            "Use noise_shape=None",
        )
    rate = float(config["rate"])
    if not 0 <= rate < 1:
        raise ConversionError(
            describe(call), f"has the rate {rate}", "Use a rate in [0, 1)"
        )
    permanent = call.spec.class_name == "PermanentDropout" or (
        dropout == "permanent" if training is None else training
    )
    return rate if permanent else 0.0


@register_layer("Dense")
def _dense(builder, call, value):
    _no_options(call, call.options)
    if len(value.shape) != 1:
        raise ConversionError(
            describe(call),
            f"takes a value of shape {value.shape}",
            "Only vectors are supported; add a Flatten layer before it",
        )
    weights = call.spec.weights
    kernel = weights["kernel"].astype(float)
    result = value.transformed(kernel.T, (kernel.shape[1],))
    if "bias" in weights:
        result = result.shifted(weights["bias"].astype(float))
    return _activated(builder, call, result)


@register_layer("Activation")
def _activation(builder, call, value):
    _no_options(call, call.options)
    return _activated(builder, call, value)


@register_layer("ReLU")
def _relu(builder, call, value):
    _no_options(call, call.options)
    config = call.spec.config
    for option in ("max_value", "negative_slope", "threshold"):
        if config.get(option):
            raise ConversionError(
                describe(call), f"has {option}={config[option]}", "Use a plain ReLU()"
            )
    return builder.activate(call, value, ACTIVATIONS["relu"])


@register_layer("SoftLIF")
def _softlif(builder, call, value):
    _no_options(call, call.options, allowed=("training",))
    return builder.activate(call, value, ACTIVATIONS["softlif"])


@register_layer("Dropout", "PermanentDropout")
def _dropout(builder, call, value):
    rate = permanent_rate(call, builder.dropout)
    return builder.drop(call, value, rate) if rate > 0 else value


@register_layer("BatchNormalization")
def _batch_normalization(builder, call, value):
    options = dict(call.options)
    if options.pop("training", None):
        raise ConversionError(
            describe(call),
            "is called with training=True, which normalises by the batch",
            "Call it without, so that it uses its moving averages",
        )
    _no_options(call, options)
    config, weights = call.spec.config, call.spec.weights
    axis = config["axis"]
    axis = int(axis[0]) if isinstance(axis, (list, tuple)) else int(axis)
    scale = (
        1.0
        / np.sqrt(weights["moving_variance"].astype(float) + config["epsilon"])
        * weights.get("gamma", 1.0)
    )
    shift = weights.get("beta", 0.0) - weights["moving_mean"].astype(float) * scale
    along = [1] * len(value.shape)
    along[axis if axis < 0 else axis - 1] = -1
    scale = np.broadcast_to(scale.reshape(along), value.shape).ravel()
    shift = np.broadcast_to(shift.reshape(along), value.shape).ravel()
    return value.transformed(sparse.diags(scale).tocsr(), value.shape).shifted(shift)


@register_layer("Flatten")
def _flatten(builder, call, value):
    _no_options(call, call.options)
    if call.spec.config.get("data_format") == "channels_first" and len(value.shape) > 1:
        raise ConversionError(
            describe(call),
            "has data_format='channels_first'",
            "Use channels_last",
        )
    return value.reshaped((value.size,))


@register_layer("Reshape")
def _reshape(builder, call, value):
    _no_options(call, call.options)
    return value.reshaped(builder.graph.shapes[call.output])


@register_layer("Concatenate")
def _concatenate(builder, call, *values):
    _no_options(call, call.options)
    axis = int(call.spec.config["axis"])
    axis = axis if axis < 0 else axis - 1  # Keras counts the batch axis
    places, start = [], 0
    for value in values:
        places.append(np.arange(start, start + value.size).reshape(value.shape))
        start += value.size
    order = np.concatenate(places, axis=axis)
    return stacked(values).permuted(order.ravel(), order.shape)


@register_layer("Add")
def _add(builder, call, *values):
    return summed(_of_one_shape(call, values), values[0].shape)


@register_layer("Average")
def _average(builder, call, *values):
    total = summed(_of_one_shape(call, values), values[0].shape)
    mean = sparse.identity(total.size, format="csr") / len(values)
    return total.transformed(mean, total.shape)


@register_layer("InputLayer")
def _input(builder, call, value):
    # of a nested model: stands for the value that the model is called with
    return value


def _activated(builder, call, value):
    name = call.spec.config.get("activation", "linear")
    if isinstance(name, dict):  # how Keras 3 writes a registered function
        name = name.get("config", name)
    key = name.rpartition(">")[2] if isinstance(name, str) else None
    if key == "linear":
        return value
    if key not in ACTIVATIONS:
        raise ConversionError(
            describe(call),
            f"has the activation {name!r}",
            f"Supported are linear, {', '.join(sorted(ACTIVATIONS))}"
            + (
                "; take the softmax of the samples instead (train with "
                "from_logits=True)"
                if key == "softmax"
                else ""
            ),
        )
    return builder.activate(call, value, ACTIVATIONS[key])


def _of_one_shape(call, values):
    _no_options(call, call.options)
    if len({value.shape for value in values}) > 1:
        shapes = " and ".join(str(value.shape) for value in values)
        raise ConversionError(
            describe(call),
            f"takes values of different shapes, {shapes}",
            "Give it values of one shape",
        )
    return values


def _no_options(call, options, allowed=()):
    extra = {name: value for name, value in options.items() if name not in allowed}
    if extra:
        raise ConversionError(
            describe(call),
            f"is called with {extra}",
            "Call the layer with its inputs only",
        )
