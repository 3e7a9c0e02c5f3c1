"""
Masks and seeds: which units one draw keeps, as pure functions of integers.

Everything random about a dropout mask is decided here, so that every backend takes
the same masks from the same seed. A connection's seed gives a 64-bit *key*; unit ``i``
of redraw ``k`` is kept when a uniform number that depends only on ``(key, k, i)`` is
at least the dropout rate. The numbers come from SplitMix64 [1]_, a counter-based
generator: the masks of many replicas are computed at once, without a generator object
a connection, and mask ``k`` doesn't depend on masks ``0 .. k - 1`` having been drawn.

Units of a group share the number of the group, wherever they are: ``i`` is then not a
unit's place but its group. Gaussian noise is the normal quantile of the same uniform
number.

References
----------
.. [1] Steele, G. L., Lea, D., & Flood, C. H. (2014). Fast splittable pseudorandom
   number generators. ACM SIGPLAN Notices 49(10), 453-472.
"""

import numpy as np
from scipy import special

from nengo_permadrop.dropout.seeds import _GAMMA, mix64
from nengo_permadrop.graph.dropouts import BERNOULLI, GAUSSIAN

# What dropout multiplies units by: 0 or 1 / (1 - rate), or a normal number of the same
# mean and variance, 1 and rate / (1 - rate)
NOISES = (BERNOULLI, GAUSSIAN)


def mask_key(rng):
    """Take the 64-bit key of a connection's masks from its random number generator.

    Parameters
    ----------
    rng : `numpy.random.RandomState`
        In a builder, ``RandomState(seed)`` with the connection's seed, unused so far.

    Returns
    -------
    key : uint64
    """
    high, low = (int(word) for word in rng.randint(2**32, size=2, dtype=np.uint64))
    return np.uint64((high << 32) | low)


def keep_mask(key, n_units, rate, redraw_index=0, groups=None):
    """Which units are kept.

    Parameters
    ----------
    key : uint64 or (...) ndarray of uint64
        From `mask_key`; an array gives a mask for each key.
    n_units : int
        Units of the dropout layer.
    rate : float
        Probability that a unit is dropped, in [0, 1).
    redraw_index : int, optional
        0 for the mask that a simulation starts with, ``k`` for the one that it has
        after its ``k``-th redraw.
    groups : (n_units,) ndarray of int, optional
        Units with the same number, not negative, are dropped together. By default each
        unit is a group, whose number is its place.

    Returns
    -------
    keep : (..., n_units) ndarray of bool
    """

    def kept(bits):
        uniform = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return uniform >= rate

    return _of_units(kept, key, n_units, redraw_index, groups)


def scale_factors(
    key, n_units, rate, redraw_index=0, groups=None, noise=BERNOULLI, dtype=float
):
    """What units are multiplied by.

    Parameters
    ----------
    key, n_units, rate, redraw_index, groups
        As in `keep_mask`.
    noise : {"bernoulli", "gaussian"}, optional
        Drop units with probability ``rate``, and multiply others by ``1 / (1 - rate)``;
        or multiply all by ``1 + N(0, rate / (1 - rate))`` [1]_.
    dtype : dtype, optional
        Of the factors.

    Returns
    -------
    factors : (..., n_units) ndarray
        Of mean 1 and variance ``rate / (1 - rate)``.

    References
    ----------
    .. [1] Srivastava, N., Hinton, G., Krizhevsky, A., Sutskever, I., & Salakhutdinov,
       R. (2014). Dropout: A simple way to prevent neural networks from overfitting.
       JMLR 15, 1929-1958, section 10.
    """
    if noise == BERNOULLI:
        keep = keep_mask(key, n_units, rate, redraw_index, groups)
        return keep.astype(dtype) / (1.0 - rate)
    deviation = np.sqrt(rate / (1.0 - rate))

    def factors(bits):
        # the middle of its interval: the quantiles of 0 and 1 are infinite
        uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        return (1.0 + deviation * special.ndtri(uniform)).astype(dtype)

    return _of_units(factors, key, n_units, redraw_index, groups)


def drawn_mask(key, n_units, rate, redraw_index=0, groups=None, kind=BERNOULLI):
    """What a model's forward pass takes for a dropout: its mask, or its noise.

    Parameters
    ----------
    key, n_units, rate, redraw_index, groups
        As in `keep_mask`.
    kind : {"bernoulli", "gaussian", "alpha"}, optional
        As in `.Drop`.

    Returns
    -------
    mask : (..., n_units) ndarray
        Of bool, which units are kept; for Gaussian noise of float, what they are
        multiplied by.
    """
    if kind == GAUSSIAN:
        return scale_factors(key, n_units, rate, redraw_index, groups, noise=kind)
    return keep_mask(key, n_units, rate, redraw_index, groups)


def _of_units(function, key, n_units, redraw_index, groups):
    """A function of each unit's 64 random bits, ``(..., n_units)``."""
    if groups is None:
        numbers, places = np.arange(n_units, dtype=np.uint64), None
    else:  # bits are made once a group: there may be thousands of units in one
        numbers, places = np.unique(groups, return_inverse=True)
        numbers = numbers.astype(np.uint64)
    keys = np.asarray(key, dtype=np.uint64)
    stream = mix64(keys ^ mix64(np.uint64(redraw_index)))
    counter = (numbers + np.uint64(1)) * _GAMMA
    bits = mix64(stream[..., np.newaxis] + counter)
    values = function(bits).reshape(keys.shape + numbers.shape)
    return values if places is None else values[..., places.ravel()]
