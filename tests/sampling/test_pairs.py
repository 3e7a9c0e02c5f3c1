"""Pairs of draws: the same masks in the spiking and in the classical network."""

import numpy as np
import pytest
from kmodels import combo, mlp, observations
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.sampling.pairs import classical_samples, paired_samples
from nengo_permadrop.sources.registry import source_of

FAST = dict(n_draws=12, presentation_time=0.15, settle=0.05)


def correlations(spiking, classical):
    """Of equal draws, for each observation and output."""
    a, b = (s.values - s.mean() for s in (spiking, classical))
    return (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))


# Of 12 independent pairs, the mean correlation of 8 observations has a standard error
# of 0.11: 0.8 is more than seven of them away.
@pytest.mark.parametrize("copies", [1, 2, 5])
def test_equal_draws_have_the_same_masks(copies):
    kmodel = mlp(activation="relu", rate=0.3)
    conv = npd.Converter(kmodel, scale_firing_rates=400, copies=copies, seed=7)
    X = observations(kmodel, 8)
    spiking, classical = paired_samples(conv, X, **FAST)
    assert spiking.values.shape == classical.values.shape == (12, 8, 1)
    assert correlations(spiking, classical).mean() > 0.8
    _, other = paired_samples(conv, X, seed=1, **FAST)
    assert abs(correlations(spiking, other).mean()) < 0.6


def test_both_have_the_masks_that_the_network_says():
    """The classical draws are Keras's with the masks of ``Dropout.keep``."""
    kmodel = combo()
    conv = npd.Converter(kmodel, seed=3)
    X = observations(kmodel, 3)
    _, classical = paired_samples(conv, X, **FAST)
    conv.reseed(0)  # as sample() does with its copy
    forward = source_of(kmodel).forward(kmodel)
    for draw, values in enumerate(classical.values[:2]):
        seeds = [derive_seed(0, draw, row) for row in range(3)]
        masks = [np.stack([d.keep(s) for s in seeds]) for d in conv.dropouts]
        (expected,) = forward([x.astype(np.float32) for x in X], masks)
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


def test_the_network_is_sampled_as_it_is():
    kmodel = mlp()
    X = observations(kmodel, 8)
    conv = npd.Converter(kmodel)
    before, _ = paired_samples(conv, X, **FAST)
    npd.calibrate(conv, X, n_draws=4, presentation_time=0.15, settle=0.05)
    spiking, classical = paired_samples(conv, X, **FAST)
    expected = npd.sample(conv, X, **FAST, progress=False)
    np.testing.assert_array_equal(spiking.values, expected.values)
    assert np.any(spiking.values != before.values)
    other = classical_samples(npd.Converter(kmodel, seed=5), X, 12)
    np.testing.assert_array_equal(classical.values, other.values)


def test_gates_have_the_same_masks():
    """On Loihi's neurons, whose dropout is by inhibition; see above for the limit."""
    pytest.importorskip("nengo_loihi")
    kmodel = mlp(target="loihi", rate=0.3)
    conv = npd.Converter(kmodel, target="loihi", redraw=0.15)
    X = observations(kmodel, 8)
    spiking, classical = paired_samples(conv, X, **FAST)
    assert correlations(spiking, classical).mean() > 0.8
    with pytest.raises(ValidationError, match="new masks after 0.15 s, before"):
        paired_samples(conv, X, presentation_time=0.2, settle=0.05)


def test_arguments_are_checked():
    kmodel = mlp()
    X = observations(kmodel, 3)
    with pytest.raises(ValidationError, match="spiking neurons, got one of rate"):
        paired_samples(npd.Converter(kmodel, neurons="rate"), X)
    with pytest.raises(ValidationError, match="Converter of spiking neurons, got <"):
        paired_samples(kmodel, X)
    with pytest.raises(ValidationError, match="settle"):
        paired_samples(npd.Converter(kmodel), X, presentation_time=0.1, settle=0.1)
