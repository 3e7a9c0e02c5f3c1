import json
import math
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from nengo.exceptions import ValidationError

from nengo_permadrop import metrics
from nengo_permadrop.samples.samples import PredictiveSamples

FALSE_ALARM = 1e-4


def gaussian(rng, n_draws, n_observations, n_outputs=1, mean=0.0, std=1.0):
    draws = rng.normal(size=(n_draws, n_observations, n_outputs))
    return PredictiveSamples(mean + std * draws)


def covered_bounds(n, level):
    """Fractions outside of which binomial ones lie in ``FALSE_ALARM`` of cases."""
    low, high = scipy.stats.binom.interval(1 - FALSE_ALARM, n, level)
    return low / n, high / n


# --- intervals and coverage


@pytest.mark.parametrize("scale", ["normal", "exponential", "bimodal"])
def test_coverage_of_exact_samples_is_the_level(scale, rng):
    """Targets from the draws' own distribution; false alarms: 4e-4 of seeds.

    With 199 draws the interval's ends are draws at all four levels, so that the
    probability of coverage is the level exactly, for any distribution.
    """
    values = rng.normal(size=(200, 3000, 1))
    if scale == "exponential":
        values = np.exp(values)
    elif scale == "bimodal":
        values = values + 5 * rng.choice([-1, 1], size=values.shape)
    found = metrics.coverage(PredictiveSamples(values[1:]), values[0])
    assert found.shape == (4, 1)
    for level, fraction in zip(metrics.LEVELS, found[:, 0]):
        low, high = covered_bounds(3000, level)
        assert low <= fraction <= high


def test_coverage_sees_wrong_distributions(rng):
    samples = gaussian(rng, 199, 3000)
    for std, kind in ((2.0, "narrow"), (0.5, "wide")):
        found = metrics.coverage(samples, std * rng.normal(size=3000), 0.9)[0]
        expected = 2 * scipy.stats.norm.cdf(scipy.stats.norm.ppf(0.95) / std) - 1
        assert found == pytest.approx(expected, abs=0.03), kind


def test_interval_ends_are_order_statistics():
    samples = PredictiveSamples(np.arange(1.0, 20.0).reshape(19, 1, 1))
    low, high = metrics.interval(samples, 0.8)
    assert (low.item(), high.item()) == pytest.approx((2, 18))
    low, high = metrics.interval(samples, 0.9)  # from the least to the greatest
    assert (low.item(), high.item()) == pytest.approx((1, 19))
    assert metrics.coverage(samples, [[2.1]], 0.8) == 1
    assert metrics.coverage(samples, [[1.9]], 0.8) == 0


@pytest.mark.parametrize(
    "level, match",
    [
        (0.95, "19 draws at most 0.9; 0.95 needs 39 draws"),
        (0.99, "0.99 needs 199 draws"),
        (0.0, "0 isn't one"),
        (1.0, "1 isn't one"),
        (np.nan, "must be a finite number >= 0 and <= 1, got nan"),
    ],
)
def test_levels_that_the_draws_are_too_few_for(level, match):
    samples = PredictiveSamples(np.zeros((19, 1, 1)))
    with pytest.raises(ValidationError, match=match):
        metrics.coverage(samples, [0.0], level)


def test_calibration_curve(rng):
    samples = gaussian(rng, 19, 200, n_outputs=2)
    y = rng.normal(size=(200, 2))
    levels, found = metrics.calibration_curve(samples, y)
    assert np.allclose(levels, np.arange(1, 19) / 20)  # not 0.95
    assert found.shape == (18, 2)
    assert np.all(np.diff(found, axis=0) >= 0)
    assert np.array_equal(found[9], metrics.coverage(samples, y, levels[9]))
    levels, found = metrics.calibration_curve(
        PredictiveSamples(np.zeros((1, 3, 2))), y[:3]
    )
    assert levels.shape == (0,) and found.shape == (0, 2)


# --- scores


def test_crps_is_the_mean_over_pairs(rng):
    samples = gaussian(rng, 7, 4, n_outputs=2, mean=1e3)
    y = 1e3 + rng.normal(size=(4, 2))
    x = samples.values
    pairs = [np.abs(x[i] - x[j]) for i in range(7) for j in range(7) if i != j]
    expected = np.abs(x - y).mean(axis=0) - np.mean(pairs, axis=0) / 2
    assert np.allclose(metrics.crps(samples, y), expected, rtol=1e-9)


def test_crps_of_a_gaussian(rng):
    """Against the closed form; Gaussian errors of the mean, false alarms: 1e-4."""
    n_draws, n = 50, 2000
    y = rng.normal(size=n)
    phi, cdf = scipy.stats.norm.pdf(y), scipy.stats.norm.cdf(y)
    exact = y * (2 * cdf - 1) + 2 * phi - 1 / math.sqrt(math.pi)
    error = metrics.crps(gaussian(rng, n_draws, n), y)[:, 0] - exact
    limit = scipy.stats.norm.isf(FALSE_ALARM / 2)
    assert abs(error.mean()) < limit * error.std() / math.sqrt(n)


