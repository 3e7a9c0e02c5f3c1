import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.samples.autocorrelation import autocorrelation, decorrelated


def mixed(weights, n_draws=100, n_observations=200, seed=0):
    """Moving averages of independent skewed draws, and these draws."""
    rng = np.random.RandomState(seed)
    reach = len(weights) // 2
    draws = rng.exponential(size=(n_draws + 2 * reach, n_observations, 1))
    answers = sum(
        weight * draws[first : first + n_draws] for first, weight in enumerate(weights)
    )
    return answers, draws[reach : reach + n_draws]


def test_effective_size():
    pytest.importorskip("arviz")
    rng = np.random.RandomState(0)
    noise = rng.normal(size=(400, 50, 1))
    independent = npd.PredictiveSamples(noise).effective_size()
    assert independent.shape == (50, 1)
    assert 0.85 < independent.mean() / 400 < 1.15
    chain = np.zeros_like(noise)
    for i in range(1, 400):
        chain[i] = 0.5 * chain[i - 1] + noise[i]
    # of such a chain a third: (1 - 0.5) / (1 + 0.5)
    assert 0.28 < npd.PredictiveSamples(chain).effective_size().mean() / 400 < 0.42
    with pytest.raises(ValidationError, match="at least 4 draws, got 3"):
        npd.PredictiveSamples(noise[:3]).effective_size()


def test_autocorrelation_is_not_biased():
    independent, _ = mixed([1.0])
    # of 20000 pairs: 0.007 standard deviations
    assert np.abs(autocorrelation(independent)[1:]).max() < 5 * 0.0071
    averaged, _ = mixed([0.2, 0.8, 0.0])
    expected = 0.2 * 0.8 / (0.2**2 + 0.8**2)
    assert np.allclose(autocorrelation(averaged), [1, expected, 0], atol=0.05)


def test_decorrelated_restores_the_spread():
    answers, draws = mixed([0.15, 0.7, 0.15])
    restored = decorrelated(answers)
    assert answers.std() < 0.8 * draws.std()
    assert np.isclose(restored.std(), draws.std(), rtol=0.04)
    assert np.allclose(restored.mean(axis=0), answers.mean(axis=0), atol=0.02)
    assert np.abs(autocorrelation(restored)[1:]).max() < 0.05
    # symmetric mixing is undone draw by draw
    assert np.corrcoef(restored.ravel(), draws.ravel())[0, 1] > 0.98


def test_independent_draws_stay_what_they_are():
    draws, _ = mixed([1.0])
    assert np.abs(decorrelated(draws) - draws).max() < 0.2 * draws.std()


def test_samples_keep_what_they_were_drawn_with():
    answers, _ = mixed([0.15, 0.7, 0.15], n_observations=20)
    samples = npd.PredictiveSamples(answers, seed=3, backend="batched", meta={"a": 1})
    result = samples.decorrelated(n_lags=3)
    assert np.array_equal(result.values, decorrelated(answers, n_lags=3))
    assert (result.seed, result.backend) == (3, "batched")
    assert result.meta == {"a": 1, "decorrelated_lags": 3}


def test_what_can_not_be_undone_raises():
    answers, _ = mixed([1 / 3, 1 / 3, 1 / 3])
    with pytest.raises(ValidationError, match="longer presentation_time"):
        decorrelated(answers)
    with pytest.raises(ValidationError, match="at least 20 draws, got 10"):
        decorrelated(answers[:10])


def test_draws_that_are_all_the_same_have_nothing_to_undo():
    """Their mean is rounded; the rounding was taken for draws that move together."""
    constant = np.full((40, 3, 1), 0.1)
    assert constant.mean(axis=0).max() != 0.1
    assert autocorrelation(constant).tolist() == [1, 0, 0]
    assert np.allclose(decorrelated(constant), constant, rtol=1e-12)
    answers, _ = mixed([0.15, 0.7, 0.15])
    both = answers.copy()
    both[:, : both.shape[1] // 2] = 0.1
    alone = answers[:, both.shape[1] // 2 :]
    assert np.allclose(autocorrelation(both), autocorrelation(alone))
