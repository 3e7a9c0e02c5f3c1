"""
What each Keras layer is in the neutral graph: one small function a layer.

A function is registered under the layer's class name. It takes the graph that is being
written, the layer's call and the values that it takes, and returns the value that the
layer gives. To add a layer, add a function here, a test, and a line in CHANGES.rst;
packages add theirs as entry points in the group "nengo_permadrop.keras_layers".
"""

import math

import numpy as np
from scipy import sparse

from nengo_permadrop.graph.dropouts import ALWAYS, NEVER, PLAIN
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.graph.writer import GraphWriter
from nengo_permadrop.neurons.activations import activation_names
from nengo_permadrop.sources.keras.dropouts import PERMANENT_CLASS, PLAIN_CLASS
from nengo_permadrop.sources.keras.softlif import softlif_parameters
from nengo_permadrop.support.registry import Registry

_LAYERS = Registry("layer", "nengo_permadrop.keras_layers")
_WEIGHTS = {}
_KERAS_FUNCTIONS = ("linear", "relu", "sigmoid", "tanh")
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
REFUSED["Lambda"] = (
    "is Python code, which isn't read",
    "Use layers of keras.layers for it; if it drops units, as a Lambda around dropout "
    "does, PermanentDropout(rate) of nengo_permadrop.keras_layers, or "
    "Dropout(rate)(x, training=True)",
)
REFUSED["TFOpLambda"] = REFUSED["SlicingOpLambda"] = (
    "is arithmetic on values, not a layer",
    "Use a layer of keras.layers for it, and PermanentDropout for tf.nn.dropout",
)


def register_layer(*class_names, weights=None):
    """Register what Keras layers with these class names are in the graph.

    Parameters
    ----------
    *class_names : str
    weights : callable, optional
        Takes the layer's configuration; returns two lists of the names of its weights,
        in Keras's order: those that are trained, and the others. Layers with weights
        need it to be read from files; by default there are none.

    Returns
    -------
    decorator : callable
        For ``write(writer, call, *values) -> value``, where ``writer`` is a
        `.GraphWriter`, ``call`` is a `.LayerCall`, and values are the writer's.
    """

    def decorator(function):
        for name in class_names:
            _LAYERS.register(name, function)
            if weights is not None:
                _WEIGHTS[name] = weights
        return function

    return decorator


def weight_names(class_name, config):
    """
    The weights that a layer has, by its configuration.

    Parameters
    ----------
    class_name : str
        Of a layer that there is a converter for.
    config : dict

    Returns
    -------
    trained, others : list of str
        Names, in Keras's order.
    """
    _LAYERS.get(class_name)  # which loads what packages add
    return _WEIGHTS[class_name](config) if class_name in _WEIGHTS else ([], [])


def check_class(where, class_name):
    """
    Raise if there is no converter for a layer's class.

    Parameters
    ----------
    where : object
        Names the layer, as a string.
    class_name : str
    """
    if class_name not in _LAYERS:
        found, fix = REFUSED.get(
            class_name,
            (
                "is a layer without a converter",
                f"Supported are {', '.join(sorted(_LAYERS.names()))}; register a "
                "converter with nengo_permadrop.sources.keras.convert.register_layer",
            ),
        )
        raise ConversionError(str(where), found, fix)


def neutral(model):
    """
    A Keras model as a neutral graph.

    Parameters
    ----------
    model : `.KerasGraph`
        Of which the shapes of the inputs are known.

    Returns
    -------
    graph : `.ModelGraph`

    Raises
    ------
    ConversionError
        If a layer, or something about it, is not supported.
    """
    writer = GraphWriter()
    values = {
        index: writer.input(name, model.shapes[index])
        for name, index in model.inputs.items()
    }
    for call in model.calls:
        taken = [values[index] for index in call.inputs]
        values[call.output] = _write(writer, call, taken)
    for name, index in model.outputs.items():
        writer.output(name, values[index])
    return writer.graph


def _write(writer, call, values):
    check_class(call, call.spec.acts_as)
    return _LAYERS.get(call.spec.acts_as)(writer, call, *values)


def check_options(call, options=None, allowed=()):
    """
    Raise if a layer is called with options that nothing is known about.

    Parameters
    ----------
    call : `.LayerCall`
    options : dict, optional
        By default all that it is called with.
    allowed : sequence of str, optional
        Names of options that make no difference.
    """
    options = call.options if options is None else options
    extra = {name: value for name, value in options.items() if name not in allowed}
    if extra:
        raise ConversionError(
            str(call), f"is called with {extra}", "Call the layer with its inputs only"
        )


