import dataclasses
import itertools
import json
import math
import subprocess
import sys
import warnings
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from nengo.exceptions import ValidationError

from nengo_permadrop.metrics import ks
from nengo_permadrop.metrics.comparison import ks_agreement
from nengo_permadrop.metrics.ks import ks_pvalue, ks_statistic, without_rounding
from nengo_permadrop.samples.samples import PredictiveSamples

# --- the null distribution


def statistic_of_order(order, n, m):
    """The KS statistic of values in an order: True where it is one of the first."""
    of_a = np.cumsum(order)
    of_b = np.arange(1, n + m + 1) - of_a
    return max(
        abs(Fraction(int(i), n) - Fraction(int(j), m)) for i, j in zip(of_a, of_b)
    )


@pytest.mark.parametrize("n, m", [(2, 2), (3, 3), (5, 5), (2, 7), (4, 6), (5, 3)])
def test_null_distribution_by_enumeration(n, m):
    found = []
    for places in itertools.combinations(range(n + m), n):
        found.append(statistic_of_order(np.isin(np.arange(n + m), places), n, m))
    assert len(found) == math.comb(n + m, n)
    for d in sorted(set(found)):
        at_least = np.mean([other >= d for other in found])
        assert ks_pvalue(float(d), n, m) == pytest.approx(at_least, rel=1e-12)


def non_crossing_paths(height, n, m):
    """Number of orders whose walk stays under a height; whole numbers, so exact."""
    counts = {}
    for i, j in itertools.product(range(n + 1), range(m + 1)):
        if abs(i * m - j * n) >= height * math.gcd(n, m):
            counts[i, j] = 0
        elif i == j == 0:
            counts[i, j] = 1
        else:
            counts[i, j] = counts.get((i - 1, j), 0) + counts.get((i, j - 1), 0)
    return counts[n, m]


