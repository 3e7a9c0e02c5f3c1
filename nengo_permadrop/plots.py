"""
Plots of SoftLIF neurons, predictive distributions, their agreement, and tunings.

Every function draws into the `matplotlib.axes.Axes` that it is given, or into those of
a new figure, and returns them. None shows a figure or changes Matplotlib's settings.
"""

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.metrics.coverage import calibration_curve
from nengo_permadrop.metrics.ks import ks_pvalue, ks_statistic
from nengo_permadrop.neurons.softlif import GAMMA, TAU_RC, TAU_REF, SoftLIF
from nengo_permadrop.samples.matching import check_pair
from nengo_permadrop.samples.samples import PredictiveSamples
from nengo_permadrop.support.plotting import axes_or_new, bin_edges, finished, text

# Okabe and Ito's palette, without its black and yellow, which colour-blind readers can
# tell apart: https://jfly.uni-koeln.de/color/
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
REFERENCE = {"color": "0.35", "linestyle": "--", "linewidth": 1}


def plot_softlif(
    gamma=GAMMA, *, tau_rc=TAU_RC, tau_ref=TAU_REF, current_range=(0.5, 1.5), ax=None
):
    """
    The firing rate of SoftLIF neurons against input current, beside a LIF neuron's.

    Parameters
    ----------
    gamma : float or sequence of float, optional
        Width of the smoothing; a curve for each.
    tau_rc, tau_ref : float, optional
        Membrane time constant and refractory period, in seconds.
    current_range : (2,) tuple of float, optional
        Range of input currents; LIF's threshold is 1.
    ax : `matplotlib.axes.Axes`, optional
        A new figure's, if not given.

    Returns
    -------
    ax : `matplotlib.axes.Axes`
    """
    ax = axes_or_new(ax)
    current = np.linspace(*current_range, 501)
    for color, neuron in _softlifs(gamma, tau_rc, tau_ref):
        rate = neuron.rates(current, 1, 0).ravel()
        ax.plot(current, rate, color=color, label=f"SoftLIF, γ = {neuron.gamma:g}")
    lif = nengo.LIFRate(tau_rc=tau_rc, tau_ref=tau_ref)
    ax.plot(current, lif.rates(current, 1, 0).ravel(), label="LIF", **REFERENCE)
    return finished(ax, "Input current (threshold = 1)", "Firing rate (Hz)")


def plot_softlif_derivative(
    gamma=GAMMA, *, tau_rc=TAU_RC, tau_ref=TAU_REF, current_range=(0.5, 1.5), ax=None
):
    """
    The slope of SoftLIF's rate, with which it is trained, beside a LIF neuron's.

    LIF's slope is infinite just above its threshold; the axis ends above SoftLIF's.

    Parameters
    ----------
    gamma, tau_rc, tau_ref, current_range, ax : optional
        As in `plot_softlif`.

    Returns
    -------
    ax : `matplotlib.axes.Axes`
    """
    ax = axes_or_new(ax)
    current = np.linspace(*current_range, 501)
    highest = 0.0
    for color, neuron in _softlifs(gamma, tau_rc, tau_ref):
        z = (current - 1) / neuron.gamma
        rho = np.maximum(neuron.gamma * np.logaddexp(0, z), np.finfo(float).tiny)
        slope = _rate_slope(
            neuron,
            neuron.rates(current, 1, 0).ravel(),
            rho,
            np.exp(-np.logaddexp(0, -z)),
        )
        highest = max(highest, slope.max())
        ax.plot(current, slope, color=color, label=f"SoftLIF, γ = {neuron.gamma:g}")
    lif = nengo.LIFRate(tau_rc=tau_rc, tau_ref=tau_ref)
    above = current > 1
    slope = np.zeros_like(current)
    slope[above] = _rate_slope(
        lif, lif.rates(current[above], 1, 0).ravel(), current[above] - 1, 1.0
    )
    ax.plot(current, slope, label="LIF", **REFERENCE)
    ax.set_ylim(0, 1.2 * highest)
    return finished(ax, "Input current (threshold = 1)", "Slope of the rate (Hz)")


