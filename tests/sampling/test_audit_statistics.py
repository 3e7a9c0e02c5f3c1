"""The tests of an audit: false alarms at no more than their level, and power."""

import numpy as np
import pytest

from nengo_permadrop.sampling.audit import statistics


def answers(rng, n_draws=30, n_rows=4, units=6, rate=0.5, shared=False):
    """Draws of sums of units that are dropped; few of them, so that draws repeat."""
    weights = np.arange(1, units + 1)
    keep = rng.random((n_draws, 1 if shared else n_rows, units)) >= rate
    values = (keep * weights).sum(axis=-1, keepdims=True) + np.zeros((n_rows, 1))
    return values


def of_healthy(name, rng, n_rows):
    """The p-value of a test, of a healthy model."""
    units = int(rng.integers(1, 8))
    a, b = (answers(rng, n_rows=n_rows, units=units) for _ in range(2))
    if name == "repeats":
        whole = statistics.rounded(a)
        n_repeats = len(statistics.repeated_pairs(whole))
        return statistics.repeats_pvalue(whole, n_repeats, rng)
    if name == "replay":
        return statistics.replay_pvalue(a, b)[0]
    if name == "sharing":
        return statistics.sharing_pvalue(a, b, rng)[0]
    if name == "spread":
        return statistics.spread_pvalue(a, b, rng, n_permutations=60)
    pvalues = statistics.reference_pvalues(a, b, True, rng)
    return min(1.0, len(pvalues) * min(pvalues.values()))


@pytest.mark.parametrize(
    "name", ["repeats", "replay", "sharing", "spread", "reference"]
)
def test_false_alarms_are_no_more_than_the_level(name):
    """
    150 healthy models of few units, whose draws repeat by chance.

    At a level of 2%, at most 3 of them are expected; 11 or more have a probability of
    2e-4, so that these five tests fail by chance in 1 of 1000 seeds.
    """
    rng = np.random.default_rng(17)
    found = [of_healthy(name, rng, n_rows=1 + i % 5) for i in range(150)]
    assert np.sum(np.array(found) <= 0.02) < 11


def test_repeats_are_found():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 5, 2))
    values[1] = values[0]  # as of ONNX Runtime with the seed 0
    whole = statistics.rounded(values)
    pairs = statistics.repeated_pairs(whole)
    assert pairs.tolist() == [[0, 1]]
    assert statistics.repeats_pvalue(whole, 1, rng) < 1e-8
    period = np.concatenate([values[1:11]] * 4)  # a generator that starts again
    whole = statistics.rounded(period)
    n_repeats = len(statistics.repeated_pairs(whole))
    assert n_repeats == 10 * 6 and statistics.repeats_pvalue(whole, 60, rng) < 1e-8


def test_replays_are_found():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 20, 5, 2))
    assert statistics.replay_pvalue(first, second) == (pytest.approx(0.05, abs=1), 0)
    pvalue, n_same = statistics.replay_pvalue(first, first + 1e-9)
    assert n_same == 20 and pvalue < 1e-8
    constant = np.ones((20, 5, 2))
    assert statistics.replay_pvalue(constant, constant)[0] > 0.3


def test_shared_masks_are_found():
    rng = np.random.default_rng(0)
    both = rng.normal(size=(40, 5, 1))
    mixed = both + rng.normal(size=both.shape)
    assert statistics.sharing_pvalue(both, mixed, rng)[0] < 1e-8
    assert statistics.sharing_pvalue(np.ones_like(both), both, rng) == (1.0, 0.0)


@pytest.mark.parametrize("factor, shift", [(0.5, 0.0), (1.0, 1.0), (0.0, 0.0)])
def test_other_distributions_are_found(factor, shift):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 100, 5, 2))
    pvalues = statistics.reference_pvalues(factor * a + shift, b, True, rng)
    assert min(pvalues.values()) < 1e-6
    assert "rows" not in statistics.reference_pvalues(a, b, False, rng)


def test_rounding_is_no_dropout():
    rng = np.random.default_rng(0)
    value = rng.normal(size=(1, 5, 2)).astype(np.float32)
    noise = 1 + rng.uniform(-1, 1, size=(30, 5, 2)) * np.finfo(np.float32).eps
    whole = statistics.rounded(value * noise)
    assert statistics.same(whole, whole[:1]).all()
    whole = statistics.rounded(value * (1 + 1e-4 * rng.normal(size=(30, 5, 2))))
    assert not statistics.same(whole, whole[:1]).all()