def test_crps_of_constant_draws_is_the_absolute_error():
    samples = PredictiveSamples(np.full((5, 2, 1), 0.1))
    assert np.allclose(metrics.crps(samples, [0.1, 1.1]), [[0], [1]], atol=1e-15)


def test_nll_is_that_of_the_moments(rng):
    samples = gaussian(rng, 30, 5, n_outputs=2, std=3)
    y = rng.normal(size=(5, 2))
    expected = -scipy.stats.norm.logpdf(y, samples.mean(), samples.std(ddof=1))
    assert np.allclose(metrics.nll(samples, y), expected, rtol=1e-12)


@pytest.mark.parametrize("rounding", [0, 5e-17])
def test_nll_of_constant_draws_is_undefined(rounding, rng):
    """Neither hits nor misses have a likelihood, with or without rounding."""
    values = rng.normal(size=(10, 3, 2))
    values[:, 1:, 0] = 0.1
    values[::2, 1:, 0] += rounding
    samples = PredictiveSamples(values, output_names=["a", "b"])
    y = np.array([[0.1, 0.0], [0.1, 0.0], [0.2, 0.0]])
    reason = "all draws of 2 of 3 observations are the same, the first of them at 1"
    with pytest.warns(UserWarning, match=f"NLL of output 'a': .*{reason}") as caught:
        found = metrics.nll(samples, y)
    assert len(caught) == 1
    assert np.isnan(found[:, 0]).tolist() == [False, True, True]
    assert np.isfinite(found[:, 1]).all()

    with pytest.warns(UserWarning, match=reason):
        table = metrics.score(samples, y)
    assert np.isnan(table["NLL"]).tolist() == [True, False]
    assert reason in table.attrs["undefined"]["a"]["NLL"]
    assert list(table.attrs["undefined"]) == ["a"]
    assert np.isfinite(table.drop(columns=["Output", "NLL"])).all(axis=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.score(gaussian(rng, 9, 3), y[:, :1]).attrs["undefined"] == {}


def test_score(rng):
    values = rng.normal(size=(100, 50, 2)) * [1, 10]
    samples = PredictiveSamples(values, output_names=["a", "b"])
    y = rng.normal(size=(50, 2)) * [1, 10]
    table = metrics.score(samples, y)
    assert list(table) == [
        *("Output", "Observations", "RMSE", "MAE", "CRPS", "NLL", "Sharpness"),
        *("Coverage0.5", "Coverage0.8", "Coverage0.9", "Coverage0.95"),
    ]
    assert table["Output"].tolist() == ["a", "b"]
    residual = y - samples.mean()
    assert np.allclose(table["RMSE"], np.sqrt((residual**2).mean(axis=0)))
    assert np.allclose(table["MAE"], np.abs(residual).mean(axis=0))
    assert np.allclose(table["CRPS"], metrics.crps(samples, y).mean(axis=0))
    assert np.allclose(table["NLL"], metrics.nll(samples, y).mean(axis=0))
    assert np.allclose(
        table["Sharpness"] ** 2, samples.values.var(axis=0, ddof=1).mean(axis=0)
    )
    assert np.allclose(table["Coverage0.9"], metrics.coverage(samples, y, 0.9))
    json.dumps(table.to_dict(orient="records"))

    few = metrics.score(PredictiveSamples(values[:8]), y)
    assert [name for name in few if name.startswith("Cov")] == ["Coverage0.5"]
    with pytest.raises(ValidationError, match="needs 39 draws"):
        metrics.score(PredictiveSamples(values[:8]), y, levels=[0.95])


# --- recalibration


def test_recalibration_minimises_the_likelihood(rng):
    samples = gaussian(rng, 20, 40, n_outputs=2)
    y = rng.normal(size=(40, 2)) * [3, 0.3]
    fitted = metrics.recalibrate(samples, y)
    assert fitted.scale.shape == (2,)
    least = metrics.nll(fitted.apply(samples), y).mean(axis=0)
    for factor in (0.99, 1.01):
        other = metrics.Recalibration(fitted.scale * factor).apply(samples)
        assert np.all(metrics.nll(other, y).mean(axis=0) > least)


def test_recalibration_finds_the_spread(rng):
    """Targets with 3 times the spread. The squared scale is a mean of chi-square(1)
    variables over squared t-like draws; 5 of its standard deviations are allowed, a
    false alarm in less than 1e-5 of seeds."""
    n = 2000
    samples = gaussian(rng, 400, n, mean=np.linspace(-1, 1, n)[:, np.newaxis])
    y = np.linspace(-1, 1, n) + 3 * rng.normal(size=n)
    scale = metrics.recalibrate(samples, y).scale.item()
    assert scale == pytest.approx(3, rel=5 * math.sqrt(2 / n) / 2 + 0.01)


def test_recalibration_on_other_rows(rng):
    """Fitted on some rows, it makes the coverage of others right; false alarms: 1e-4,
    with 2% more for the error of the scale."""
    std = rng.uniform(0.5, 2, size=(4000, 1))
    samples = PredictiveSamples(rng.normal(size=(199, 4000, 1)) * std)
    y = 2 * std * rng.normal(size=(4000, 1))
    halves = [
        PredictiveSamples(samples.values[:, rows])
        for rows in (slice(2000), slice(2000, None))
    ]
    before = metrics.coverage(halves[1], y[2000:], 0.9).item()
    fitted = metrics.recalibrate(halves[0], y[:2000])
    after = metrics.coverage(fitted.apply(halves[1]), y[2000:], 0.9).item()
    low, high = covered_bounds(2000, 0.9)
    assert before < 0.7
    assert low - 0.02 <= after <= high + 0.02


def test_apply_keeps_means_and_names(rng):
    samples = PredictiveSamples(
        5 + rng.normal(size=(30, 3, 2)).astype(np.float32),
        output_names=["a", "b"],
        observation_names=["x", "y", "z"],
        backend="keras",
        seed=4,
        masks="draw",
        meta={"dataset": "d"},
    )
    fitted = metrics.Recalibration(np.array([2.0, 0.5]))
    scaled = fitted.apply(samples)
    assert np.allclose(scaled.mean(), samples.mean())
    assert np.allclose(scaled.std(), samples.std() * [2, 0.5])
    for attr in ("output_names", "observation_names", "backend", "seed", "masks"):
        assert getattr(scaled, attr) == getattr(samples, attr)
    assert scaled.meta == {"dataset": "d", "recalibration": [2.0, 0.5]}
    assert fitted.apply(scaled).meta["recalibration"] == [4.0, 0.25]
    with pytest.raises(ValidationError, match="of 2 outputs, the samples have 1"):
        fitted.apply(PredictiveSamples(np.zeros((2, 1, 1))))


def test_recalibration_of_constant_draws():
    values = np.random.RandomState(0).rand(5, 3, 2)
    values[:, 1, 1] = 0.1
    with pytest.raises(
        ValidationError, match="observation 1, output 1.*1 such .* of 6"
    ):
        metrics.recalibrate(PredictiveSamples(values), np.zeros((3, 2)))


def test_recalibration_on_the_means_themselves(rng):
    samples = gaussian(rng, 30, 5, n_outputs=2)
    y = samples.mean()
    y[:, 0] += 1
    with pytest.raises(ValidationError, match="y: are the means .* output 1: "):
        metrics.recalibrate(samples, y)


def test_recalibration_of_other_outputs(rng):
    def samples(*names):
        values = rng.normal(size=(30, 50, 2))
        return PredictiveSamples(values, output_names=names or None)

    fitted = metrics.recalibrate(samples("a", "b"), rng.normal(size=(50, 2)))
    assert fitted.output_names == ["a", "b"]
    for same in (samples("a", "b"), samples()):
        fitted.apply(same)
    for other in (samples("b", "a"), samples("a", "c")):
        with pytest.raises(ValidationError, match="samples: output_names differ"):
            fitted.apply(other)


# --- targets that are no quantities

SCORES = [
    metrics.coverage,
    metrics.calibration_curve,
    metrics.crps,
    metrics.nll,
    metrics.score,
    metrics.recalibrate,
]


@pytest.mark.parametrize("function", SCORES)
@pytest.mark.parametrize(
    "n_outputs, y, match",
    [
        (3, np.eye(3)[[0, 2, 1, 1, 0]], "one-hot"),
        (3, np.eye(3, dtype=int)[[0, 2, 1, 1, 0]], "one-hot"),
        (2, pd.get_dummies(["a", "b", "b", "a", "a"]), "got truth values"),
        (3, np.array([0, 2, 1, 1, 0]), r"\(5, 3\); got \(5,\).*labels of 3 classes"),
        (3, np.array([[0], [2], [1], [1], [0]]), "labels of 3 classes"),
        (1, np.array([True, False, True, True, False]), "got truth values"),
        (1, pd.Series([True, False] * 2 + [True], dtype="boolean"), "truth values"),
        (1, pd.Series([1, 2, 1, 1, 2], dtype="category"), "got categories or text"),
        (1, pd.Categorical([1, 2, 1, 1, 2]), "got categories or text"),
        (1, ["a", "b", "a", "a", "b"], "must be real numbers; got categories or text"),
        (1, pd.Series(list("abaab")), "real numbers"),
        (1, [[1, 2], [3]], "real numbers"),
    ],
)
def test_labels_are_refused(function, n_outputs, y, match, rng):
    with pytest.raises(ValidationError, match=match) as info:
        function(gaussian(rng, 40, 5, n_outputs=n_outputs), y)
    assert info.value.attr == "y"


@pytest.mark.parametrize(
    "n_outputs, y",
    [
        (1, [64, 23, 41, 38, 40]),  # whole numbers, such as ages
        (1, [1, 2, 2, 1, 2]),
        (1, [1, 1, 1, 1, 1]),
        (2, [[1, 0], [0, 1], [1, 1], [0, 0], [1, 0]]),  # not one of each row
        (2, np.zeros((5, 2))),
        (2, [[0.5, 0.5]] * 5),
        (2, pd.DataFrame({"y0": [1, 0, 1, 1, 0], "y1": [1.5, 2, 1, 3, 1]})),
    ],
)
def test_whole_numbers_are_quantities(n_outputs, y, rng):
    samples = gaussian(rng, 40, 5, n_outputs=n_outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(metrics.score(samples, y)) == n_outputs


def test_indicators_that_were_standardised_are_quantities(rng):
    """The data set digits is a regression to indicators, and says so."""
    pytest.importorskip("sklearn")
    from nengo_permadrop.datasets.digits import digits

    dataset = digits()
    y = dataset.in_units(dataset.test.take(slice(50)).target)
    samples = PredictiveSamples(y + rng.normal(size=(20, 50, 10)))
    assert len(metrics.score(samples, y)) == 10
    with pytest.raises(ValidationError, match="one-hot"):
        metrics.score(samples, y.round())


def test_one_row_is_not_one_hot(rng):
    assert metrics.crps(gaussian(rng, 5, 1, n_outputs=2), [[0.0, 1.0]]).shape == (1, 2)


@pytest.mark.parametrize("function", SCORES)
def test_two_values_of_one_output_get_a_warning(function, rng):
    with pytest.warns(UserWarning, match="every target is 0 or 1") as caught:
        function(gaussian(rng, 40, 5), [0, 1, 1, 0, 1])
    assert len(caught) == 1
    assert caught[0].filename == __file__


# --- names of targets


@pytest.mark.parametrize("function", SCORES)
def test_targets_in_another_order(function, rng):
    samples = PredictiveSamples(
        rng.normal(size=(40, 3, 2)),
        output_names=["a", "b"],
        observation_names=["x", "y", "z"],
    )
    y = pd.DataFrame(rng.normal(size=(3, 2)), columns=["a", "b"], index=list("xyz"))
    function(samples, y)
    function(samples, y.set_axis([4, 2, 0]).set_axis(["first", "second"], axis=1))
    with pytest.raises(ValidationError, match=r"y: output_names .* second by \[1, 0\]"):
        function(samples, y[["b", "a"]])
    with pytest.raises(ValidationError, match="y: observation_names .*another order"):
        function(samples, y.loc[["x", "z", "y"]])


def test_shuffled_rows_without_names(rng):
    """Rows of a shuffled table: their numbers say nothing about unnamed samples."""
    y = pd.Series(rng.normal(size=4), index=[2, 0, 3, 1])
    assert metrics.crps(gaussian(rng, 5, 4), y).shape == (4, 1)


# --- arguments


@pytest.mark.parametrize(
    "function",
    [metrics.coverage, metrics.crps, metrics.nll, metrics.score, metrics.recalibrate],
)
@pytest.mark.parametrize(
    "y, match",
    [
        (np.zeros(3), r"\(3, 2\); got \(3,\)"),
        (np.zeros((2, 2)), r"\(3, 2\); got \(2, 2\)"),
        (np.full((3, 2), np.nan), "nan at observation 0, output 0"),
        ([["a", "b"]] * 3, "real numbers"),
    ],
)
def test_targets_that_do_not_fit(function, y, match):
    samples = PredictiveSamples(np.random.RandomState(0).rand(50, 3, 2))
    with pytest.raises(ValidationError, match=match) as info:
        function(samples, y)
    assert info.value.attr == "y"


@pytest.mark.parametrize("function", [metrics.crps, metrics.nll, metrics.recalibrate])
def test_one_draw_is_too_few(function):
    with pytest.raises(ValidationError, match="at least 2 draws"):
        function(PredictiveSamples(np.zeros((1, 3, 1))), np.zeros(3))


def test_one_output_takes_a_plain_vector(rng):
    samples = gaussian(rng, 40, 6)
    y = rng.normal(size=6)
    assert np.array_equal(metrics.crps(samples, y), metrics.crps(samples, y[:, None]))