def plot_means(
    samples_classical, samples_spiking, *, labels=("classical", "spiking"), ax=None
):
    """
    Means of two sets of predictive distributions against each other.

    Parameters
    ----------
    samples_classical, samples_spiking : `.PredictiveSamples`
        Of the same observations and outputs, in the same units.
    labels : (2,) sequence of str, optional
        What the two are called.
    ax : `matplotlib.axes.Axes`, optional
        A new figure's, if not given.

    Returns
    -------
    ax : `matplotlib.axes.Axes`
        A point an observation, a colour an output; the bars are one standard deviation
        of the draws, the dashed line is where both means are the same.

    Raises
    ------
    nengo.exceptions.ValidationError
        If observations or outputs differ in number, name or order.
    """
    check_pair(samples_classical, samples_spiking, attr="samples_spiking")
    ax = axes_or_new(ax)
    x, y = samples_classical.mean(), samples_spiking.mean()
    x_std, y_std = samples_classical.std(), samples_spiking.std()
    colors = _colors(samples_classical.n_outputs)
    for output, name in enumerate(samples_classical.output_names):
        ax.errorbar(
            x[:, output],
            y[:, output],
            xerr=x_std[:, output],
            yerr=y_std[:, output],
            fmt="o",
            markersize=4,
            elinewidth=0.6,
            color=colors[output],
            label=text(name),
        )
    ends = [
        min((x - x_std).min(), (y - y_std).min()),
        max((x + x_std).max(), (y + y_std).max()),
    ]
    ax.plot(ends, ends, label="same mean", **REFERENCE)
    return finished(ax, *(f"Predictive mean ± 1 SD, {text(label)}" for label in labels))


def plot_pvalue_histogram(
    agreement, control=None, *, randomized=True, labels=("result", "control"), ax=None
):
    """
    Histogram of the p-values of KS tests, which is flat for equal distributions.

    Parameters
    ----------
    agreement : `.Agreement`
    control : `.Agreement`, optional
        Of samples known to be from the same distributions (the classical network with
        itself), drawn beside it.
    randomized : bool, optional
        Use the randomised p-values. The plain ones are discrete, and not flat even for
        equal distributions.
    labels : (2,) sequence of str, optional
        What the two are called.
    ax : `matplotlib.axes.Axes`, optional
        A new figure's, if not given.

    Returns
    -------
    ax : `matplotlib.axes.Axes`
        The dashed line is what is expected of uniform p-values.
    """
    ax = axes_or_new(ax)
    kind = "randomized_pvalue" if randomized else "pvalue"
    shown = [agreement] if control is None else [agreement, control]
    pvalues = [getattr(each, kind).ravel() for each in shown]
    n_bins = 20
    ax.hist(
        pvalues,
        bins=np.linspace(0, 1, n_bins + 1),
        weights=[np.full(p.size, 1 / p.size) for p in pvalues],
        color=COLORS[: len(shown)],
        label=[text(label) for label in labels[: len(shown)]],
    )
    ax.axhline(1 / n_bins, label="uniform", **REFERENCE)
    ax.set_xlim(0, 1)
    adjective = "Randomised" if randomized else "Plain"
    return finished(ax, f"{adjective} p-value of the KS test", "Fraction of tests")


def plot_most_extreme(agreement, ax=None):
    """
    The largest KS statistic, in the distribution that it has for equal distributions.

    Parameters
    ----------
    agreement : `.Agreement`
    ax : `matplotlib.axes.Axes`, optional
        A new figure's, if not given.

    Returns
    -------
    ax : `matplotlib.axes.Axes`
    """
    ax = axes_or_new(ax)
    statistic, probability = agreement.null_of_maximum()
    extreme = agreement.most_extreme
    ax.plot(statistic, probability, color=COLORS[0], label="equal distributions")
    ax.axvline(
        extreme.statistic,
        color=COLORS[1],
        label=f"D = {extreme.statistic:.3g} {extreme.index}, p = {extreme.pvalue:.3g}",
    )
    return finished(
        ax,
        f"Largest of {agreement.statistic.size} KS statistics, D",
        "Probability of D or more",
    )


