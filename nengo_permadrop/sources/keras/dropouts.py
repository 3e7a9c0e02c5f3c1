"""Which layers are dropout, and when they are on: those that users write, too."""

import re

import numpy as np

from nengo_permadrop.graph.dropouts import ALPHA, drop_terms
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.tensors import as_array, no_gradients

# What the table of layers knows of dropout: ours and CANDLE's class that is always on,
# and Keras's. Values whose channels are dropped have as many axes as these say, without
# that of rows.
PLAIN_CLASS, PERMANENT_CLASS = "Dropout", "PermanentDropout"
SPATIAL_CLASSES = {"SpatialDropout1D": 2, "SpatialDropout2D": 3, "SpatialDropout3D": 4}
KERAS_CLASSES = (PLAIN_CLASS, "AlphaDropout", "GaussianDropout", *SPATIAL_CLASSES)
CLASSES = (PERMANENT_CLASS, *KERAS_CLASSES)

# Whatever a Dropout's get_config may have. A class with more options than these may
# compute more than that
_OPTIONS = {
    "batch_input_shape",
    "data_format",
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
# units that are dropped is off by 0.1 in fewer than one of 10^17 layers (Hoeffding);
# the deviation of noise by a tenth in one of 10^9, its mean by 6 standard errors, too.
_UNITS = 2000
_SHARE = 0.1


def dropout_class(layer):
    """
    The class that a layer in memory acts as: what a user's own dropout does.

    A subclass of one of Keras's dropouts is tried on values of 1, outside of training:
    one that drops them then, as the ``MCDropout`` of textbooks, is permanent dropout.

    Parameters
    ----------
    layer : `keras.layers.Layer`

    Returns
    -------
    class_name : str
        One of `CLASSES` for what acts as these, otherwise its own.
    always : bool
        Whether it is a user's class that is always on.

    Raises
    ------
    ConversionError
        If it does something else than its Keras class at its rate, or nothing.
    """
    bases = [
        base.__name__
        for base in type(layer).__mro__
        if base.__module__.partition(".")[0] == "keras"
    ]
    own = type(layer).__name__
    name = next((name for name in bases if name in KERAS_CLASSES), None)
    if name is None or type(layer).__module__.startswith(_KNOWN_MODULES):
        return own, False
    rate = float(layer.rate)
    if rate == 0 or _shares_masks(layer):
        return name, False
    values = _tried(layer, name)
    if np.allclose(values, 1.0):
        return name, False
    if _DOES[name](values, rate):
        return name, True
    raise ConversionError(
        f"layer '{layer.name}' ({own})",
        f"is a {name} with rate={rate:g}, but of values of 1 it drops "
        f"{np.mean(values == 0):.0%} and makes others "
        f"{np.unique(values[values != 0])[:3]}",
        "Use PermanentDropout, or a subclass of Keras's dropout that calls its call() "
        "with training=True",
    )


def dropout_options(layer):
    """
    Options of a dropout in memory that Keras leaves out of its configuration.

    Keras 2 leaves out the ``data_format`` of a SpatialDropout and the ``noise_shape``
    of an AlphaDropout, with which they drop nevertheless.

    Parameters
    ----------
    layer : `keras.layers.Layer`

    Returns
    -------
    options : dict
    """
    names = [base.__name__ for base in type(layer).__mro__]
    if not any(name in KERAS_CLASSES for name in names):
        return {}
    options = ("data_format", "noise_shape")
    return {name: getattr(layer, name) for name in options if hasattr(layer, name)}


def _shares_masks(layer):
    """Whether all rows have one mask, which is told of when it is converted."""
    noise_shape = getattr(layer, "noise_shape", None)
    return noise_shape is not None and noise_shape[0] == 1


def _tried(layer, name):
    """What a layer makes of values of 1; a copy of it, where there can be one."""
    noise_shape = getattr(layer, "noise_shape", None)
    if noise_shape is not None:
        shape = (noise_shape[0] or _UNITS, *(size or 1 for size in noise_shape[1:]))
    elif name in SPATIAL_CLASSES:
        shape = (_UNITS,) + (1,) * SPATIAL_CLASSES[name]
    else:
        shape = (1, _UNITS)
    try:
        layer = type(layer).from_config(layer.get_config())
    except Exception:  # whatever a user's class raises; its numbers will do then
        pass
    with no_gradients():
        values = as_array(layer(np.ones(shape, dtype=np.float32)))
    return values.astype(float).ravel()


def _drops_units(values, rate):
    dropped = values == 0
    kept_right = np.allclose(values[~dropped], 1.0 / (1.0 - rate), rtol=1e-2)
    return kept_right and abs(dropped.mean() - rate) < _SHARE


def _adds_noise(values, rate):
    deviation = np.sqrt(rate / (1.0 - rate))
    mean_right = abs(values.mean() - 1.0) < 6 * deviation / np.sqrt(values.size)
    return mean_right and abs(values.std() / deviation - 1.0) < _SHARE


def _saturates_units(values, rate):
    dropped, kept = (
        np.isclose(values, float(scale + shift), rtol=1e-2)
        for scale, shift in (drop_terms(ALPHA, rate, np.array(m)) for m in (0.0, 1.0))
    )
    return bool(np.all(dropped | kept)) and abs(dropped.mean() - rate) < _SHARE


_DOES = {name: _drops_units for name in (PLAIN_CLASS, *SPATIAL_CLASSES)}
_DOES["GaussianDropout"] = _adds_noise
_DOES["AlphaDropout"] = _saturates_units


def named_dropout(class_name, config, names):
    """
    What a user's class, of which only the name is known, is of permanent dropouts.

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
    class_name : str or None
        One of `CLASSES`: the one whose kind is in its name, such as "AlphaDropout" for
        ``MCAlphaDropout``. None if it isn't one: it is if it is named, or if its name
        ends as those of Keras's dropouts do and it has no options but theirs.
    """
    found = re.search(r"Dropout([123]D)?$", class_name)
    known = found and "rate" in config and set(config) <= _OPTIONS
    if not known and class_name not in names:
        return None
    if "Spatial" in class_name:
        axes = re.search("[123]D$", class_name)  # how many doesn't matter, without
        return f"SpatialDropout{axes[0] if axes else '2D'}"
    kind = next((kind for kind in ("Alpha", "Gaussian") if kind in class_name), "")
    return kind + PLAIN_CLASS
