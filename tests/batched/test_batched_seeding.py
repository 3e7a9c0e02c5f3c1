import nengo
import numpy as np
import pytest

from nengo_permadrop.batched.random import seeding
from nengo_permadrop.batched.random.twister import first_words, uniform_samples
from nengo_permadrop.dropout.masks import mask_key

SEEDS = np.r_[0, 1, 2**31 - 1, np.random.RandomState(0).randint(2**31, size=97)]


def test_words_and_uniform_samples_are_numpys():
    words = first_words(SEEDS.astype(np.uint32), 1500)
    uniform = uniform_samples(SEEDS.astype(np.uint32), 700, -1.5, 2.0, float)
    for i, seed in enumerate(SEEDS):
        expected = np.random.RandomState(seed).randint(
            2**32, size=1500, dtype=np.uint64
        )
        np.testing.assert_array_equal(words[i], expected)
        expected = np.random.RandomState(seed).uniform(-1.5, 2.0, 700)
        np.testing.assert_array_equal(uniform[i], expected)


@pytest.mark.parametrize("n", [3, 100])
def test_mask_keys(n):
    keys = seeding.mask_keys(SEEDS[:n])
    for seed, key in zip(SEEDS, keys):
        assert mask_key(np.random.RandomState(seed)) == key


@pytest.mark.parametrize("n", [3, 100])
@pytest.mark.parametrize(
    "neuron_type",
    [
        nengo.LIF(),
        nengo.LIF(initial_state={"voltage": nengo.dists.Uniform(-1, 0.5)}),
        nengo.LIF(initial_state={"refractory_time": nengo.dists.Uniform(0, 0.002)}),
        nengo.LIF(initial_state={"voltage": nengo.dists.Gaussian(0, 1)}),
        nengo.LIF(initial_state={"voltage": np.linspace(0, 1, 20)}),
        nengo.AdaptiveLIF(),
        nengo.Tanh(),
    ],
    ids=str,
)
def test_initial_states(neuron_type, n):
    states = seeding.initial_states(neuron_type, 20, SEEDS[:n] - 1, float)
    assert set(states) == set(seeding.random_states(neuron_type))
    for i, seed in enumerate(SEEDS[:n]):
        made = neuron_type.make_state(20, rng=np.random.RandomState(seed))
        for name, value in made.items():
            if name in states:
                np.testing.assert_array_equal(states[name][i], value)
            else:
                assert np.ptp(value) == 0 or name in neuron_type.initial_state