def plot_ecdfs(samples_a, samples_b, index, *, labels=None, ax=None):
    """
    Two empirical distribution functions, and the KS statistic as the gap between them.

    Parameters
    ----------
    samples_a, samples_b : `.PredictiveSamples`
        Of the same observations and outputs, in the same units.
    index : int or (2,) tuple of int
        ``(observation, output)``; an observation alone means its first output.
    labels : (2,) sequence of str, optional
        What the two are called; by default their backends.
    ax : `matplotlib.axes.Axes`, optional
        A new figure's, if not given.

    Returns
    -------
    ax : `matplotlib.axes.Axes`
        With statistic and p-value in the title.

    Raises
    ------
    nengo.exceptions.ValidationError
        If observations or outputs differ in number, name or order.
    """
    check_pair(samples_a, samples_b)
    observation, output = (index, 0) if np.ndim(index) == 0 else index
    ax = axes_or_new(ax)
    a, b = (np.sort(s.values[:, observation, output]) for s in (samples_a, samples_b))
    if labels is None:
        labels = samples_a.backend or "a", samples_b.backend or "b"

    points = np.union1d(a, b)
    ecdf_a, ecdf_b = (np.searchsorted(s, points, side="right") / len(s) for s in (a, b))
    # both start at 0, left of all values
    steps = np.concatenate([[points[0] - 0.05 * (np.ptp(points) or 1)], points])
    for ecdf, label, color in zip((ecdf_a, ecdf_b), labels, COLORS, strict=False):
        ax.step(steps, [0, *ecdf], where="post", label=text(label), color=color)

    widest = np.argmax(np.abs(ecdf_a - ecdf_b))
    statistic = float(ks_statistic(a, b))
    ax.plot(
        [points[widest]] * 2,
        [ecdf_a[widest], ecdf_b[widest]],
        color="black",
        linewidth=2,
        label="KS statistic",
    )
    pvalue = float(ks_pvalue(statistic, len(a), len(b)))
    name = text(samples_a.observation_names[observation])
    ax.set_title(f"Observation {name}: D = {statistic:.3g}, p = {pvalue:.3g}")
    name = text(samples_a.output_names[output])
    return finished(ax, name, "Fraction of draws at most so large")


def plot_predictive(samples, observation=0, output=0, *, bins=30, ax=None):
    """
    Histograms of the predictive distribution of one observation.

    Parameters
    ----------
    samples : `.PredictiveSamples`, sequence of them, or {str: `.PredictiveSamples`}
        What to draw, by label; without labels, the backends serve. Of the same
        observations and outputs.
    observation, output : int, optional
        Which distribution.
    bins : int, optional
        Number of bins, the same for all.
    ax : `matplotlib.axes.Axes`, optional
        A new figure's, if not given.

    Returns
    -------
    ax : `matplotlib.axes.Axes`
    """
    labelled = _labelled(samples)
    ax = axes_or_new(ax)
    draws = [s.values[:, observation, output] for _, s in labelled]
    edges = bin_edges(np.concatenate(draws), bins)
    for i, ((label, _), values) in enumerate(zip(labelled, draws, strict=True)):
        color = COLORS[i % len(COLORS)]
        shared = {"bins": edges, "density": True, "color": color}
        ax.hist(values, alpha=0.25, **shared)
        ax.hist(values, histtype="step", linewidth=1.5, label=text(label), **shared)
    first = labelled[0][1]
    ax.set_title(f"Observation {text(first.observation_names[observation])}")
    name = text(first.output_names[output])
    return finished(ax, name, f"Density (per unit of {name})")


