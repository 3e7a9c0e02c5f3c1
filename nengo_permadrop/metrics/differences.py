"""
How two samplers differ, from pairs of draws.

Of each observation and output are estimated, from ``n`` pairs of draws: the components
of the difference on the scale of ranks (`.power`), the difference of the means in
standard deviations of the reference, the ratio of the standard deviations, and the
components that are left when both samples are standardised. The draws of a pair may
have the same masks; then the estimates are more precise. Their sampling variances come
from the jackknife [1]_ over groups of pairs, which holds for both kinds.

Estimates are further from 0 than what they estimate, and many draws would see such a
difference where there is none. So the components are shrunk: over the observations, an
estimate ``e`` of true values with mean ``m`` and variance ``t`` has the variance
``v = t + w``, where ``w`` is the mean sampling variance. That gives
``t = max(0, v - w)``, and likewise ``m**2 = max(0, mean(e)**2 - v / n_observations)``.
The difference that an observation is taken to have is ::

    m + sqrt(t / v) * (e - mean(e))

so that over the observations the differences have the mean and variance of the true
ones (constrained empirical Bayes [2]_; posterior means would vary too little). As none
of several components comes out with less than nothing, together they come out with too
much: all are multiplied by what gives the mean square of the difference between the
distribution functions its unbiased estimate, that of the estimates less their errors.
Only the rate over all observations is said to be right, not that of a single one.

References
----------
.. [1] Efron, B., & Tibshirani, R. (1993). An introduction to the bootstrap. Chapman &
   Hall.
.. [2] Louis, T. A. (1984). Estimating a population of parameter values using Bayes and
   empirical Bayes methods. Journal of the American Statistical Association 79.
"""

import numpy as np
import scipy.stats
from nengo.exceptions import ValidationError

from nengo_permadrop.metrics.power import components, mean_square
from nengo_permadrop.metrics.residuals import without_spread
from nengo_permadrop.samples.matching import check_pair
from nengo_permadrop.support.plain import printable
from nengo_permadrop.support.validation import check_integer, check_samples

LEAST_DRAWS = 20

_GROUPS = 20  # of pairs, left out one after the other