def dropout_of(call):
    """
    What a dropout layer drops, and when.

    Parameters
    ----------
    call : `.LayerCall`
        Of a layer that acts as a Keras ``Dropout`` or a ``PermanentDropout``.

    Returns
    -------
    rate : float
    when : str
        As in `.Drop`. A plain ``Dropout`` that is called with an explicit ``training``
        does what that says (but Keras 3 doesn't tell an explicit False from none).
    """
    config, options = call.spec.config, dict(call.options)
    training = options.pop("training", None)
    check_options(call, options)
    if config.get("noise_shape") is not None:
        raise ConversionError(
            str(call),
            f"drops units together (noise_shape={config['noise_shape']})",
            "Use noise_shape=None",
        )
    if "rate" not in config:
        raise ConversionError(
            str(call),
            f"has no rate among its options ({', '.join(sorted(config))})",
            "Use PermanentDropout(rate)",
        )
    rate = float(config["rate"])
    if not 0 <= rate < 1:
        raise ConversionError(str(call), f"has the rate {rate}", "Use a rate in [0, 1)")
    if call.spec.acts_as == PERMANENT_CLASS:
        return rate, ALWAYS
    return rate, PLAIN if training is None else ALWAYS if training else NEVER


def _dense_weights(config):
    return ["kernel", *(["bias"] if config.get("use_bias", True) else [])], []


class WeightsError(ConversionError):
    """Weights that a layer can't have, by its configuration."""


def weight(call, name, shape):
    """
    A layer's weights, of the shape that they must have.

    Parameters
    ----------
    call : `.LayerCall`
    name : str
    shape : tuple of int

    Returns
    -------
    values : ndarray

    Raises
    ------
    WeightsError
        If they have another shape.
    """
    values = call.spec.weights[name]
    if values.shape != tuple(shape):
        raise WeightsError(
            str(call),
            f"has a {name} of shape {values.shape} instead of {tuple(shape)}",
            "Take the weights of this model",
        )
    return values


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
    return _activated(writer, call, value)


@register_layer("Activation")
def _activation(writer, call, value):
    check_options(call)
    # even where it changes nothing, the layer has an operation
    value = writer.affine(*call.named, [value], [None], writer.shape(value))
    return _activated(writer, call, value)


@register_layer("ReLU")
def _relu(writer, call, value):
    check_options(call)
    config = call.spec.config
    for option in ("max_value", "negative_slope", "threshold"):
        if config.get(option):
            raise ConversionError(
                str(call), f"has {option}={config[option]}", "Use a plain ReLU()"
            )
    return writer.activation(*call.named, value, "relu")


@register_layer("SoftLIF")
def _softlif(writer, call, value):
    check_options(call, allowed=("training",))
    parameters = softlif_parameters(call.spec.config)
    return writer.activation(*call.named, value, "softlif", **parameters)


@register_layer(PLAIN_CLASS, PERMANENT_CLASS)
def _dropout(writer, call, value):
    rate, when = dropout_of(call)
    return writer.drop(*call.named, value, rate, when)


def _normalization_weights(config):
    trained = [("gamma", "scale"), ("beta", "center")]
    trained = [name for name, option in trained if config.get(option, True)]
    return trained, ["moving_mean", "moving_variance"]


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
    axis = config["axis"]
    axis = int(axis[0]) if isinstance(axis, (list, tuple)) else int(axis)
    shape = writer.shape(value)
    size = (shape[axis if axis < 0 else axis - 1],)
    found = {name: weight(call, name, size) for name in weights}
    mean = found["moving_mean"].astype(float)
    std = np.sqrt(found["moving_variance"].astype(float) + config["epsilon"])
    scale = found.get("gamma", 1.0) / std
    shift = found.get("beta", 0.0) - mean * scale
    along = [1] * len(shape)
    along[axis if axis < 0 else axis - 1] = -1
    mean, std, scale, shift = (
        np.broadcast_to(each.reshape(along), shape).ravel()
        for each in (mean, std, scale, shift)
    )
    writer.known(value, mean, std)
    matrix = sparse.diags(scale).tocsr()
    return writer.affine(*call.named, [value], [matrix], shape, constant=shift)


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


@register_layer("InputLayer")
def _input(writer, call, value):
    # of a nested model: stands for the value that the model is called with
    return writer.affine(*call.named, [value], [None], writer.shape(value))


def _activated(writer, call, value):
    name = call.spec.config.get("activation", "linear")
    own = isinstance(name, dict)  # how Keras 3 writes a registered function
    if own:
        name = name.get("config", name)
    kind = name.rpartition(">")[2] if isinstance(name, str) else None
    if kind in _KERAS_FUNCTIONS and (own or kind != name):
        raise ConversionError(
            str(call),
            f"has a function of yours as its activation, with Keras's name {kind!r}",
            f"Use activation={kind!r}",
        )
    if kind == "linear":
        return value
    if kind not in activation_names():
        raise ConversionError(
            str(call),
            f"has the activation {name!r}",
            f"Supported are linear, {', '.join(activation_names())}"
            + (
                "; take the softmax of the samples instead (train with "
                "from_logits=True)"
                if kind == "softmax"
                else ""
            ),
        )
    return writer.activation(*call.named, value, kind)


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
