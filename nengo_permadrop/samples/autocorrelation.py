"""
Draws that follow each other in one run: how much they depend on each other, and how to
undo it.

If a window is too short for the network to settle, its answer is a mixture of those to
its own masks and to the masks before and after. Such draws have the right mean, but
they are correlated, and spread too little.
"""

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.support.optional import require

_LEAST_DRAWS = 4  # what ArviZ asks for
_LEAST_POWER = 0.02  # of the spectrum, to its mean: what can't be undone is below


def effective_size(values):
    """
    How many independent draws would fix the means as well.

    Parameters
    ----------
    values : (n_draws, n_observations, n_outputs) ndarray
        In the order in which they were drawn.

    Returns
    -------
    size : (n_observations, n_outputs) ndarray
        Each is estimated from few draws, and itself uncertain: their mean over the
        observations is what to look at.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there are fewer than 4 draws.
    ImportError
        If ArviZ isn't installed.
    """
    if len(values) < _LEAST_DRAWS:
        raise ValidationError(
            f"an effective size takes at least {_LEAST_DRAWS} draws, got {len(values)}",
            attr="n_draws",
        )
    arviz = require("arviz")
    chains = np.asarray(values, dtype=np.float64)[np.newaxis]
    return arviz.ess(arviz.convert_to_dataset(chains), method="mean")["x"].values


def autocorrelation(values, n_lags=2):
    """
    Correlation of draws with later ones, pooled over observations and outputs.

    Parameters
    ----------
    values : (n_draws, n_observations, n_outputs) ndarray
    n_lags : int, optional

    Returns
    -------
    correlation : (1 + n_lags,) ndarray
        At lags 0 (where it is 1) to ``n_lags``. That the mean is estimated from the
        same draws is made up for, so that it is 0 on average for independent ones. It
        is 0 where there is nothing to correlate, as all draws are the same.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there are not many more draws than lags.
    """
    n = len(values)
    if n < 10 * n_lags:
        raise ValidationError(
            f"{n_lags} lags take at least {10 * n_lags} draws, got {n}", attr="n_draws"
        )
    constant = np.min(values, axis=0) == np.max(values, axis=0)
    if constant.all():
        return np.eye(1, 1 + n_lags)[0]
    deviations = np.asarray(values, dtype=np.float64) - np.mean(values, axis=0)
    deviations[:, constant] = 0  # rounding of the mean is no deviation from it
    scale = deviations.std(axis=0)
    deviations = (deviations / np.where(scale > 0, scale, 1)).reshape(n, -1)
    covariance = np.array(
        [np.mean(deviations[lag:] * deviations[: n - lag]) for lag in range(n_lags + 1)]
    )
    # each is too small by the variance of the mean, which is their sum divided by n
    total = covariance[0] + 2 * covariance[1:].sum()
    covariance += total / (1 - (1 + 2 * n_lags) / n) / n
    return covariance / covariance[0]


def decorrelated(values, n_lags=2):
    """
    Undo the mixing of draws that follow each other in a run.

    A draw becomes a weighted sum of itself and its neighbours, with the symmetric
    weights of sum 1 that make the draws uncorrelated (the inverse square root of their
    spectrum). If a window's answer is a mixture of what independent masks give, with
    weights of sum 1, then this restores the spread as well: the sum of the
    autocovariances over all lags is that of the answers before they were mixed.

    Parameters
    ----------
    values : (n_draws, n_observations, n_outputs) ndarray
        In the order in which they were drawn.
    n_lags : int, optional
        How many draws later a draw is still felt.

    Returns
    -------
    values : (n_draws, n_observations, n_outputs) ndarray

    Raises
    ------
    nengo.exceptions.ValidationError
        If there are too few draws, or they are so mixed that it can't be undone.
    """
    correlation = autocorrelation(values, n_lags)
    n = len(values)
    frequencies = 2 * np.pi * np.fft.rfftfreq(512)
    lags = np.arange(1, n_lags + 1)
    spectrum = 1 + 2 * np.cos(np.outer(frequencies, lags)) @ correlation[1:]
    if spectrum.min() < _LEAST_POWER:
        raise ValidationError(
            "the draws are too strongly correlated to be taken apart (pooled "
            f"autocorrelation {', '.join(f'{c:.2f}' for c in correlation[1:])}); draw "
            "with a longer presentation_time",
            attr="values",
        )
    weights = np.fft.irfft(np.sqrt(spectrum[0] / spectrum))
    reach = min(n - 1, 8 * n_lags)  # where they have decayed
    weights = np.concatenate([weights[-reach:], weights[: reach + 1]])
    weights /= weights.sum()
    mean = np.mean(values, axis=0, dtype=np.float64)
    # beyond the ends there is nothing to know but the mean
    padded = np.pad(values - mean, [(reach, reach), (0, 0), (0, 0)])
    return mean + sum(
        weight * padded[first : first + n] for first, weight in enumerate(weights)
    )