class Differences:
    """
    What pairs of draws say of each observation and output, and how precisely.

    Parameters
    ----------
    a, b : (n_draws, n_observations, n_outputs) ndarray
        Draws of the reference and of what is compared with it.

    Attributes
    ----------
    bias, ratio : (n_observations, n_outputs) ndarray
        Difference of the means in standard deviations of the reference, and ratio of
        the standard deviations.
    difference : (n_observations, n_outputs, n_components) ndarray
        As `.power.components` gives it.
    shape_square : (n_observations, n_outputs) ndarray
        Mean square of the difference between the distribution functions of standardised
        draws.
    bias_variance, ratio_variance, difference_variance : ndarray
        Sampling variances of these.
    difference_error, shape_error : (n_observations, n_outputs) ndarray
        What sampling adds to the mean squares of ``difference``, and to
        ``shape_square``.
    correlation : float
        Mean correlation of the draws of a pair.
    """

    def __init__(self, a, b):
        bias, log_ratio, difference, shape = _measured(a, b)
        self.bias, self.ratio, self.difference = bias, np.exp(log_ratio), difference
        self.shape_square = mean_square(shape)
        self.correlation = float(np.mean((_unit(a) * _unit(b)).mean(axis=0)))

        n_groups = min(_GROUPS, len(a))
        group = np.arange(len(a)) % n_groups
        others = [_measured(a[group != g], b[group != g]) for g in range(n_groups)]

        def variance(place, square=np.square):
            values = np.stack([measured[place] for measured in others])
            off = values - values.mean(axis=0)
            return (n_groups - 1) * square(off).mean(axis=0)

        self.bias_variance = variance(0)
        self.ratio_variance = self.ratio**2 * variance(1)
        self.difference_variance = variance(2)
        self.difference_error = variance(2, mean_square)
        self.shape_error = variance(3, mean_square)

    def shrunk(self, rows=slice(None)):
        """
        Differences that vary as the true ones do; see the module.

        Parameters
        ----------
        rows : (n,) ndarray of int, optional
            The observations to take them from.

        Returns
        -------
        differences : (n, n_outputs, n_components) ndarray
        """
        estimates = self.difference[rows]
        noise = self.difference_variance[rows].mean(axis=0)
        mean, variance = estimates.mean(axis=0), estimates.var(axis=0, ddof=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            varying = np.sqrt(np.maximum(0, variance - noise) / variance)
            known = np.sqrt(np.maximum(0, 1 - variance / len(estimates) / mean**2))
        varying, known = np.nan_to_num(varying), np.nan_to_num(known)
        shrunk = known * mean + varying * (estimates - mean)
        square = np.mean(mean_square(estimates) - self.difference_error[rows])
        found = np.mean(mean_square(shrunk))
        return shrunk * np.sqrt(max(0.0, square) / found) if found > 0 else shrunk

    def greatest(self, confidence):
        """
        Differences as great as they could be, if errors happened to hide as much.

        Their mean square is that of `shrunk` and a part of what the errors add. The sum
        of squared errors is taken to be chi-squared, with one degree of freedom for
        each observation, and to be no further below its mean than at its lower limit.

        Parameters
        ----------
        confidence : float
            The limit is passed in half of the other cases.

        Returns
        -------
        differences : (n_observations, n_outputs, n_components) ndarray
        """
        n, square = len(self.difference), np.mean(mean_square(self.difference))
        noise = np.mean(self.difference_error)
        least = scipy.stats.chi2.ppf((1 - confidence) / 2, n) / n
        greatest = max(0.0, square - noise) + noise * (1 / least - 1)
        return self.difference * np.sqrt(greatest / square if square > 0 else 0.0)


def _measured(a, b):
    """Bias, logarithm of the ratio, components, and those of standardised draws."""
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    std_a, std_b = a.std(axis=0, ddof=1), b.std(axis=0, ddof=1)
    standardised = components((a - mean_a) / std_a, (b - mean_b) / std_b)
    return (
        (mean_b - mean_a) / std_a,
        np.log(std_b / std_a),
        components(a, b),
        standardised,
    )


def _unit(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


def paired_values(spiking, classical):
    """
    The values of two sets of samples that come in pairs, those of the second first.

    Parameters
    ----------
    spiking, classical : `.PredictiveSamples`

    Returns
    -------
    a, b : (n_draws, n_observations, n_outputs) ndarray

    Raises
    ------
    nengo.exceptions.ValidationError
        As in `.certificate_of`.
    """
    for samples, attr in ((spiking, "spiking"), (classical, "classical")):
        check_samples(samples, attr)
        if samples.masks == "draw":
            raise ValidationError(
                "observations share their masks (masks='draw'), so that they say less "
                "than their number; draw with masks='observation'",
                attr=attr,
            )
    check_pair(spiking, classical)
    n_draws = check_integer(classical.n_draws, "n_draws", LEAST_DRAWS)
    if spiking.n_draws != n_draws:
        raise ValidationError(
            f"draws must come in pairs, got {spiking.n_draws} and {n_draws}",
            attr="spiking",
        )
    if classical.n_observations < 2:
        raise ValidationError(
            "at least 2 observations are needed to tell how they differ, better 30; "
            "got 1",
            attr="X",
        )
    for samples, name in ((classical, "classical"), (spiking, "spiking")):
        _check_spread(samples, name)
    return tuple(np.asarray(s.values, np.float64) for s in (classical, spiking))


def _check_spread(samples, name):
    constant = np.argwhere(without_spread(samples))
    if len(constant) == 0:
        return
    row, column = constant[0]
    observation = printable(str(samples.observation_names[row]))
    output = printable(samples.output_names[column])
    more = f" (and {len(constant) - 1} more)" if len(constant) > 1 else ""
    raise ValidationError(
        f"all {name} draws of observation {observation}, output {output} are "
        f"the same{more}: no dropout reaches it, so that there is no spread to measure "
        "a difference in. Leave it out",
        attr="X",
    )
