"""
How good predictive distributions are, measured on targets that were observed.

Agreement (`.ks_agreement`) says whether two networks have the same predictive
distributions; the functions here say whether these are of use: whether their intervals
hold the targets as often as they claim (`coverage`, `calibration_curve`), and how far
they are from the targets, spread and all (`crps`, `nll`).

The distribution of a network with permanent dropout is that of its mean prediction. The
noise of the measurement is not in it, and MC dropout underestimates the variance in
general [1]_: its intervals are too narrow. `recalibrate` widens them by one factor,
fitted on rows that were used neither for training nor for the scores.

In all functions ``samples`` are `.PredictiveSamples`, and ``y`` are the observed
targets in the same units, of shape ``(n_observations, n_outputs)``; for one output
``(n_observations,)`` will do. Labels of classes are refused
(`.matching.regression_targets`), and so are names in another order than the samples'.

A score that isn't defined is NaN, and a warning says why; in JSON it is ``null``. That
is the likelihood of draws that are all the same, up to rounding, as they have no
density. Coverage, CRPS, RMSE and MAE are defined for such draws.

References
----------
.. [1] Laves, M.-H., Ihler, S., Fast, J. F., Kahrs, L. A., & Ortmaier, T. (2021).
   Recalibration of aleatoric and epistemic regression uncertainty in medical imaging.
   Machine Learning for Biomedical Imaging 1. arXiv:2104.12376
"""

import warnings

import numpy as np

from nengo_permadrop.metrics.coverage import LEVELS, fractions_covered, highest_level
from nengo_permadrop.metrics.residuals import (
    at_least_two_draws,
    residual_and_std,
    root_mean_square,
)
from nengo_permadrop.samples.matching import regression_targets
from nengo_permadrop.support.registry import Registry
from nengo_permadrop.support.validation import (
    check_levels,
    check_samples,
)


def crps(samples, y):
    """
    Continuous ranked probability score of each distribution.

    ``E|X - y| - E|X - X'| / 2`` for independent draws X, X' [1]_, estimated without
    bias ("fair" [2]_): it depends on the number of draws by chance only.

    Parameters
    ----------
    samples : `.PredictiveSamples`
        Of at least 2 draws.
    y : (n_observations, n_outputs) array_like
        Observed targets.

    Returns
    -------
    crps : (n_observations, n_outputs) ndarray
        In the units of the target; less is better.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``y`` doesn't fit the samples, or there is one draw.

    References
    ----------
    .. [1] Gneiting, T., & Raftery, A. E. (2007). Strictly proper scoring rules,
       prediction, and estimation. Journal of the American Statistical Association
       102(477).
    .. [2] Ferro, C. A. T. (2014). Fair scores for ensemble forecasts. Quarterly Journal
       of the Royal Meteorological Society 140(683).
    """
    y = regression_targets(y, samples)
    at_least_two_draws(samples)
    return _crps(samples, y)


def _crps(samples, y):
    n = samples.n_draws
    values = np.sort(samples.values, axis=0).astype(np.float64)
    # Of the differences between all pairs, the k-th smallest draw (from 0) is added k
    # times and subtracted n - 1 - k times. From the mean, against rounding.
    weights = (2 * np.arange(n) - n + 1) / (n * (n - 1))
    half_difference = np.tensordot(weights, values - values.mean(axis=0), axes=1)
    return np.abs(values - y).mean(axis=0) - half_difference


