"""
Masks and seeds: which units one draw keeps, as pure functions of integers.

Everything random about a dropout mask is decided here, so that every backend takes
the same masks from the same seed. A connection's seed gives a 64-bit *key*; unit ``i``
of redraw ``k`` is kept when a uniform number that depends only on ``(key, k, i)`` is
at least the dropout rate. The numbers come from SplitMix64 [1]_, a counter-based
generator: the masks of many replicas are computed at once, without a generator object
a connection, and mask ``k`` doesn't depend on masks ``0 .. k - 1`` having been drawn.

References
----------
.. [1] Steele, G. L., Lea, D., & Flood, C. H. (2014). Fast splittable pseudorandom
   number generators. ACM SIGPLAN Notices 49(10), 453-472.
"""

import numpy as np

from nengo_permadrop.dropout.seeds import _GAMMA, mix64


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


def keep_mask(key, n_units, rate, redraw_index=0):
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

    Returns
    -------
    keep : (..., n_units) ndarray of bool
    """
    keys = np.asarray(key, dtype=np.uint64)
    stream = mix64(keys ^ mix64(np.uint64(redraw_index)))
    counter = np.arange(1, n_units + 1, dtype=np.uint64) * _GAMMA
    bits = mix64(stream[..., np.newaxis] + counter)
    uniform = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return (uniform >= rate).reshape(keys.shape + (n_units,))
