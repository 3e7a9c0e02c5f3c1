"""Distances of targets from the means of draws, and the spread of draws."""

import numpy as np
from nengo.exceptions import ValidationError


def without_spread(samples):
    """
    Where all draws are the same, up to rounding.

    Parameters
    ----------
    samples : `.PredictiveSamples`

    Returns
    -------
    constant : (n_observations, n_outputs) ndarray of bool
        True where least and greatest draw are at most 4 machine epsilons apart,
        relative to the greater one, as in `.ks.without_rounding`.
    """
    low, high = samples.min(), samples.max()
    eps = np.finfo(samples.values.dtype).eps
    with np.errstate(over="ignore"):  # values as large as there are
        width = high.astype(np.float64) - low
    return width <= 4 * eps * np.maximum(np.abs(low), np.abs(high))


def residual_and_std(samples, y):
    """Target minus mean, and standard deviation: exactly 0 where draws are the same."""
    constant = without_spread(samples)
    mean = np.where(constant, samples.min(), samples.mean())
    return y - mean, np.where(constant, 0.0, samples.std(ddof=1))


def root_mean_square(values):
    """Over the first axis."""
    return np.sqrt(np.mean(values**2, axis=0))


def at_least_two_draws(samples):
    """Raise a `nengo.exceptions.ValidationError` for samples of a single draw."""
    if samples.n_draws < 2:
        raise ValidationError("need at least 2 draws; got 1", attr="samples")
