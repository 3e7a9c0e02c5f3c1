"""Dropout layers."""

import numpy as np

from nengo_permadrop.graph.dropouts import (
    ALPHA,
    ALWAYS,
    BERNOULLI,
    GAUSSIAN,
    NEVER,
    PLAIN,
)
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.dropouts import (
    CLASSES,
    PERMANENT_CLASS,
    SPATIAL_CLASSES,
)
from nengo_permadrop.sources.keras.table import check_options, register_layer

_KINDS = {"AlphaDropout": ALPHA, "GaussianDropout": GAUSSIAN}


def drop_of(call, shape):
    """
    What a dropout layer drops, and when.

    Parameters
    ----------
    call : `.LayerCall`
        Of a layer that acts as one of `.keras.dropouts.CLASSES`.
    shape : tuple of int
        Of the value that it drops elements of.

    Returns
    -------
    drop : dict
        ``rate``, ``when``, ``kind`` and ``groups``, as in `.Drop`. A plain ``Dropout``
        that is called with an explicit ``training`` does what that says (but Keras 3
        doesn't tell an explicit False from none).

    Raises
    ------
    ConversionError
        If it has no rate in [0, 1), is called with other options, or drops what an
        observation can't have for itself.
    """
    config, options = call.spec.config, dict(call.options)
    training = options.pop("training", None)
    check_options(call, options)
    if "rate" not in config:
        raise ConversionError(
            str(call),
            f"has no rate among its options ({', '.join(sorted(config))})",
            "Use PermanentDropout(rate)",
        )
    rate = float(config["rate"])
    if not 0 <= rate < 1:
        raise ConversionError(str(call), f"has the rate {rate}", "Use a rate in [0, 1)")
    name = call.spec.acts_as
    if call.spec.always or name == PERMANENT_CLASS:
        when = ALWAYS
    else:
        when = PLAIN if training is None else ALWAYS if training else NEVER
    by_channels = name in SPATIAL_CLASSES
    groups = (_channels if by_channels else _noise_groups)(call, shape)
    kind = _KINDS.get(name, BERNOULLI)
    return {"rate": rate, "when": when, "kind": kind, "groups": groups}


def _channels(call, shape):
    """The channel of each element, ``shape``."""
    n_axes = SPATIAL_CLASSES.get(call.spec.class_name, len(shape))  # of a user's: any
    if len(shape) < 2 or n_axes != len(shape):
        raise ConversionError(
            str(call),
            f"drops channels of a value of shape {shape}",
            "Give it a value with channels and as many other axes as its name says",
        )
    first = call.spec.config.get("data_format") == "channels_first"
    # SpatialDropout1D has no such option: its channels are always last
    axis = 0 if first and len(shape) > 2 else len(shape) - 1
    along = [1] * len(shape)
    along[axis] = -1
    return np.broadcast_to(np.arange(shape[axis]).reshape(along), shape)


def _noise_groups(call, shape):
    """Groups of the elements that share a mask, ``shape``; None if none do."""
    noise_shape = call.spec.config.get("noise_shape")
    if noise_shape is None:
        return None
    wanted = f"Use None for the axis of rows, then 1 or the value's own size ({shape})"
    batch, *sizes = noise_shape
    if len(noise_shape) <= len(shape) or batch == 1:
        raise ConversionError(
            str(call),
            f"has noise_shape={tuple(noise_shape)}, by which all rows of a batch have "
            "one mask",
            f'{wanted}, and masks="draw" in sample()',
        )
    fits = len(sizes) == len(shape) and all(
        size in (None, 1, own) for size, own in zip(sizes, shape)
    )
    if not fits:
        raise ConversionError(
            str(call),
            f"has noise_shape={tuple(noise_shape)}, and values of shape {shape}",
            wanted,
        )
    counts = [own if size is None else int(size) for size, own in zip(sizes, shape)]
    if tuple(counts) == tuple(shape):
        return None
    return np.broadcast_to(np.arange(np.prod(counts)).reshape(counts), shape)


@register_layer(*CLASSES)
def _dropout(writer, call, value):
    return writer.drop(*call.named, value, **drop_of(call, writer.shape(value)))
