"""The part of a study that asks whether the predictive distributions are of use."""

import contextlib
import warnings
import weakref

import numpy as np

from nengo_permadrop.metrics.recalibration import Recalibration, recalibrate
from nengo_permadrop.metrics.residuals import without_spread
from nengo_permadrop.metrics.scores import score
from nengo_permadrop.plots import plot_calibration
from nengo_permadrop.samples.matching import as_quantities
from nengo_permadrop.samples.samples import PredictiveSamples
from nengo_permadrop.support.plain import not_finite, plain

# Of the validation rows, which a data set may have many of
MOST_ROWS = 500

NETWORKS = ("spiking", "classical")

# What is found of a study, which doesn't change, for as long as there is one
_SCORED = weakref.WeakKeyDictionary()


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
        Its scale is 1, which changes nothing, for an output that spreads in no row.

    Warns
    -----
    UserWarning
        If all draws of some rows are the same, which no factor makes spread: they are
        left out.
    """
    target = dataset.in_units(calibration_rows(dataset).target)
    constant = without_spread(samples)
    if constant.any():
        warnings.warn(
            f"all draws of {np.count_nonzero(constant.any(axis=1))} of {len(constant)} "
            "validation rows are the same; the recalibration is fitted on the others. "
            "Such predictions depend on no unit that is dropped",
            stacklevel=2,
        )
    scale = np.ones(samples.n_outputs)
    with _meant(target):
        for i, fitted in enumerate(~constant.T):
            if fitted.any():
                rows = PredictiveSamples(samples.values[:, fitted, i : i + 1])
                (scale[i],) = recalibrate(rows, target[fitted, i : i + 1]).scale
    return Recalibration(scale)


def _meant(target):
    """
    A context in which indicators of classes are scored as the study predicts them: as
    several quantities. Of one target alone it isn't known what its 0 and 1 are.
    """
    return as_quantities() if target.shape[1] > 1 else contextlib.nullcontext()


def not_fitted(study):
    """
    The outputs whose recalibration could not be fitted, and why.

    Parameters
    ----------
    study : `.Study`

    Returns
    -------
    reasons : {int: str}
        By the number of the output.
    """
    constant = without_spread(study.samples_validation).all(axis=0)
    reason = (
        "all draws of every validation row are the same, which no factor makes spread; "
        "the distributions are left as they are"
    )
    return {int(i): reason for i in np.flatnonzero(constant)}


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
        `.metrics.score` as a dict, with None for what isn't defined. For the test rows
        of the study, in the target's own units.
    """
    return _scored(study)[0]


def undefined_scores(study):
    """
    Which of the `scores` aren't defined, and why.

    Parameters
    ----------
    study : `.Study`

    Returns
    -------
    reasons : {str: str}
        By place, such as ``"0.spiking.before.NLL"``.
    """
    return _scored(study)[1]


def _scored(study):
    if study not in _SCORED:
        _SCORED[study] = _score(study)
    return _SCORED[study]


def _score(study):
    y = observed(study)
    found = [{"output": name} for name in study.samples_classical.output_names]
    reasons = {}
    for network in NETWORKS:
        for when, samples in _before_and_after(study, network).items():
            with _meant(y):
                table = score(samples, y)
            told = table.attrs["undefined"]
            for i, row in enumerate(table.to_dict(orient="records")):
                place = f"{i}.{network}.{when}."
                for column, what in not_finite(row).items():
                    reason = told.get(row["Output"], {}).get(column, what)
                    reasons[place + column] = reason
                found[i].setdefault(network, {})[when] = plain(row)
    return found, reasons


def reference(study):
    """
    The scores of who knows nothing of a row but mean and spread of the targets.

    Parameters
    ----------
    study : `.Study`

    Returns
    -------
    scores : list of {str: float}
        One for each output, of the rows shown: "RMSE" and "Sharpness", their standard
        deviation; "CRPS", half of the mean difference of two of them; "NLL", that of
        the Gaussian with their moments.
    """
    found = []
    for y in observed(study).T:
        std, n = float(y.std()), len(y)
        pairs = 2 * np.arange(n) - n + 1
        half_difference = float(pairs @ np.sort(y)) / n**2
        nll = np.log(std) + 0.5 * np.log(2 * np.pi * np.e) if std else np.nan
        found.append(
            {"CRPS": half_difference, "NLL": nll, "RMSE": std, "Sharpness": std}
        )
    return found


def draw_calibration(study, axes):
    """
    Draw the calibration curves of both networks, before and after.

    Parameters
    ----------
    study : `.Study`
    axes : (2,) sequence of `matplotlib.axes.Axes`
        One for before, one for after. Of several outputs, the first is drawn.
    """
    y = observed(study)
    curves = [_before_and_after(study, network) for network in NETWORKS]
    for ax, when, title in zip(
        axes, ("before", "after"), ("as they are", "recalibrated on validation rows")
    ):
        shown = dict(zip(NETWORKS, (each[when] for each in curves)))
        with _meant(y):
            plot_calibration(shown, y, ax=ax)
        ax.set_title(title)


def _before_and_after(study, network):
    samples = getattr(study, f"samples_{network}")
    return {"before": samples, "after": study.recalibration.apply(samples)}


def observed(study):
    """Targets of the rows shown, (n_observations, n_outputs), in their own units."""
    rows = study.dataset.test.take(slice(study.samples_classical.n_observations))
    return study.dataset.in_units(rows.target)
