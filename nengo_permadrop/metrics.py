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
``(n_observations,)`` will do.

References
----------
.. [1] Laves, M.-H., Ihler, S., Fast, J. F., Kahrs, L. A., & Ortmaier, T. (2021).
   Recalibration of aleatoric and epistemic regression uncertainty in medical imaging.
   Machine Learning for Biomedical Imaging 1. arXiv:2104.12376
"""

import dataclasses

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.samples import PredictiveSamples
from nengo_permadrop.validation import (
    check_integer,
    check_levels,
    check_number,
    check_samples,
    validated_targets,
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
    y = validated_targets(y, samples)
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
    levels = np.linspace(0, 1, check_integer(n_levels, "n_levels", 1) + 2)[1:-1]
    levels = levels[levels <= highest_level(check_samples(samples).n_draws)]
    found = np.empty((0, samples.n_outputs))
    return levels, coverage(samples, y, levels) if len(levels) else found


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
    y = validated_targets(y, samples)
    _at_least_two_draws(samples)
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
        In nats, of a density by the unit of the target; less is better. Infinite where
        all draws are the same: + where they miss the target, - where they hit it.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``y`` doesn't fit the samples, or there is one draw.
    """
    residual, std = _residual_and_std(samples, y)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 0.5 * (residual / std) ** 2 + np.log(std) + 0.5 * np.log(2 * np.pi)
    hit_or_missed = np.where(residual == 0, -np.inf, np.inf)
    return np.where(std == 0, hit_or_missed, found)


def score(samples, y, levels=None):
    """
    Everything at once, as a table with a row an output.

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
        calibrated distributions it is about the RMSE); and for each level the coverage,
        in a column named like Coverage0.9.

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
    residual, std = _residual_and_std(samples, y)
    columns = {
        "Output": samples.output_names,
        "Observations": np.full(samples.n_outputs, samples.n_observations),
        "RMSE": _root_mean_square(residual),
        "MAE": np.abs(residual).mean(axis=0),
        "CRPS": crps(samples, y).mean(axis=0),
        "NLL": nll(samples, y).mean(axis=0),
        "Sharpness": _root_mean_square(std),
    }
    for level in levels:
        columns[f"Coverage{level:g}"] = coverage(samples, y, level)
    return pd.DataFrame(columns)


@dataclasses.dataclass(frozen=True, eq=False)
class Recalibration:
    """
    A factor on the spread of predictive distributions; made by `recalibrate`.

    Attributes
    ----------
    scale : (n_outputs,) ndarray
        What the distance of every draw from its mean is multiplied by. Greater than 1
        for a network that was too sure of itself.
    """

    scale: np.ndarray

    def apply(self, samples):
        """
        Samples with their spread around the mean scaled; the means stay.

        Parameters
        ----------
        samples : `.PredictiveSamples`
            Of other rows than those that the scale was fitted on, if they are to be
            scored.

        Returns
        -------
        samples : `.PredictiveSamples`
            With ``recalibration`` in ``meta``: the factors on the network's spread.

        Raises
        ------
        nengo.exceptions.ValidationError
            If the number of outputs differs.
        """
        if samples.n_outputs != len(self.scale):
            raise ValidationError(
                f"the scale is of {len(self.scale)} outputs, the samples have "
                f"{samples.n_outputs}",
                attr="samples",
            )
        mean = samples.mean()
        before = np.array(samples.meta.get("recalibration", 1.0))
        return PredictiveSamples(
            mean + self.scale * (samples.values - mean),
            output_names=samples.output_names,
            observation_names=samples.observation_names,
            backend=samples.backend,
            seed=samples.seed,
            masks=samples.masks,
            meta={**samples.meta, "recalibration": before * self.scale},
        )


def recalibrate(samples, y):
    """
    Fit the factor on the spread that observed targets ask for.

    The scale ``s`` minimises the negative log-likelihood of Gaussians with means ``mu``
    and standard deviations ``s * sigma``: ``s**2`` is the mean of ``((y - mu) /
    sigma)**2`` [1]_. Fit it on validation rows, never on the rows that are scored: it
    would look better than it is. One number can't tell a sure prediction from an unsure
    one, or make a distribution of another form right; look at `coverage` afterwards.

    Parameters
    ----------
    samples : `.PredictiveSamples`
        Of at least 2 draws, for validation rows.
    y : (n_observations, n_outputs) array_like
        Their observed targets.

    Returns
    -------
    recalibration : `Recalibration`
        With a scale for each output.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``y`` doesn't fit the samples, there is one draw, or all draws of some
        observation are the same: no factor makes them spread.

    References
    ----------
    .. [1] Laves et al. (2021), as above.

    Examples
    --------
    >>> import nengo_permadrop as npd
    >>> rng = np.random.RandomState(0)
    >>> samples = npd.PredictiveSamples(rng.normal(size=(100, 500, 1)))
    >>> y = rng.normal(scale=3, size=500)
    >>> npd.metrics.recalibrate(samples, y).scale.round()
    array([3.])
    """
    residual, std = _residual_and_std(samples, y)
    constant = std == 0
    if constant.any():
        observation, output = np.argwhere(constant)[0]
        raise ValidationError(
            f"all draws of observation {observation}, output {output}, are the same "
            f"({np.count_nonzero(constant)} such distributions of {constant.size}): "
            "no factor makes them spread. Leave these observations out, or train a "
            "network of which every output depends on units that are dropped",
            attr="samples",
        )
    return Recalibration(_root_mean_square(residual / std))


def _residual_and_std(samples, y):
    """Target minus mean, and standard deviation: exactly 0 where draws are the same."""
    y = validated_targets(y, samples)
    _at_least_two_draws(samples)
    constant = samples.min() == samples.max()
    mean = np.where(constant, samples.min(), samples.mean())
    return y - mean, np.where(constant, 0.0, samples.std(ddof=1))


def _root_mean_square(values):
    return np.sqrt(np.mean(values**2, axis=0))


def _at_least_two_draws(samples):
    if samples.n_draws < 2:
        raise ValidationError("need at least 2 draws; got 1", attr="samples")
