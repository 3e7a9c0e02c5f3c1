"""The pictures of a study's report, which are those of the paper's slides."""

import io

import numpy as np

from nengo_permadrop import plots
from nengo_permadrop.study import uncertainty
from nengo_permadrop.support.optional import require

PICTURES = (
    "means",
    "pvalues",
    "ecdf_most_extreme",
    "predictive",
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
    calibration, axes = _figure(2)
    uncertainty.draw_calibration(study, axes)
    drawn = (means, pvalues, ecdfs, predictive, calibration)
    figures = dict(zip(PICTURES, drawn, strict=True))
    if has_softlif(study):
        figures[SOFTLIF_PICTURE], (rate, slope) = _figure(2)
        plots.plot_softlif(gamma=study.network["gammas"], ax=rate)
        plots.plot_softlif_derivative(gamma=study.network["gammas"], ax=slope)
    if study.tuning is not None:
        figures[TUNING], (ax,) = _figure(1)
        plots.plot_frontier(study.tuning, ax=ax)
    return {f"{name}.png": _png(figure) for name, figure in figures.items()}


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
