"""
What Keras calls activations, and what they are in the neutral graph.

Names, and layers that other layers take as their activation, give a kind and parameters
of an `.Activation`. Where a model ends with one that is a link, it is one.
"""

from dataclasses import replace

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.graph.links import LINK_NAMES
from nengo_permadrop.neurons.activations import activation_names

_KINDS = {
    "celu": ("elu", {}),
    "elu": ("elu", {}),
    "exponential": ("exp", {}),
    "gelu": ("gelu", {}),
    "hard_sigmoid": ("hard_sigmoid", {}),
    "leaky_relu": ("relu", {"negative_slope": 0.2}),
    "linear": (None, {}),
    "mish": ("mish", {}),
    "relu": ("relu", {}),
    "relu6": ("relu", {"max_value": 6.0}),
    "selu": ("selu", {}),
    "sigmoid": ("sigmoid", {}),
    "silu": ("silu", {}),
    "softmax": ("softmax", {}),
    "softplus": ("softplus", {}),
    "swish": ("silu", {}),
    "tanh": ("tanh", {}),
}

# A layer that applies another one to each step
WRAPPER = "TimeDistributed"

# Slopes of the hard sigmoid, by the major version of Keras
_HARD_SIGMOID = {1: 0.2, 2: 0.2, 3: 1 / 6}

# Layers that end with the function that their option "activation" names
_ACTIVATED = {"Activation", "Dense", "EinsumDense"} | {
    f"{kind}{n}D{transposed}"
    for kind in ("Conv", "DepthwiseConv", "SeparableConv")
    for n in (1, 2, 3)
    for transposed in ("", "Transpose")
}


def _number(call, config, name, default, low=-np.inf):
    """An option that is a number, as a float, or the default if it isn't given."""
    value = config.get(name)
    if isinstance(value, dict):  # how Keras 2.12 writes arrays into .keras files
        value = value.get("config", {}).get("value")
    if value is None:
        return default
    value = float(np.asarray(value))
    if not (np.isfinite(value) and value >= low):
        raise ConversionError(
            str(call),
            f"has {name}={value:g}",
            "Use a finite number" + ("" if low < 0 else f" of at least {low:g}"),
        )
    return value


def _relu(call, config):
    threshold = _number(call, config, "threshold", 0.0)
    if threshold:
        raise ConversionError(
            str(call),
            f"has threshold={threshold:g}, where it jumps: a sum of rates that follow "
            "what neurons get has no jumps",
            "Use threshold=0, and a bias of the layer before it",
        )
    # none of the two where it changes nothing, as in the function "relu"
    most = _number(call, config, "max_value", None, 0.0)
    slope = _number(call, config, "negative_slope", 0.0)
    parameters = {} if most is None else {"max_value": most}
    if slope:
        parameters["negative_slope"] = slope
    return "relu", parameters


def _leaky_relu(call, config):
    # which it is called in Keras 3, and in Keras 2
    slope = _number(call, config, "alpha", 0.3)
    return "relu", {"negative_slope": _number(call, config, "negative_slope", slope)}


def _elu(call, config):
    return "elu", {"alpha": _number(call, config, "alpha", 1.0, 0.0)}


def _softmax(call, config):
    return "softmax", {}


# Layers that are activations, and have no weights
LAYERS = {
    "ELU": _elu,
    "LeakyReLU": _leaky_relu,
    "ReLU": _relu,
    "Softmax": _softmax,
}


