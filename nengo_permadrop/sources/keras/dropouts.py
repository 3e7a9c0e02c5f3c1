"""Which layers are dropout, and when they are on: those that users write, too."""

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.tensors import as_array, no_gradients

# What the table of layers knows of dropout: a rate, and whether it is always on
PLAIN_CLASS, PERMANENT_CLASS = "Dropout", "PermanentDropout"

# Layers of Keras whose names end in Dropout that don't drop single units
OTHER_CLASSES = (
    "AlphaDropout",
    "GaussianDropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
)

# Whatever a Dropout's get_config may have. A class with more options than these may
# compute more than that
_OPTIONS = {
    "batch_input_shape",
    "dtype",
    "name",
    "noise_shape",
    "rate",
    "seed",
    "trainable",
}

# Of Keras's own layers and ours
_KNOWN_MODULES = ("keras.", "nengo_permadrop.")

# So many units of value 1 are dropped at once to see what a layer does. The share of
# units that are dropped is off by 0.1 in fewer than one of 10^17 layers (Hoeffding).
_UNITS = 2000
_SHARE = 0.1


def dropout_class(layer):
    """
    The class that a layer in memory acts as: what a user's own dropout does.

    A subclass of Keras's ``Dropout`` is tried on values of 1, outside of training: one
    that drops them then, as the ``MCDropout`` of textbooks, is permanent dropout.

    Parameters
    ----------
    layer : `keras.layers.Layer`

    Returns
    -------
    class_name : str
        "Dropout" or "PermanentDropout" for what acts as these, the name of its Keras
        class for a subclass of another kind of dropout, otherwise its own.

    Raises
    ------
    ConversionError
        If it does something else than to drop units at its rate, or nothing.
    """
    bases = [
        base.__name__
        for base in type(layer).__mro__
        if base.__module__.partition(".")[0] == "keras"
    ]
    own = type(layer).__name__
    other = next((name for name in bases if name in OTHER_CLASSES), None)
    if other is not None:
        return other
    if PLAIN_CLASS not in bases or type(layer).__module__.startswith(_KNOWN_MODULES):
        return own
    rate = float(layer.rate)
    if rate == 0 or layer.noise_shape is not None:
        return PLAIN_CLASS
    values = _tried(layer)
    dropped = values == 0
    if np.allclose(values, 1.0):
        return PLAIN_CLASS
    kept_right = np.allclose(values[~dropped], 1.0 / (1.0 - rate), rtol=1e-2)
    if kept_right and abs(dropped.mean() - rate) < _SHARE:
        return PERMANENT_CLASS
    raise ConversionError(
        f"layer '{layer.name}' ({own})",
        f"is a Dropout with rate={rate:g}, but of values of 1 it drops "
        f"{dropped.mean():.0%} and makes others {np.unique(values[~dropped])[:3]}",
        "Use PermanentDropout, or a subclass of Dropout that calls its call() with "
        "training=True",
    )


def _tried(layer):
    """What a layer makes of values of 1; a copy of it, where there can be one."""
    try:
        layer = type(layer).from_config(layer.get_config())
    except Exception:  # whatever a user's class raises; its numbers will do then
        pass
    with no_gradients():
        values = as_array(layer(np.ones((1, _UNITS), dtype=np.float32)))
    return values[0].astype(float)


def named_dropout(class_name, config, names):
    """
    Whether a user's class, of which only the name is known, is permanent dropout.

    Parameters
    ----------
    class_name : str
        Without its package.
    config : dict
        Of the layer.
    names : sequence of str
        What the user says are permanent dropouts.

    Returns
    -------
    permanent : bool
        It is if it is named, or if its name ends in "Dropout" and it has no options but
        those of Keras's ``Dropout``.
    """
    if class_name in names:
        return True
    return (
        class_name.endswith("Dropout") and "rate" in config and set(config) <= _OPTIONS
    )