@pytest.mark.parametrize("n, m", [(100, 100), (60, 59), (50, 100), (90, 13)])
def test_null_distribution_in_the_tail(n, m):
    lcm, total = math.lcm(n, m), math.comb(n + m, n)
    heights = [0, 1, 2, lcm // 20, lcm // 5, lcm // 2, lcm - 1, lcm]
    computed = ks_pvalue(np.array(heights) / lcm, n, m)
    for height, pvalue in zip(heights, computed):
        exact = Fraction(total - non_crossing_paths(height, n, m), total)
        assert pvalue == pytest.approx(float(exact), rel=1e-10, abs=0)
    assert ks_pvalue(1.0, n, m) < 1e-14
    assert ks_pvalue(1.0 + 1.0 / lcm, n, m) == 0


@pytest.mark.parametrize("n, m", [(100, 100), (40, 75), (75, 40), (13, 90), (2, 3)])
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_against_scipy(n, m, shift, rng):
    for _ in range(5):
        a, b = rng.randn(n), rng.randn(m) + shift
        expected = scipy.stats.ks_2samp(a, b, method="exact")
        statistic = ks_statistic(a, b)
        assert statistic == pytest.approx(expected.statistic, rel=1e-12)
        assert ks_pvalue(statistic, n, m) == pytest.approx(expected.pvalue, rel=1e-9)


def test_pvalue_between_attainable_values():
    assert ks_pvalue(0.201, 10, 10) == ks_pvalue(0.3, 10, 10)
    assert ks_pvalue(0.0, 10, 10) == 1
    assert ks_pvalue([[0.1, 0.5]], 10, 10).shape == (1, 2)


# --- the statistic


def test_statistic_is_vectorised(rng):
    a, b = rng.randn(30, 4, 3), rng.randn(20, 4, 3)
    statistic = ks_statistic(a, b)
    assert statistic.shape == (4, 3)
    for i, j in np.ndindex(4, 3):
        expected = scipy.stats.ks_2samp(a[:, i, j], b[:, i, j]).statistic
        assert statistic[i, j] == pytest.approx(expected)


def test_statistic_with_ties(rng):
    a, b = rng.randint(5, size=(40, 20)), rng.randint(5, size=(40, 20))
    for i, statistic in enumerate(ks_statistic(a, b)):
        expected = scipy.stats.ks_2samp(a[:, i], b[:, i]).statistic
        assert statistic == pytest.approx(expected)
    assert ks_statistic([1, 1, 1], [1, 1, 1]) == 0
    assert ks_statistic([0, 1, 1, 1], [1, 1, 1, 1]) == pytest.approx(0.25)


def test_statistic_of_special_values():
    assert ks_statistic([0.0, -0.0, 0.0], [-0.0, 0.0, -0.0]) == 0
    assert ks_statistic([5e-324, 0.0, 5e-324], [1e-323, 0.0, 0.0]) == pytest.approx(
        1 / 3
    )
    assert ks_statistic([1e308, -1e308], [1.7e308, -1.7e308]) == 0.5
    assert ks_statistic([np.inf, 1, np.inf], [np.inf, 2, -np.inf]) == pytest.approx(
        1 / 3
    )


# --- rounding


@pytest.mark.parametrize("value", [0.1, 1e-30, 1e30])
@pytest.mark.parametrize("dtypes", [(np.float32, np.float64), (np.float64, np.float16)])
def test_constants_that_differ_by_rounding(value, dtypes):
    if np.float16 in dtypes:
        value = 0.1
    a, b = (np.full((50, 100), value, dtype) for dtype in dtypes)
    assert a[0, 0] != b[0, 0]
    b *= np.where(np.arange(50) % 2, 1, 1 + np.finfo(dtypes[1]).eps)[:, np.newaxis]
    agreement = ks_agreement(a, b)
    assert np.all(agreement.statistic == 0)
    assert agreement.n_tied == 100
    assert agreement.verdict()
    # what is more than rounding is a difference
    assert not ks_agreement(a, b * 1.01).verdict()


def test_few_values_that_differ_by_rounding(rng):
    """One distribution of three values; false alarms: 2% of seeds, by the verdict's."""
    values = np.array([0.1, 0.7, 12.3])
    which = rng.randint(3, size=(2, 100, 200))
    same = ks_agreement(values[which[0]], values[which[1]])
    agreement = ks_agreement(values[which[0]].astype(np.float32), values[which[1]])
    assert np.array_equal(agreement.statistic, same.statistic)
    assert np.array_equal(agreement.randomized_pvalue, same.randomized_pvalue)
    assert agreement.verdict()


def test_continuous_values_keep_their_order(rng):
    """However close they are: only equal values are a sign of few values."""
    a = np.linspace(1, 1 + 4e-6, 40).astype(np.float32)
    a = np.unique(a)[::2].reshape(-1, 1)
    b = a + np.float32(2**-23)
    assert len(np.unique(np.concatenate([a, b]))) == 2 * len(a)
    for given, found in zip((a, b), without_rounding(a, b)):
        assert found is given
    a, b = rng.randn(30, 5), rng.randn(20, 5).astype(np.float32)
    for given, found in zip((a, b), without_rounding(a, b)):
        assert found is given


def test_groups_within_rounding_are_no_wider():
    """A row of values, each close to the next, is not all one."""
    eps = np.finfo(np.float64).eps
    a = np.append(1 + eps * np.arange(0.0, 40), 1.5).reshape(-1, 1)
    found, _ = without_rounding(a, a)
    assert np.all(found <= a) and np.all(a - found <= 6 * eps)
    assert 6 <= len(np.unique(found)) <= 11


# --- agreement


def test_shapes_and_values(rng):
    a, b = rng.randn(40, 6, 2), rng.randn(30, 6, 2)
    a[:, 4, 1] += 5
    agreement = ks_agreement(a, b)
    for array in (agreement.statistic, agreement.pvalue, agreement.randomized_pvalue):
        assert array.shape == (6, 2)
    assert agreement.n_draws == (40, 30)
    assert agreement.method == "exact"
    for index in np.ndindex(6, 2):
        column = (slice(None), *index)
        expected = scipy.stats.ks_2samp(a[column], b[column], method="exact")
        assert agreement.statistic[index] == pytest.approx(expected.statistic)
        assert agreement.pvalue[index] == pytest.approx(expected.pvalue)
    assert agreement.rejection_rate(0.3) == np.mean(agreement.pvalue <= 0.3)

    extreme = agreement.most_extreme
    assert extreme.index == (4, 1)
    assert extreme.statistic == agreement.statistic.max()
    assert extreme.pvalue == pytest.approx(12 * agreement.pvalue[4, 1], rel=1e-6)
    assert 0 < extreme.pvalue < 1e-12


def test_most_extreme_pvalue():
    a = np.zeros((4, 2))
    b = np.arange(8.0).reshape(4, 2) + 1  # a statistic of 1 for both
    p = 2 / math.comb(8, 4)
    assert ks_agreement(a, b).most_extreme.pvalue == pytest.approx(1 - (1 - p) ** 2)
    assert ks_agreement(a, a).most_extreme.pvalue == 1


def test_randomized_pvalues_lie_between_their_bounds(rng):
    agreement = ks_agreement(rng.randn(20, 50), rng.randn(25, 50))
    upper = agreement.pvalue
    lower = ks_pvalue(agreement.statistic + 1 / math.lcm(20, 25), 20, 25)
    assert np.all(lower < agreement.randomized_pvalue)
    assert np.all(agreement.randomized_pvalue < upper)


def test_seed(rng):
    a, b = rng.randn(2, 20, 5, 1)
    one, same, other = (ks_agreement(a, b, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.randomized_pvalue, same.randomized_pvalue)
    assert not np.any(one.randomized_pvalue == other.randomized_pvalue)
    assert np.array_equal(one.pvalue, other.pvalue)


def test_takes_samples_and_two_dimensions(rng):
    a, b = rng.randn(2, 20, 5, 1)
    expected = ks_agreement(a, b)
    for given in ((PredictiveSamples(a), PredictiveSamples(b)), (a[..., 0], b[..., 0])):
        agreement = ks_agreement(*given)
        assert np.array_equal(agreement.pvalue, expected.pvalue)


@pytest.mark.parametrize(
    "a, b, match",
    [
        (np.zeros((5, 3, 1)), np.zeros((5, 4, 1)), r"\(5, 3, 1\) and \(5, 4, 1\)"),
        (np.zeros((5, 3, 1)), np.zeros((5, 3, 2)), r"\(5, 3, 1\) and \(5, 3, 2\)"),
        (
            np.zeros((5, 3)),
            np.zeros((1, 3)),
            "samples_b: needs at least 2 draws; got 1",
        ),
        (np.full((5, 3), np.nan), np.zeros((5, 3)), "samples_a: .*draw 0"),
        (np.zeros(5), np.zeros(5), r"samples_a: .*\(5,\)"),
        (np.zeros((5, 0)), np.zeros((5, 0)), "none of them 0"),
    ],
)
def test_bad_samples(a, b, match):
    with pytest.raises(ValidationError, match=match):
        ks_agreement(a, b)


def test_uniformity_takes_the_worst_output(rng):
    a, b = rng.randn(2, 100, 60, 3)
    b[:, :, 2] += 0.5
    agreement = ks_agreement(a, b)
    worst = scipy.stats.kstest(agreement.randomized_pvalue[:, 2], "uniform")
    assert agreement.uniformity.statistic == worst.statistic
    assert agreement.uniformity.pvalue == pytest.approx(3 * worst.pvalue, abs=0)
    even = np.repeat((np.arange(60) + 0.5)[:, np.newaxis] / 60, 3, axis=1)
    even = dataclasses.replace(agreement, randomized_pvalue=even)
    assert even.uniformity.pvalue == 1


def test_attained_level():
    agreement = ks_agreement(np.zeros((100, 1)), np.ones((100, 1)))
    assert agreement.attained_level(0.05) == ks_pvalue(0.2, 100, 100)
    assert ks_pvalue(0.2, 100, 100) < 0.05 < ks_pvalue(0.19, 100, 100)
    # the least p-value of two draws a side is 2 / 6
    few = ks_agreement(np.zeros((2, 1)), np.ones((2, 1)))
    assert few.attained_level(0.05) == 0
    assert few.attained_level(1.0) == 1


@pytest.mark.parametrize("shift", [0, 10])
def test_null_of_maximum(rng, shift):
    agreement = ks_agreement(rng.randn(100, 20), rng.randn(50, 20) + shift)
    statistic, probability = agreement.null_of_maximum()
    assert len(statistic) == len(probability) <= 200
    assert (statistic[0], probability[0]) == (0, 1)
    assert np.all(np.diff(statistic) > 0) and np.all(np.diff(probability) <= 0)
    assert probability[-1] < 1e-5
    assert statistic[-1] >= agreement.most_extreme.statistic - 1e-12
    single = ks_pvalue(statistic, 100, 50)
    assert np.allclose(probability, 1 - (1 - single) ** 20, atol=1e-12)


def test_maximum_follows_its_null_distribution(rng):
    """1000 maxima against the claim, one KS test: false alarms in 1e-4 of seeds.

    The maxima are discrete, which makes the test's p-value an upper bound.
    """
    a, b = rng.randn(2, 20, 1000, 5)
    maxima = ks_statistic(a, b).max(axis=1)
    statistic, probability = ks_agreement(a[:, 0], b[:, 0]).null_of_maximum()
    observed = np.mean(maxima[:, np.newaxis] >= statistic - 1e-12, axis=0)
    distance = np.abs(observed - probability).max()
    assert scipy.stats.kstwo.sf(distance, 1000) > 1e-4


def test_verdict_and_words(rng):
    a, b = rng.randn(2, 100, 50, 1)
    agreement = ks_agreement(a, b)
    agree, words = agreement.verdict(max_rejection=1.0, min_uniformity=0.0)
    assert agree is True
    assert words.startswith("The samples agree: ") and "3.6%" in words
    assert not agreement.verdict(max_rejection=-1)
    refused = agreement.verdict(max_rejection=1.0, min_uniformity=1.1)
    assert not refused
    assert refused.words.startswith("The samples do not agree: ")
    level = ks_pvalue(0.23, 100, 100)  # the attainable one below 0.01
    assert ks_pvalue(0.22, 100, 100) > 0.01 > level
    assert f"one distribution: {level:.1%}" in agreement.verdict(alpha=0.01).words
    assert repr(agreement).startswith("<Agreement: 50 observations, 1 outputs, 100 and")
    assert agreement.verdict().words in str(agreement)
    assert "Largest statistic" in str(agreement)


def test_to_dict_is_json(rng):
    """Without NaN or infinity, which JSON hasn't, however odd the samples."""
    a = rng.randn(20, 4, 2)
    constant = np.ones((20, 4, 2))
    for pair in (
        (constant, constant),
        (a, constant),
        (a[:2], a[2:4]),
        (a, a[::-1] + 100),
    ):
        found = ks_agreement(*pair).to_dict()
        assert json.loads(json.dumps(found, allow_nan=False)) == found
    with pytest.warns(UserWarning, match="another seed"):
        found = ks_agreement(a, a).to_dict()
    json.dumps(found, allow_nan=False)


def test_to_dict(rng):
    agreement = ks_agreement(*rng.randn(2, 20, 4, 2))
    loaded = json.loads(json.dumps(agreement.to_dict()))
    assert loaded["n_draws"] == [20, 20]
    assert loaded["pvalue"] == agreement.pvalue.tolist()
    assert loaded["uniformity"]["pvalue"] == agreement.uniformity.pvalue
    assert tuple(loaded["most_extreme"]["index"]) == agreement.most_extreme.index
    assert loaded["verdict"]["agree"] == bool(agreement.verdict())
    assert loaded["rejection_rate"] == agreement.rejection_rate(loaded["alpha"])


# --- when p-values aren't what they seem


def test_observations_that_share_masks(rng):
    a, b = rng.randn(2, 50, 20, 1)
    shared, fresh = PredictiveSamples(a, masks="draw"), PredictiveSamples(b)
    for pair in ((shared, fresh), (fresh, shared)):
        with pytest.warns(UserWarning, match="share their masks"):
            agreement = ks_agreement(*pair)
        assert agreement.independent is False
        assert "uniformity not tested" in str(agreement)
        # uniformity does not count
        assert agreement.verdict(max_rejection=1.0, min_uniformity=1.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ks_agreement(fresh, PredictiveSamples(a)).independent
        one = PredictiveSamples(a[:, :1], masks="draw")
        assert ks_agreement(one, PredictiveSamples(b[:, :1])).independent


def test_sets_that_share_masks(rng):
    a = rng.randn(100, 30, 1)
    b = a + 0.5 * rng.randn(100, 30, 1)
    with pytest.warns(UserWarning, match="another seed"):
        agreement = ks_agreement(a, b[:80])
    assert agreement.paired
    assert agreement.paired_correlation == pytest.approx(0.88, abs=0.03)
    verdict = agreement.verdict(max_rejection=1.0, min_uniformity=0.0)
    assert not verdict
    assert verdict.words.startswith("It can't be said if they agree")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not ks_agreement(a, b[::-1]).paired


def test_sets_that_share_some_masks(rng):
    """Weak correlations show only over observations with masks of their own."""
    a = rng.randn(100, 50, 1)
    b = 0.3 * a + rng.randn(100, 50, 1)
    with pytest.warns(UserWarning, match="another seed"):
        assert ks_agreement(a, b).paired
    with pytest.warns(UserWarning, match="share their masks"):
        assert not ks_agreement(PredictiveSamples(a, masks="draw"), b).paired


def test_constant_outputs_agree():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agreement = ks_agreement(np.ones((50, 100)), np.ones((50, 100)))
    assert not agreement.paired
    assert agreement.n_tied == 100
    assert np.all(agreement.pvalue == 1)
    # ties are broken at random for these
    assert agreement.uniformity.pvalue > 1e-4  # false alarms in 1e-4 of seeds
    assert "100 tests have tied values" in str(agreement)


def test_large_samples_are_asymptotic(rng, monkeypatch):
    a, b = rng.randn(300, 20), rng.randn(200, 20)
    exact = ks_agreement(a, b)
    monkeypatch.setattr(ks, "EXACT_LIMIT", 400)
    with pytest.warns(UserWarning, match="500 draws are too many .*limit 400"):
        agreement = ks_agreement(a, b)
    assert agreement.method == "asymptotic"
    assert "asymptotic" in str(agreement)
    expected = [
        scipy.stats.ks_2samp(a[:, i], b[:, i], method="asymp").pvalue for i in range(20)
    ]
    assert np.allclose(agreement.pvalue[:, 0], expected, rtol=1e-9)
    assert np.allclose(agreement.pvalue, exact.pvalue, atol=0.05)
    assert np.all(agreement.randomized_pvalue <= agreement.pvalue)


def test_draws_with_few_values_are_not_paired():
    """Two sets that are constant but for one draw each, by chance the same draw."""
    a = np.zeros((100, 1))
    a[7] = 1
    assert not ks_agreement(a, a).paired
    # as before where values differ
    with pytest.warns(UserWarning, match="another seed"):
        assert ks_agreement(np.arange(100.0)[:, None], np.arange(100.0)[:, None]).paired


# --- names


def named(output_names=None, observation_names=None, seed=0):
    return PredictiveSamples(
        np.random.RandomState(seed).randn(20, 3, 2),
        output_names=output_names,
        observation_names=observation_names,
    )


@pytest.mark.parametrize(
    "first, second, match",
    [
        (
            ["a", "b"],
            ["b", "a"],
            r"output_names differ: at 0 there are 'a' and 'b' \(2 of",
        ),
        (["a", "b"], ["b", "a"], r"another order: reorder .*by \[1, 0\]\)"),
        (
            ["a", "b"],
            ["a", "c"],
            r"at 1 there are 'b' and 'c' \(1 of 2 .*give them the",
        ),
        (None, ["y1", "y0"], "output_names differ.*another order"),
    ],
)
def test_other_outputs_are_refused(first, second, match):
    with pytest.raises(ValidationError, match=match) as info:
        ks_agreement(named(first), named(second, seed=1))
    assert info.value.attr == "samples_b"


@pytest.mark.parametrize(
    "first, second, match",
    [
        ("xyz", "xzy", r"observation_names differ: at 1 .*by \[0, 2, 1\]"),
        ("xyz", "xyw", "at 2 there are 'z' and 'w'"),
        ([5, 6, 7], [5, 6, 8], "at 2 there are '7' and '8'"),
        ([0, 1, 2], [1, 0, 2], "another order"),
        ("xxy", "xyx", "another order: reorder one of them$"),
    ],
)
def test_other_observations_are_refused(first, second, match):
    with pytest.raises(ValidationError, match=match):
        ks_agreement(
            named(observation_names=list(first)), named(observation_names=list(second))
        )


def test_default_names_say_nothing():
    for names in ({"output_names": ["a", "b"]}, {"observation_names": list("xyz")}):
        ks_agreement(named(**names), named(seed=1))
        ks_agreement(named(), named(**names, seed=1))
        ks_agreement(named(seed=1).values, named(**names))
    numbers = named(observation_names=[5, 6, 7])
    ks_agreement(numbers, named(observation_names=["5", "6", "7"], seed=1))


# --- the test of the test

N_REPEATS, N_OBSERVATIONS, N_DRAWS = 400, 50, 100


@pytest.fixture(scope="module", name="null_agreements")
def _null_agreements():
    rng = np.random.RandomState(0)
    return [
        ks_agreement(*rng.randn(2, N_DRAWS, N_OBSERVATIONS, 1), seed=i)
        for i in range(N_REPEATS)
    ]


def binomial_interval(n, p, false_alarms=1e-4):
    """Counts outside of which less than ``false_alarms`` of binomials lie."""
    return scipy.stats.binom.ppf([false_alarms / 2, 1 - false_alarms / 2], n, p)


@pytest.mark.parametrize("level", [0.01, 0.05])
def test_false_alarms_of_uniformity(null_agreements, level):
    """Alarms are binomial; this test's own false alarms: 1e-4 of seeds."""
    alarms = sum(each.uniformity.pvalue <= level for each in null_agreements)
    low, high = binomial_interval(N_REPEATS, level)
    assert low <= alarms <= high


def test_false_alarms_of_single_tests(null_agreements):
    """Rejections are binomial with the attained level; false alarms: 1e-4 of seeds."""
    level = null_agreements[0].attained_level(0.05)
    assert level == pytest.approx(0.036, abs=0.001)
    rejections = sum(np.sum(each.pvalue <= 0.05) for each in null_agreements)
    low, high = binomial_interval(N_REPEATS * N_OBSERVATIONS, level)
    assert low <= rejections <= high


def test_randomized_pvalues_are_uniform(null_agreements):
    """20000 of them, and plain ones for comparison; false alarms: 1e-4 of seeds."""
    pooled = np.concatenate([each.randomized_pvalue for each in null_agreements])
    assert scipy.stats.kstest(pooled.ravel(), "uniform").pvalue > 1e-4
    plain = np.concatenate([each.pvalue for each in null_agreements])
    assert scipy.stats.kstest(plain.ravel(), "uniform").pvalue < 1e-10


def test_false_alarms_of_most_extreme(null_agreements):
    """Its p-value is discrete, so alarms are at most binomial: 1e-4 of seeds."""
    alarms = sum(each.most_extreme.pvalue <= 0.05 for each in null_agreements)
    assert alarms <= binomial_interval(N_REPEATS, 0.05)[1]


def test_paired_is_not_found_in_independent_samples(null_agreements):
    """The limit is 5 standard deviations: false alarms in 400 * 3e-7 of seeds."""
    assert not any(each.paired for each in null_agreements)


def test_false_alarms_with_dependent_outputs(rng):
    """Outputs that are copies: alarms at most binomial; false alarms: 1e-4 of seeds."""
    alarms = 0
    for i in range(200):
        a, b = np.repeat(rng.randn(2, 30, 20, 1), 4, axis=-1)
        alarms += ks_agreement(a, b, seed=i).uniformity.pvalue <= 0.05
    assert alarms <= binomial_interval(200, 0.05)[1]


def test_false_alarms_with_ties(rng):
    """Coarse values: randomised p-values stay uniform; false alarms: 1e-4 of seeds."""
    a, b = rng.poisson(1.0, size=(2, 40, 5000))
    agreement = ks_agreement(a, b)
    assert agreement.n_tied == 5000
    assert agreement.uniformity.pvalue > 1e-4
    assert agreement.rejection_rate(0.05) < agreement.attained_level(0.05)


@pytest.mark.parametrize("kind", ["shifted", "narrowed"])
def test_power(kind, rng):
    """Half a standard deviation of bias, or half the spread, is seen at once."""
    a, b = rng.randn(2, N_DRAWS, N_OBSERVATIONS, 1)
    b = b + 0.5 if kind == "shifted" else 0.5 * b
    agreement = ks_agreement(a, b)
    assert agreement.uniformity.pvalue < 1e-6
    assert agreement.rejection_rate() > 0.3
    assert not agreement.verdict()
    assert "do not agree" in str(agreement)


def test_power_against_no_dropout(rng):
    """A network without dropout always gives the same answer: the mean."""
    a = rng.randn(N_DRAWS, N_OBSERVATIONS, 1)
    agreement = ks_agreement(a, np.zeros_like(a))
    assert agreement.rejection_rate() == 1
    assert agreement.most_extreme.pvalue < 1e-10
    assert not agreement.verdict()


def test_power_against_reused_masks(rng):
    """Masks that are reused between draws: 100 draws hold 10 different values each."""
    a, b = rng.randn(2, N_DRAWS, N_OBSERVATIONS, 1)
    agreement = ks_agreement(a, np.repeat(b[:10], 10, axis=0))
    assert agreement.uniformity.pvalue < 1e-6
    assert not agreement.verdict()


def test_needs_no_simulator():
    code = (
        "import sys, nengo_permadrop.metrics.comparison; "
        "found = {'tensorflow', 'nengo_dl', 'nengo_loihi', 'matplotlib', 'pandas'} "
        "& set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rounding_is_no_difference_from_a_constant():
    # sets that are constant but for rounding, beside one that spreads on its own
    rng = np.random.RandomState(0)
    constant = np.full((40, 1, 3), [5.0, -2e-3, 1e6])
    rounded = constant * (1 + 1e-7 * rng.uniform(-1, 1, (40, 1, 3)))
    single = constant.astype(np.float32) * np.float32(1 + 1e-7)
    for a, b in (
        (constant, rounded),
        (rounded, constant),
        (constant, single),
        (rounded, rounded[::-1]),
    ):
        agreement = ks_agreement(a, b)
        assert (agreement.statistic == 0).all() and (agreement.pvalue == 1).all()
        assert agreement.n_tied == 3
    assert (ks_agreement(constant, constant * (1 + 1e-5)).statistic == 1).all()
    # half of the draws are the constant's: they are tied with it, and only they
    half = np.where(np.arange(40)[:, None, None] % 2, rounded, 2 * constant)
    assert (ks_agreement(constant, half).statistic == 0.5).all()


def test_rounding_matters_where_draws_spread():
    """The statistic of draws that spread is SciPy's, however little they do."""
    rng = np.random.RandomState(0)
    a, b = 1e3 + 0.1 * rng.randn(2, 30, 50)
    found = ks_statistic(a, b)
    for i in range(50):
        assert np.isclose(found[i], scipy.stats.ks_2samp(a[:, i], b[:, i]).statistic)
