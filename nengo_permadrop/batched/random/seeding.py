"""Random numbers of many replicas at once, equal to those of one generator each."""

import numpy as np
from nengo.dists import Choice, Distribution, Uniform
from nengo.neurons import NeuronType, RatesToSpikesNeuronType

from nengo_permadrop.dropout.masks import mask_key
from nengo_permadrop.dropout.seeds import initial_state, state_seed

# Below this many generators, NumPy's are fast enough, and Numba needn't be imported.
FEW = 64


def mask_keys(seeds):
    """
    The mask keys of connections with these seeds.

    Parameters
    ----------
    seeds : (n,) array_like of int

    Returns
    -------
    keys : (n,) ndarray of uint64
        Each as `nengo_permadrop.dropout.masks.mask_key` takes it from a new generator.
    """
    if len(seeds) < FEW:
        rngs = (np.random.RandomState(seed) for seed in seeds)
        return np.array([mask_key(rng) for rng in rngs], dtype=np.uint64)
    from nengo_permadrop.batched.random.twister import first_words

    words = first_words(np.asarray(seeds, dtype=np.uint32), 2).astype(np.uint64)
    return (words[:, 0] << np.uint64(32)) | words[:, 1]


def initial_states(neuron_type, n_neurons, seeds, dtype):
    """
    The initial states of an ensemble's neurons in all replicas.

    Parameters
    ----------
    neuron_type : `nengo.neurons.NeuronType`
    n_neurons : int
    seeds : (n_replicas,) array_like of int
        Seeds of the ensemble.
    dtype : dtype

    Returns
    -------
    states : dict
        Arrays ``(n_replicas, n_neurons)`` of the states that are drawn at random, by
        their names, as Nengo's build would make each.
    """
    seeds = np.asarray(seeds)
    random = [name for name, dist in _distributions(neuron_type) if _is_random(dist)]
    if not random:
        return {}
    uniform = _leading_uniform(neuron_type)
    if uniform is not None and random == [uniform[0]] and len(seeds) >= FEW:
        from nengo_permadrop.batched.random.twister import uniform_samples

        name, dist = uniform
        seeds = state_seed(seeds).astype(np.uint32)
        return {name: uniform_samples(seeds, n_neurons, dist.low, dist.high, dtype)}

    states = {name: np.empty((len(seeds), n_neurons), dtype=dtype) for name in random}
    for i, seed in enumerate(seeds):
        made = initial_state(neuron_type, n_neurons, seed)
        for name in random:
            states[name][i] = made[name]
    return states


def random_states(neuron_type):
    """Names of the states of a neuron type that are drawn at random."""
    return [name for name, dist in _distributions(neuron_type) if _is_random(dist)]


def built_types(neuron_type):
    """The types that Nengo builds for a neuron type, each with states of its own."""
    if isinstance(neuron_type, RatesToSpikesNeuronType):
        return [neuron_type.base_type, neuron_type]
    return [neuron_type]


def _distributions(neuron_type):
    given = neuron_type.initial_state or {}
    return [(name, given.get(name, dist)) for name, dist in neuron_type.state.items()]


def _is_random(dist):
    if isinstance(dist, Choice):
        return len(np.unique(dist.options, axis=0)) > 1
    return isinstance(dist, Distribution)


def _leading_uniform(neuron_type):
    """The first state if it is uniform, so its numbers are the generator's first."""
    states = _distributions(neuron_type)
    if not states or type(neuron_type).make_state is not NeuronType.make_state:
        return None
    name, dist = states[0]
    return (name, dist) if type(dist) is Uniform and not dist.integer else None
