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

from nengo_permadrop.validation import check_seeds

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_SEED_BITS = 31  # Nengo's seeds are non-negative 32-bit integers


def mix64(x):
    """SplitMix64's finaliser: a bijection of 64-bit integers whose output looks random.

    Parameters
    ----------
    x : array_like of int
        Any shape; taken modulo 2**64.

    Returns
    -------
    mixed : ndarray of uint64
        Same shape as ``x``, at least one-dimensional.
    """
    z = np.atleast_1d(np.asarray(x)).astype(np.uint64)
    z = z ^ (z >> np.uint64(30))
    z = z * _MIX_1
    z = z ^ (z >> np.uint64(27))
    z = z * _MIX_2
    return z ^ (z >> np.uint64(31))


def derive_seed(seed, *path):
    """A seed for one part of a run, from the run's seed and the part's place in it.

    Used for "the masks of draw 3, observation 7", "the voltages of this ensemble in
    that replica" and the like; a part's seed never depends on how many parts there are.

    Parameters
    ----------
    seed : int or array_like of int
        Seed of the whole, from 0 to 2**64 - 1.
    *path : int or array_like of int
        The part's coordinates, in the same range, broadcast against ``seed``.

    Returns
    -------
    derived : int or ndarray of int64
        Seeds in ``[0, 2**31)``, as Nengo takes them; an int if all arguments are ints.

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument isn't made of integers, or is out of range.
    """
    seed, *path = (check_seeds(part, "seed") for part in (seed, *path))
    scalar = all(part.ndim == 0 for part in (seed, *path))
    x = mix64(seed + np.atleast_1d(_GAMMA))
    for part in path:
        y = mix64(part + np.atleast_1d(_GAMMA))
        x = mix64((x + _GAMMA) ^ y)  # + _GAMMA: else a part equal to the seed cancels
    derived = (x >> np.uint64(64 - _SEED_BITS)).astype(np.int64)
    return int(derived[0]) if scalar else derived


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
