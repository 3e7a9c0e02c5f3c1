"""The part of a study that asks whether the predictive distributions are of use."""

import warnings

import numpy as np

from nengo_permadrop.metrics import recalibrate, score
from nengo_permadrop.plots import plot_calibration
from nengo_permadrop.residuals import without_spread
from nengo_permadrop.samples import PredictiveSamples

# Of the validation rows, which a data set may have many of
MOST_ROWS = 500

NETWORKS = ("spiking", "classical")


def calibration_rows(dataset):
    """The validation rows that the recalibration is fitted on, a `.datasets.Split`."""
    return dataset.validation.take(slice(MOST_ROWS))


def fit(samples, dataset):
    """
    Fit the recalibration of a study.

    Parameters
    ----------
    samples : `.PredictiveSamples`
        Of the classical network for `calibration_rows`, in the target's own units.
    dataset : `.datasets.Dataset`

    Returns
    -------
    recalibration : `.Recalibration`

    Warns
    -----
    UserWarning
        If all draws of some rows are the same, which no factor makes spread: they are
        left out.
    """
    target = dataset.in_units(calibration_rows(dataset).target)
    spread = ~without_spread(samples).any(axis=1)
    if not spread.all():
        warnings.warn(
            f"all draws of {np.count_nonzero(~spread)} of {len(spread)} validation "
            "rows are the same; the recalibration is fitted on the others. Such "
            "predictions depend on no unit that is dropped",
            stacklevel=2,
        )
        samples = PredictiveSamples(
            samples.values[:, spread], output_names=samples.output_names
        )
    return recalibrate(samples, target[spread])


def scores(study):
    """
    How good both networks' distributions are, before and after the recalibration.

    Parameters
    ----------
    study : `.Study`

    Returns
    -------
    found : list of dict
        One for each output: ``{"output": name, "spiking": {"before": row, "after":
        row}, "classical": {"before": row, "after": row}}``, where a row is one of
        `.metrics.score` as a dict. For the test rows of the study, in the target's own
        units.
    """
    y = _observed(study)
    tables = {
        (network, when): score(samples, y).to_dict(orient="records")
        for network in NETWORKS
        for when, samples in _before_and_after(study, network).items()
    }
    return [
        {
            "output": name,
            **{
                network: {
                    when: tables[network, when][i] for when in ("before", "after")
                }
                for network in NETWORKS
            },
        }
        for i, name in enumerate(study.samples_classical.output_names)
    ]


def draw_calibration(study, axes):
    """
    Draw the calibration curves of both networks, before and after.

    Parameters
    ----------
    study : `.Study`
    axes : (2,) sequence of `matplotlib.axes.Axes`
        One for before, one for after. Of several outputs, the first is drawn.
    """
    y = _observed(study)
    curves = [_before_and_after(study, network) for network in NETWORKS]
    for ax, when, title in zip(
        axes, ("before", "after"), ("as they are", "recalibrated on validation rows")
    ):
        shown = dict(zip(NETWORKS, (each[when] for each in curves)))
        plot_calibration(shown, y, ax=ax)
        ax.set_title(title)


def _before_and_after(study, network):
    samples = getattr(study, f"samples_{network}")
    return {"before": samples, "after": study.recalibration.apply(samples)}


def _observed(study):
    rows = study.dataset.test.take(slice(study.samples_classical.n_observations))
    return study.dataset.in_units(rows.target)