def activation_of(call):
    """
    The activation that a layer ends with.

    Parameters
    ----------
    call : `.LayerCall`
        With an ``activation`` among its options, or without one.

    Returns
    -------
    kind : str or None
        As in `.Activation`; None if there is none.
    parameters : dict

    Raises
    ------
    ConversionError
        If it isn't known.
    """
    name = call.spec.config.get("activation", "linear")
    name = "linear" if name is None else name
    own = isinstance(name, dict)  # a registered function in Keras 3, or a layer
    if own and isinstance(name.get("config"), dict):
        found = _layer_kind(call, name)
        if found is not None:
            return found
    if own:
        name = name.get("config", name)
    kind = name.rpartition(">")[2] if isinstance(name, str) else None
    if kind in _KINDS and (own or kind != name):
        raise ConversionError(
            str(call),
            f"has a function of yours as its activation, with Keras's name {kind!r}",
            f"Use activation={kind!r}",
        )
    if kind == "hard_sigmoid":
        return kind, {"slope": _hard_sigmoid_slope(call)}
    if kind in _KINDS:
        kind, parameters = _KINDS[kind]
        return kind, dict(parameters)
    if kind in activation_names():
        return kind, {}
    supported = sorted({*_KINDS, *activation_names()})
    raise ConversionError(
        str(call),
        f"has the activation {name!r}",
        f"Supported are {', '.join(supported)}",
    )


def _layer_kind(call, data):
    """Kind and parameters of a layer that another one has as its activation."""
    class_name, module = data.get("class_name"), data.get("module") or "keras"
    if not str(module).startswith("keras"):
        return None
    if class_name in LAYERS:
        return LAYERS[class_name](call, data["config"])
    if class_name == "PReLU":
        raise ConversionError(
            str(call),
            "has a PReLU layer as its activation, whose weights are not its own",
            "Put the PReLU layer behind it",
        )
    return None


def _hard_sigmoid_slope(call):
    slope = _HARD_SIGMOID.get(call.spec.generation)
    if slope is None:
        raise ConversionError(
            str(call),
            "has the activation 'hard_sigmoid', which is another function in Keras 2 "
            "than in Keras 3, and the file doesn't say which it is of",
            "Save the model again",
        )
    return slope


def activated(writer, call, value):
    """
    A value behind the activation that its layer ends with.

    Parameters
    ----------
    writer : `.GraphWriter`
    call : `.LayerCall`
        With an ``activation`` among its options, or without one.
    value : int

    Returns
    -------
    value : int

    Raises
    ------
    ConversionError
        If it isn't known.
    """
    kind, parameters = activation_of(call)
    if kind is None:
        return value
    return writer.activation(*call.named, value, kind, **parameters)


def wrapped(call):
    """The call of the layer that TimeDistributed applies, or else the call itself."""
    if call.spec.acts_as != WRAPPER:
        return call
    layer = call.spec.config["layer"]
    name = str(layer["class_name"])
    spec = replace(call.spec, class_name=name, config=layer["config"], acts_as=name)
    return replace(call, spec=spec)


def links_of(model):
    """
    The links of a model's outputs.

    A softmax, sigmoid, exponential or softplus that an output ends with is one, if
    nothing else takes what it gives.

    Parameters
    ----------
    model : `.KerasGraph`

    Returns
    -------
    links : {str: (`.LayerCall`, str)}
        By output: the call that ends with it, and its kind.
    """
    taken = {index for call in model.calls for index in call.inputs}
    last = {call.output: call for call in model.calls}
    links = {}
    for name, index in model.outputs.items():
        call = last.get(index)
        if call is None or index in taken:
            continue
        kind, last_call = None, wrapped(call)
        if last_call.spec.acts_as == "Softmax":
            kind = "softmax"
        elif last_call.spec.acts_as in _ACTIVATED:
            try:
                kind, _ = activation_of(last_call)
            except ConversionError:  # which is told where the layer is converted
                continue
        if kind in LINK_NAMES:
            links[name] = call, kind
    return links


def check_softmax_axis(call, shape):
    """Raise if a Softmax layer isn't over the last axis of a value."""
    axis = call.spec.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
    if axis not in (-1, len(shape)):  # Keras counts the batch axis
        raise ConversionError(
            str(call), f"has axis={axis}", "Use axis=-1, after a Permute if need be"
        )
