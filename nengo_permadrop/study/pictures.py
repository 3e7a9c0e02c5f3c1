"""The pictures of a study's report, which are those of the paper's slides."""

import io

import numpy as np

from nengo_permadrop import plots
from nengo_permadrop.study import uncertainty
from nengo_permadrop.support.optional import require
from nengo_permadrop.support.plotting import finished, text

PICTURES = (
    "means",
    "pvalues",
    "ecdf_most_extreme",
    "predictive",
    "predictions",
    "calibration",
)
TUNING = "tuning"  # of tuned studies only
SOFTLIF_PICTURE = "softlif"  # of networks that have such neurons only
LABELS = ("spiking", "classical")
CONTROL_LABELS = ("classical", "classical again")


def draw_pictures(study):
    """
    The pictures of the paper's slides, as PNG.

    Parameters
    ----------
    study : `.Study`

    Returns
    -------
    pictures : {str: bytes}
        By file name; those of the tuning and of SoftLIF only if there is one.
    """
    spiking, classical = study.samples_spiking, study.samples_classical
    most_extreme = study.agreement.most_extreme.index

    means, (left, right) = _figure(2)
    plots.plot_means(classical, spiking, ax=left)
    plots.plot_means(classical, study.samples_control, labels=CONTROL_LABELS, ax=right)
    right.set_title("control")

    pvalues, (ax,) = _figure(1)
    plots.plot_pvalue_histogram(
        study.agreement,
        study.control,
        labels=("spiking against classical", "control: classical against itself"),
        ax=ax,
    )

    ecdfs, (left, right) = _figure(2)
    plots.plot_ecdfs(spiking, classical, most_extreme, labels=LABELS, ax=left)
    plots.plot_ecdfs(
        study.samples_control,
        classical,
        study.control.most_extreme.index,
        labels=CONTROL_LABELS[::-1],
        ax=right,
    )
    right.set_title(f"control\n{right.get_title()}")

    predictive, (ax,) = _figure(1)
    plots.plot_predictive(
        {"spiking": spiking, "classical": classical}, *typical(study), ax=ax
    )
    predictions, axes = _figure(2)
    for ax, samples, label in zip(axes, (spiking, classical), LABELS):
        draw_predictions(samples, uncertainty.observed(study), ax)
        ax.set_title(label)
    calibration, axes = _figure(2)
    uncertainty.draw_calibration(study, axes)
    drawn = (means, pvalues, ecdfs, predictive, predictions, calibration)
    figures = dict(zip(PICTURES, drawn, strict=True))
    if has_softlif(study):
        figures[SOFTLIF_PICTURE], (rate, slope) = _figure(2)
        plots.plot_softlif(gamma=study.network["gammas"], ax=rate)
        plots.plot_softlif_derivative(gamma=study.network["gammas"], ax=slope)
    if study.tuning is not None:
        figures[TUNING], (ax,) = _figure(1)
        plots.plot_frontier(study.tuning, ax=ax)
    return {f"{name}.png": _png(figure) for name, figure in figures.items()}


def draw_predictions(samples, y, ax):
    """
    Draw the predictions of a network against the targets.

    Parameters
    ----------
    samples : `.PredictiveSamples`
    y : (n_observations, n_outputs) ndarray
        Targets, in the units of the samples.
    ax : `matplotlib.axes.Axes`
        A dot an observation, a colour an output; the bars are one standard deviation of
        the draws, the dashed line is where predictions are right.
    """
    mean, std = samples.mean(), samples.std()
    n = samples.n_outputs
    for output, name in enumerate(samples.output_names):
        ax.errorbar(
            y[:, output],
            mean[:, output],
            yerr=std[:, output],
            fmt="o",
            markersize=4,
            elinewidth=0.6,
            color=plots.COLORS[output % len(plots.COLORS)],
            label=text(name) if n > 1 else "observations",
        )
    ends = [min(y.min(), (mean - std).min()), max(y.max(), (mean + std).max())]
    ax.plot(ends, ends, label="right", **plots.REFERENCE)
    finished(ax, "Target", "Predictive mean ± 1 SD")


def has_softlif(study):
    """Whether the classical network has SoftLIF activations."""
    return bool(study.network["gammas"])


def typical(study):
    """The (observation, output) whose KS statistic is the median one."""
    statistic = study.agreement.statistic
    order = np.argsort(statistic, axis=None, kind="stable")
    index = np.unravel_index(order[len(order) // 2], statistic.shape)
    return tuple(int(i) for i in index)


def _figure(n_axes):
    # a Figure of its own, not pyplot's: no window, no global state
    require("matplotlib")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * n_axes, 4), layout="constrained")
    return figure, figure.subplots(1, n_axes, squeeze=False)[0]


def _png(figure):
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120)
    return stream.getvalue()
