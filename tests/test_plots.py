import nengo
import numpy as np
import pandas as pd
import pytest
from nengo.exceptions import ValidationError

from nengo_permadrop import SoftLIF, plots
from nengo_permadrop.metrics.comparison import ks_agreement
from nengo_permadrop.metrics.coverage import calibration_curve
from nengo_permadrop.samples.samples import PredictiveSamples
from nengo_permadrop.sampling.cheapest import Tuning

pyplot = pytest.importorskip("matplotlib.pyplot")
pyplot.switch_backend("Agg")


@pytest.fixture(name="pair")
def _pair(rng):
    values = rng.randn(2, 40, 12, 2) + np.arange(12)[:, np.newaxis]
    return [
        PredictiveSamples(v, output_names=["growth", "z"], backend=b)
        for v, b in zip(values, ("keras", "batched"))
    ]


@pytest.fixture(name="close_figures", autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


def draw(name, pair, **kwargs):
    agreement = ks_agreement(*pair)
    table = pd.DataFrame(
        {
            "spikes": [100.0, 10.0, 30.0, 20.0, 1.0],
            "bias": [0.1, 0.3, 0.2, 0.35, np.nan],
            "agrees": [True, False, True, False, False],
        }
    )
    tuning = Tuning(None, 100, "spikes", None, table, chosen=2)
    arguments = {
        "plot_softlif": (),
        "plot_softlif_derivative": (),
        "plot_means": pair,
        "plot_pvalue_histogram": (agreement,),
        "plot_most_extreme": (agreement,),
        "plot_ecdfs": (*pair, 0),
        "plot_frontier": (tuning,),
        "plot_predictive": (pair,),
        "plot_calibration": (pair, np.zeros((12, 2))),
    }
    return getattr(plots, name)(*arguments[name], **kwargs)


ALL_PLOTS = [name for name in dir(plots) if name.startswith("plot_")]


@pytest.mark.parametrize("name", ALL_PLOTS)
def test_axes(name, pair, plt):
    """The axes given are used and returned, no other figure or setting is touched."""
    settings = dict(pyplot.rcParams)
    ax = plt.subplot()
    figures = pyplot.get_fignums()
    assert draw(name, pair, ax=ax) is ax
    assert pyplot.get_fignums() == figures
    assert ax.get_xlabel() and ax.get_ylabel() and ax.get_legend()
    ax.figure.canvas.draw()

    new = draw(name, pair)
    assert new is not ax
    assert len(pyplot.get_fignums()) == len(figures) + 1
    assert dict(pyplot.rcParams) == settings


def lines(ax):
    return {line.get_label(): line.get_xydata().T for line in ax.lines}


def test_softlif_rates():
    ax = plots.plot_softlif(gamma=[0.02, 0.1], tau_ref=0.004)
    drawn = lines(ax)
    assert set(drawn) == {"SoftLIF, γ = 0.02", "SoftLIF, γ = 0.1", "LIF"}
    for label, neuron in (
        ("SoftLIF, γ = 0.1", SoftLIF(gamma=0.1, tau_ref=0.004)),
        ("LIF", nengo.LIFRate(tau_ref=0.004)),
    ):
        current, rate = drawn[label]
        assert np.allclose(rate, neuron.rates(current, 1, 0).ravel())


@pytest.mark.parametrize("gamma", [0.0002, 0.02, 0.3])
def test_softlif_derivative(gamma):
    ax = plots.plot_softlif_derivative(gamma=gamma, tau_rc=0.03)
    drawn = lines(ax)
    step = 1e-7
    for label, neuron in (
        (f"SoftLIF, γ = {gamma}", SoftLIF(gamma=gamma, tau_rc=0.03)),
        ("LIF", nengo.LIFRate(tau_rc=0.03)),
    ):
        current, slope = drawn[label]
        assert np.all(np.isfinite(slope))
        off_threshold = np.abs(current - 1) > 1e-3
        current, slope = current[off_threshold], slope[off_threshold]
        difference = neuron.rates(current + step, 1, 0) - neuron.rates(
            current - step, 1, 0
        )
        assert np.allclose(slope, difference.ravel() / (2 * step), rtol=1e-3, atol=0.5)
    assert ax.get_ylim()[1] > drawn[f"SoftLIF, γ = {gamma}"][1].max()


def test_means(pair):
    ax = plots.plot_means(*pair, labels=("Keras", "LIF"))
    assert len(ax.containers) == 2
    for output, container in enumerate(ax.containers):
        points, _, (x_bars, y_bars) = container
        x, y = points.get_xydata().T
        assert container.get_label() == pair[0].output_names[output]
        assert np.allclose(x, pair[0].mean()[:, output])
        assert np.allclose(y, pair[1].mean()[:, output])
        widths = [np.ptp(segment[:, 0]) for segment in x_bars.get_segments()]
        heights = [np.ptp(segment[:, 1]) for segment in y_bars.get_segments()]
        assert np.allclose(widths, 2 * pair[0].std()[:, output])
        assert np.allclose(heights, 2 * pair[1].std()[:, output])
    x, y = lines(ax)["same mean"]
    assert np.array_equal(x, y)
    assert "Keras" in ax.get_xlabel() and "LIF" in ax.get_ylabel()


def test_means_of_other_shapes(pair, rng):
    with pytest.raises(ValidationError, match=r"\(12, 2\) and \(3, 2\)"):
        plots.plot_means(pair[0], PredictiveSamples(rng.randn(40, 3, 2)))


@pytest.mark.parametrize("randomized", [True, False])
def test_pvalue_histogram(pair, rng, randomized):
    agreement = ks_agreement(*pair)
    control = ks_agreement(*rng.randn(2, 40, 30, 1))
    ax = plots.plot_pvalue_histogram(agreement, control, randomized=randomized)
    assert len(ax.containers) == 2
    for bars, shown in zip(ax.containers, (agreement, control)):
        pvalues = shown.randomized_pvalue if randomized else shown.pvalue
        counts, _ = np.histogram(pvalues, bins=np.linspace(0, 1, 21))
        heights = [bar.get_height() for bar in bars]
        assert np.allclose(heights, counts / pvalues.size)
        assert np.isclose(sum(heights), 1)
    left, right = (bars[3].get_x() for bars in ax.containers)
    assert left < right  # side by side
    assert np.allclose(lines(ax)["uniform"][1], 1 / 20)
    assert ("Randomised" in ax.get_xlabel()) == randomized

    alone = plots.plot_pvalue_histogram(agreement)
    assert len(alone.containers) == 1


def test_most_extreme(pair):
    agreement = ks_agreement(*pair)
    ax = plots.plot_most_extreme(agreement)
    curve, observed = ax.lines
    assert np.array_equal(curve.get_xydata().T, agreement.null_of_maximum())
    assert np.allclose(observed.get_xdata(), agreement.most_extreme.statistic)


@pytest.mark.parametrize("index, column", [(3, (3, 0)), ((3, 1), (3, 1))])
def test_ecdfs(pair, index, column):
    ax = plots.plot_ecdfs(*pair, index)
    drawn = lines(ax)
    for samples, label in zip(pair, ("keras", "batched")):
        draws = samples.values[(slice(None), *column)]
        x, y = drawn[label]
        assert y[0] == 0 and y[-1] == 1
        assert np.allclose(y, [np.mean(draws <= value) for value in x])
    gap_x, gap_y = drawn["KS statistic"]
    assert gap_x[0] == gap_x[1]
    agreement = ks_agreement(*pair)
    assert np.isclose(np.ptp(gap_y), agreement.statistic[column])
    values = [np.mean(s.values[(slice(None), *column)] <= gap_x[0]) for s in pair]
    assert np.allclose(gap_y, values)
    assert f"D = {agreement.statistic[column]:.3g}" in ax.get_title()
    assert f"p = {agreement.pvalue[column]:.3g}" in ax.get_title()
    assert ax.get_xlabel() == pair[0].output_names[column[1]]


def test_ecdfs_with_ties_and_constants():
    a = PredictiveSamples(np.ones((4, 1, 1)))
    b = PredictiveSamples(np.array([1.0, 1.0, 2.0, 2.0]).reshape(4, 1, 1))
    ax = plots.plot_ecdfs(a, b, 0, labels=("one", "two"))
    assert np.allclose(lines(ax)["KS statistic"], [[1, 1], [1, 0.5]])
    ax = plots.plot_ecdfs(a, a, 0, labels=("one", "two"))
    assert "D = 0, p = 1" in ax.get_title()


def test_predictive(pair):
    ax = plots.plot_predictive(
        {"classical": pair[0], "spiking": pair[1]}, observation=2, output=1, bins=10
    )
    draws = [s.values[:, 2, 1] for s in pair]
    edges = np.histogram_bin_edges(np.concatenate(draws), bins=10)
    bars = [c for c in ax.containers if len(c) == 10]  # the outlines are polygons
    assert len(bars) == 2
    for container, values in zip(bars, draws):
        heights, _ = np.histogram(values, bins=edges, density=True)
        assert np.allclose([bar.get_height() for bar in container], heights)
        assert np.allclose([bar.get_x() for bar in container], edges[:-1])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["classical", "spiking"]
    assert ax.get_xlabel() == "z" and "per unit of z" in ax.get_ylabel()


def test_predictive_without_labels(pair):
    def labels(samples):
        legend = plots.plot_predictive(samples).get_legend()
        return [text.get_text() for text in legend.get_texts()]

    assert labels(pair) == ["keras", "batched"]
    assert labels(pair[0]) == ["keras"]
    assert labels([PredictiveSamples(np.ones((3, 1, 1)))]) == ["samples 0"]
    with pytest.raises(ValidationError, match="no samples"):
        plots.plot_predictive([])


def test_calibration(pair, rng):
    y = rng.randn(12, 2) + np.arange(12)[:, np.newaxis]
    ax = plots.plot_calibration({"one": pair[0], "two": pair[1]}, y, output=1)
    drawn = lines(ax)
    for samples, label in zip(pair, ("one", "two")):
        levels, coverage = calibration_curve(samples, y)
        assert np.array_equal(drawn[label], [levels, coverage[:, 1]])
    assert np.array_equal(*drawn["calibrated"])
    (band,) = ax.collections
    corners = band.get_paths()[0].vertices
    half = corners[np.isclose(corners[:, 0], 0.5)][:, 1]
    # of 12 fair coins 3 to 9 are heads in 96%, 4 to 8 in 85%
    assert np.allclose(sorted(set(half)), [3 / 12, 9 / 12])


@pytest.mark.parametrize(
    "name", ["plot_means", "plot_ecdfs", "plot_predictive", "plot_calibration"]
)
@pytest.mark.parametrize("attr", ["output_names", "observation_names"])
def test_other_names_are_refused(name, attr, rng):
    names = {"output_names": list("ab"), "observation_names": list("uvwxyz")}[attr]
    values = rng.randn(40, 6, 2)
    pair = [
        PredictiveSamples(values, **{attr: each})
        for each in (names, names[1:] + names[:1])
    ]
    arguments = {
        "plot_means": pair,
        "plot_ecdfs": (*pair, 0),
        "plot_predictive": (pair,),
        "plot_calibration": (pair, rng.randn(6, 2)),
    }[name]
    with pytest.raises(ValidationError, match=f"{attr} differ.*another order"):
        getattr(plots, name)(*arguments)


def test_frontier(pair):
    """Agreeing settings are filled, the chosen one has a ring."""
    ax = draw("plot_frontier", pair)
    (line,) = ax.lines
    assert line.get_xydata().tolist() == [[10, 0.3], [30, 0.2], [100, 0.1]]
    agreeing, others, ring = ax.collections
    assert agreeing.get_offsets().tolist() == [[100, 0.1], [30, 0.2]]
    assert len(agreeing.get_facecolor()) == 1 and len(others.get_facecolor()) == 0
    assert ring.get_offsets().tolist() == [[30, 0.2]]
    assert ax.get_xscale() == "log"
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["frontier", "agrees", "doesn't agree", "chosen"]
