"""Intervals of predictive distributions, and how often they hold the target."""

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.samples.matching import regression_targets
from nengo_permadrop.support.validation import (
    check_integer,
    check_levels,
    check_number,
    check_samples,
)

LEVELS = (0.5, 0.8, 0.9, 0.95)


def interval(samples, level):
    """
    Central prediction intervals: as likely to be missed below as above.

    The ends are quantiles by the rule ``(n_draws + 1) * q`` [1]_: a target from the
    draws' own distribution lies between them with probability ``level`` (by NumPy's
    usual rule with about ``2 * level / n_draws`` less).

    Parameters
    ----------
    samples : `.PredictiveSamples`
    level : float
        In (0, 1), and at most ``highest_level(n_draws)``.

    Returns
    -------
    low, high : (n_observations, n_outputs) ndarray

    Raises
    ------
    nengo.exceptions.ValidationError
        If there are too few draws for the level.

    References
    ----------
    .. [1] Hyndman, R. J., & Fan, Y. (1996). Sample quantiles in statistical packages.
       The American Statistician 50(4), definition 6.
    """
    highest = highest_level(check_samples(samples).n_draws)
    level = check_number(level, "level")
    if not 0 < level <= highest:
        needed = f"needs {_draws_for(level)} draws" if 0 < level < 1 else "isn't one"
        raise ValidationError(
            f"must be in (0, 1), and with {samples.n_draws} draws at most "
            f"{highest:.4g}; {level:g} {needed}",
            attr="level",
        )
    tail = (1 - level) / 2
    low, high = np.quantile(
        samples.values, [tail, 1 - tail], axis=0, method="weibull"
    ).astype(np.float64)
    return low, high


def highest_level(n_draws):
    """The level of the interval from the least to the greatest of so many draws."""
    # a little more, for levels that rounding puts above it
    return (n_draws - 1) / (n_draws + 1) + 1e-12


def _draws_for(level):
    n_draws = max(2, int((1 + level) / (1 - level)) - 1)
    while highest_level(n_draws) < level:
        n_draws += 1
    return n_draws


def coverage(samples, y, levels=LEVELS):
    """
    How often targets lie in their central prediction intervals.

    Parameters
    ----------
    samples : `.PredictiveSamples`
    y : (n_observations, n_outputs) array_like
        Observed targets.
    levels : float or (n_levels,) array_like, optional
        Of the intervals, in (0, 1); see `interval`.

    Returns
    -------
    coverage : (n_levels, n_outputs) ndarray
        Fraction of the observations; ``(n_outputs,)`` for a single level. Calibrated
        distributions have a coverage of ``level``, up to chance: of n independent
        observations the number covered is binomial.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``y`` doesn't fit, or there are too few draws for a level.

    Examples
    --------
    >>> import nengo_permadrop as npd
    >>> rng = np.random.RandomState(0)
    >>> samples = npd.PredictiveSamples(rng.normal(size=(99, 1000, 1)))
    >>> npd.metrics.coverage(samples, rng.normal(size=1000), 0.9).round(1)
    array([0.9])
    """
    return fractions_covered(samples, regression_targets(y, samples), levels)


def fractions_covered(samples, y, levels):
    """`coverage` of targets that have been checked."""
    levels, found = check_levels(levels, "levels"), []
    for level in np.atleast_1d(levels):
        low, high = interval(samples, level)
        found.append(np.mean((low <= y) & (y <= high), axis=0))
    return found[0] if np.ndim(levels) == 0 else np.array(found)


def calibration_curve(samples, y, n_levels=19):
    """
    The coverage of central prediction intervals against their level.

    Parameters
    ----------
    samples : `.PredictiveSamples`
    y : (n_observations, n_outputs) array_like
        Observed targets.
    n_levels : int, optional
        Number of levels, evenly between 0 and 1 (19: every 5%); those that the draws
        are too few for are left out.

    Returns
    -------
    levels : (n,) ndarray
    coverage : (n, n_outputs) ndarray
        Under ``levels``: intervals are too narrow, the network is too sure of itself.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``y`` doesn't fit the samples.
    """
    n_levels = check_integer(n_levels, "n_levels", 1)
    y = regression_targets(y, samples)
    levels = np.linspace(0, 1, n_levels + 2)[1:-1]
    levels = levels[levels <= highest_level(samples.n_draws)]
    found = np.empty((0, samples.n_outputs))
    return levels, fractions_covered(samples, y, levels) if len(levels) else found
