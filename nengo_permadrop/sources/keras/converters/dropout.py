"""Dropout layers."""

from nengo_permadrop.graph.dropouts import ALWAYS, NEVER, PLAIN
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.dropouts import PERMANENT_CLASS, PLAIN_CLASS
from nengo_permadrop.sources.keras.table import check_options, register_layer


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


@register_layer(PLAIN_CLASS, PERMANENT_CLASS)
def _dropout(writer, call, value):
    rate, when = dropout_of(call)
    return writer.drop(*call.named, value, rate, when)
