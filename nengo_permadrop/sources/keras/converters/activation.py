"""Activations: layers of their own, and those that other layers end with."""

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.neurons.activations import activation_names
from nengo_permadrop.sources.keras.softlif import softlif_parameters
from nengo_permadrop.sources.keras.table import check_options, register_layer

_KERAS_FUNCTIONS = ("linear", "relu", "sigmoid", "tanh")


@register_layer("Activation")
def _activation(writer, call, value):
    check_options(call)
    # even where it changes nothing, the layer has an operation
    value = writer.affine(*call.named, [value], [None], writer.shape(value))
    return activated(writer, call, value)


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
        If there are no neurons for it.
    """
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