def plot_calibration(samples, y, *, output=0, ax=None):
    """
    How often intervals hold the observed targets, against how often they should.

    Parameters
    ----------
    samples : `.PredictiveSamples`, sequence of them, or {str: `.PredictiveSamples`}
        Of the same observations; labelled as in `plot_predictive`.
    y : (n_observations, n_outputs) array_like
        Observed targets, in the units of the samples.
    output : int, optional
        Which of the outputs.
    ax : `matplotlib.axes.Axes`, optional
        A new figure's, if not given.

    Returns
    -------
    ax : `matplotlib.axes.Axes`
        A curve under the dashed line is of intervals that are too narrow. Calibrated
        ones stay in the grey band at 95% of the levels, if observations are
        independent.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``y`` doesn't fit the samples.
    """
    from scipy.stats import binom

    labelled = _labelled(samples)
    curves = [(label, *calibration_curve(s, y)) for label, s in labelled]
    ax = axes_or_new(ax)
    n_observations = labelled[0][1].n_observations
    levels = np.linspace(0, 1, 101)
    low, high = binom.interval(0.95, n_observations, levels)
    ax.fill_between(
        levels,
        low / n_observations,
        high / n_observations,
        color="0.9",
        label="95% of calibrated ones",
    )
    ax.plot([0, 1], [0, 1], label="calibrated", **REFERENCE)
    for i, (label, levels, coverage) in enumerate(curves):
        color = COLORS[i % len(COLORS)]
        ax.plot(levels, coverage[:, output], ".-", color=color, label=text(label))
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    return finished(ax, "Level of the interval", "Fraction of targets inside")


def plot_frontier(tuning, *, ax=None):
    """
    What a tuning's settings cost, and how far off the network is with each.

    Parameters
    ----------
    tuning : `.Tuning`
    ax : `matplotlib.axes.Axes`, optional
        A new figure's, if not given.

    Returns
    -------
    ax : `matplotlib.axes.Axes`
        A dot for each setting: filled where the networks agree. The line joins those
        that no other one beats in both spikes and bias, the ring is around the chosen
        one. Settings with which hardly a spike comes through have no bias.
    """
    ax = axes_or_new(ax)
    table, frontier = tuning.table, tuning.frontier
    ax.plot(frontier["spikes"], frontier["bias"], label="frontier", **REFERENCE)
    for agrees, label in ((True, "agrees"), (False, "doesn't agree")):
        shown = table[table["agrees"] == agrees]
        ax.scatter(
            shown["spikes"],
            shown["bias"],
            s=24,
            facecolor=COLORS[0] if agrees else "none",
            edgecolor=COLORS[0],
            label=label,
            zorder=2,
        )
    chosen = table.iloc[[tuning.chosen]]
    ax.scatter(
        chosen["spikes"],
        chosen["bias"],
        s=110,
        facecolor="none",
        edgecolor=COLORS[1],
        linewidth=1.5,
        label="chosen",
        zorder=3,
    )
    ax.set_xscale("log")
    ax.set_title(f"{tuning.n_draws} draws")
    return finished(ax, "Spikes of a draw", "Bias (standard deviations)")


def _colors(n):
    """So many that can be told apart, also by people who don't see all colours."""
    if n <= len(COLORS):
        return COLORS[:n]
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0, 0.95, n))


def _labelled(samples):
    """What to draw as a list of (label, samples)."""
    if isinstance(samples, PredictiveSamples):
        samples = [samples]
    if not isinstance(samples, dict):
        labelled = [(s.backend or f"samples {i}", s) for i, s in enumerate(samples)]
    else:
        labelled = list(samples.items())
    if not labelled:
        raise ValidationError("there are no samples to plot", attr="samples")
    for _, other in labelled[1:]:
        check_pair(labelled[0][1], other, attr="samples")
    return labelled


def _softlifs(gammas, tau_rc, tau_ref):
    for i, gamma in enumerate(np.atleast_1d(gammas)):
        neuron = SoftLIF(gamma=float(gamma), tau_rc=tau_rc, tau_ref=tau_ref)
        yield COLORS[i % len(COLORS)], neuron


def _rate_slope(neuron, rate, rho, rho_slope):
    """
    Derivative of ``rate = 1 / (tau_ref + tau_rc log(1 + 1 / rho))`` by the current.

    ``rho`` is the current above threshold, or its smoothed version, greater than 0.
    """
    return rate**2 * neuron.tau_rc * rho_slope / (rho * (1 + rho))
