"""Seeds that are derived from others."""

import numpy as np

from nengo_permadrop.support.validation import check_seeds

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


def state_seed(seed):
    """
    The seed from which Nengo's build draws the initial state of an ensemble's neurons.

    Parameters
    ----------
    seed : int or ndarray of int
        Of the ensemble.

    Returns
    -------
    seed : int or ndarray of int
    """
    return seed + 1


def initial_state(neuron_type, n_neurons, seed):
    """
    The initial state of an ensemble's neurons, as Nengo's build makes it.

    Parameters
    ----------
    neuron_type : `nengo.neurons.NeuronType`
    n_neurons : int
    seed : int
        Of the ensemble.

    Returns
    -------
    state : dict
        Arrays ``(n_neurons,)`` by name.
    """
    rng = np.random.RandomState(state_seed(seed))
    return neuron_type.make_state(n_neurons, rng=rng)