def nll(samples, y):
    """
    Negative log-likelihood of each target, of a Gaussian with the draws' moments.

    Parameters
    ----------
    samples : `.PredictiveSamples`
        Of at least 2 draws. Mean and standard deviation (``ddof=1``) are theirs.
    y : (n_observations, n_outputs) array_like
        Observed targets.

    Returns
    -------
    nll : (n_observations, n_outputs) ndarray
        In nats, of a density by the unit of the target; less is better. NaN where all
        draws are the same.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``y`` doesn't fit the samples, or there is one draw.

    Warns
    -----
    UserWarning
        If it isn't defined somewhere.
    """
    y = regression_targets(y, samples)
    at_least_two_draws(samples)
    found, undefined = _nll(*residual_and_std(samples, y))
    for name, reason in zip(samples.output_names, undefined):
        if reason:
            warnings.warn(f"NLL of output {name!r}: {reason}", stacklevel=2)
    return found


def _nll(residual, std):
    """The likelihoods, and for each output why some are NaN, or None."""
    constant = std == 0
    scale = np.where(constant, np.nan, std)
    found = 0.5 * (residual / scale) ** 2 + np.log(scale) + 0.5 * np.log(2 * np.pi)
    reasons = []
    for column in constant.T:
        n, first = np.count_nonzero(column), np.argmax(column)
        reason = (
            f"undefined (NaN), as all draws of {n} of {len(column)} observations are "
            f"the same, the first of them at {first}; such draws have no density"
        )
        reasons.append(reason if n else None)
    return found, reasons


# Other scores, each a column of what `score` returns
_SCORES = Registry("score", "nengo_permadrop.scores")


def register_score(name):
    """
    Register another column of what `score` returns.

    Parameters
    ----------
    name : str
        Of the column.

    Returns
    -------
    decorator : callable
        For a function of samples and targets, ``(n_observations, n_outputs)``, that
        have been checked; it returns a number per output, ``(n_outputs,)``.
    """

    def decorator(function):
        _SCORES.register(name, function)
        return function

    return decorator


def score(samples, y, levels=None):
    """
    Everything at once, as a table with one row per output.

    Parameters
    ----------
    samples : `.PredictiveSamples`
        Of at least 2 draws.
    y : (n_observations, n_outputs) array_like
        Observed targets.
    levels : sequence of float, optional
        Of the intervals; by default those of `LEVELS` that the draws are enough for.

    Returns
    -------
    table : `pandas.DataFrame`
        Columns Output; Observations, their number; RMSE and MAE, root mean square and
        mean absolute error of the mean; CRPS and NLL, the means of `crps` and `nll`;
        Sharpness, the root mean square of the standard deviations (``ddof=1``; for
        calibrated distributions it is about the RMSE); for each level the coverage, in
        a column named like Coverage0.9; and the scores that `register_score` has added.
        Where a score is NaN, ``table.attrs["undefined"]`` says why: ``{output:
        {column: reason}}``.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``y`` doesn't fit the samples, there is one draw, or they are too few for a
        level.
    """
    import pandas as pd

    check_samples(samples)
    if levels is None:
        levels = [x for x in LEVELS if x <= highest_level(samples.n_draws)]
    levels = check_levels(levels, "levels")
    y = regression_targets(y, samples)
    at_least_two_draws(samples)
    residual, std = residual_and_std(samples, y)
    likelihood, reasons = _nll(residual, std)
    columns = {
        "Output": samples.output_names,
        "Observations": np.full(samples.n_outputs, samples.n_observations),
        "RMSE": root_mean_square(residual),
        "MAE": np.abs(residual).mean(axis=0),
        "CRPS": _crps(samples, y).mean(axis=0),
        "NLL": likelihood.mean(axis=0),
        "Sharpness": root_mean_square(std),
    }
    for level in levels:
        columns[f"Coverage{level:g}"] = fractions_covered(samples, y, level)
    for name in _SCORES.names():
        columns[name] = _SCORES.get(name)(samples, y)
    table = pd.DataFrame(columns)
    table.attrs["undefined"] = {
        name: {"NLL": reason}
        for name, reason in zip(samples.output_names, reasons)
        if reason
    }
    for name, reason in table.attrs["undefined"].items():
        warnings.warn(f"NLL of output {name!r}: {reason['NLL']}", stacklevel=2)
    return table
