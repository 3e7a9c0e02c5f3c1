"""
Links: the functions between a network's linear readout and the model's output.

A link is applied to the mean of what is read, never to spikes: a softmax needs all
elements at once, and an exponential of something that fluctuates isn't the exponential
of its mean.
"""

import numpy as np
from nengo.exceptions import ValidationError
from scipy import special


def _softplus(x):
    return np.logaddexp(0.0, x)


def _softmax(x):
    return special.softmax(x, axis=-1)


_LINKS = {
    "exp": np.exp,
    "sigmoid": special.expit,
    "softmax": _softmax,
    "softplus": _softplus,
}

# Kinds that neurons don't compute: they are only ever links
ONLY_LINKS = ("exp", "softmax")

LINK_NAMES = tuple(_LINKS)


def apply_link(kind, values, shape=None):
    """
    What a link makes of values.

    Parameters
    ----------
    kind : str
        One of `LINK_NAMES`.
    values : (..., size) array_like
    shape : tuple of int, optional
        Of an output, of ``size`` elements: a softmax goes over its last axis. By
        default all elements are one axis.

    Returns
    -------
    linked : (..., size) ndarray
        Computed in double precision, and of the type of ``values`` if that is a
        floating point type.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is no such link.
    """
    if kind not in _LINKS:
        raise ValidationError(
            f"there is no link {kind!r}; there are {', '.join(LINK_NAMES)}", attr="link"
        )
    values = np.asarray(values)
    last = values.shape[-1] if shape is None else shape[-1]
    parts = values.astype(float).reshape(*values.shape[:-1], -1, last)
    with np.errstate(over="ignore"):  # infinite values are found where samples are made
        linked = _LINKS[kind](parts).reshape(values.shape)
    return linked.astype(values.dtype if values.dtype.kind == "f" else float)
