"""
Whether two sets of samples come from the same predictive distributions.

A two-sample Kolmogorov-Smirnov (KS) test is made for each observation and output, and
the p-values are then looked at together. They are exact, and discrete: with 100 draws
a side the statistic is a multiple of 1/100, so that even for samples of one
distribution the p-values aren't uniform on [0, 1]. *Randomised* p-values are: uniform
between P(D > d) and P(D >= d) for a statistic of d [1]_. Tests for uniformity use
those, counts of rejections the plain ones.

References
----------
.. [1] Dickhaus, T., Strassburger, K., Schunk, D., Morcillo-Suarez, C., Illig, T., &
   Navarro, A. (2012). How to analyze many contingency tables simultaneously in genetic
   association studies. Statistical Applications in Genetics and Molecular Biology 11.
"""

import math
import warnings

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.metrics import ks
from nengo_permadrop.metrics.agreement import Agreement
from nengo_permadrop.metrics.ks import is_exact, ks_heights, null_sf, without_rounding
from nengo_permadrop.samples.matching import check_pair
from nengo_permadrop.samples.samples import PredictiveSamples
from nengo_permadrop.support.validation import check_seed, validated_values

# Standard deviations of the mean rank correlation between equal draw numbers that
# independent samples don't reach: false alarms in 3e-7 of comparisons
_PAIRED_LIMIT = 5.0


def ks_agreement(samples_a, samples_b, seed=0):
    """
    Test whether two sets of samples come from the same predictive distributions.

    Parameters
    ----------
    samples_a, samples_b : `.PredictiveSamples` or array_like
        Of shape ``(n_draws, n_observations, n_outputs)``, or for one output
        ``(n_draws, n_observations)``; in the same units. The numbers of draws may
        differ. The two sets should be independent (drawn with different seeds, or by
        backends that don't share masks). Of arrays it is assumed that observations
        don't share masks.
    seed : int, optional
        Seed of the randomised p-values.

    Returns
    -------
    agreement : `.Agreement`

    Raises
    ------
    nengo.exceptions.ValidationError
        If the observations and outputs of the two sets differ in number, name or order,
        a value isn't finite, or a set has fewer than two draws.

    Warns
    -----
    UserWarning
        If the p-values aren't what they should be: observations that share masks, two
        sets that share masks with each other, or too many draws for an exact test.

    Examples
    --------
    >>> import numpy as np, nengo_permadrop as npd
    >>> rng = np.random.RandomState(0)
    >>> draws = rng.randn(2, 100, 50, 1)
    >>> bool(npd.ks_agreement(draws[0], draws[1]).verdict())
    True
    """
    seed = check_seed(seed)
    a, b = _values(samples_a, "samples_a"), _values(samples_b, "samples_b")
    check_pair(
        *(
            given if isinstance(given, PredictiveSamples) else values
            for given, values in ((samples_a, a), (samples_b, b))
        )
    )
    shape = a.shape[1:]
    n_a, n_b = len(a), len(b)
    a, b = a.reshape(n_a, -1), b.reshape(n_b, -1)

    tie_rng, rng, rank_rng = (
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)
    )
    a, b = without_rounding(a, b)

    independent = shape[0] == 1 or not any(
        isinstance(samples, PredictiveSamples) and samples.masks == "draw"
        for samples in (samples_a, samples_b)
    )
    correlation = _paired_correlation(a, b, rank_rng)
    n_independent = shape[0] if independent else 1
    spread = 1 / math.sqrt((min(n_a, n_b) - 1) * n_independent)

    heights, tied = ks_heights(a, b)
    # With ties broken at random the ranks are those of distinct values, so that the
    # randomised p-values stay exactly uniform.
    broken = heights.copy()
    if tied.any():
        broken[tied], _ = ks_heights(a[:, tied], b[:, tied], tie_rng)
    lower, upper = null_sf(broken + 1, n_a, n_b), null_sf(broken, n_a, n_b)
    randomized = lower + rng.random(broken.shape) * (upper - lower)

    agreement = Agreement(
        statistic=(heights / math.lcm(n_a, n_b)).reshape(shape),
        pvalue=null_sf(heights, n_a, n_b).reshape(shape),
        randomized_pvalue=randomized.reshape(shape),
        n_draws=(n_a, n_b),
        method="exact" if is_exact(n_a, n_b) else "asymptotic",
        independent=independent,
        paired=bool(correlation > _PAIRED_LIMIT * spread),
        paired_correlation=correlation,
        n_tied=int(np.count_nonzero(tied)),
    )
    _warn(agreement)
    return agreement


def _values(samples, attr):
    if isinstance(samples, PredictiveSamples):
        values = samples.values
    else:
        values = samples if np.ma.isMaskedArray(samples) else np.asarray(samples)
        values = values[..., np.newaxis] if values.ndim == 2 else values
        values = validated_values(values, attr)
    if len(values) < 2:
        raise ValidationError(
            f"needs at least 2 draws; got {len(values)} (shape {values.shape})",
            attr=attr,
        )
    return values


def _warn(agreement):
    if not agreement.independent:
        warnings.warn(
            "the observations of a draw share their masks (masks='draw'): their "
            "p-values depend on each other, and the uniformity test isn't valid. Draw "
            "with masks='observation' for one that is.",
            stacklevel=3,
        )
    if agreement.paired:
        warnings.warn(agreement.why_paired(), stacklevel=3)
    if agreement.method != "exact":
        warnings.warn(
            f"{sum(agreement.n_draws)} draws are too many for an exact test (limit "
            f"{ks.EXACT_LIMIT}); the p-values are asymptotic",
            stacklevel=3,
        )


def _paired_correlation(a, b, rng):
    """
    Mean over the tests of the rank correlation between equal draw numbers.

    Equal values are ranked at random. With the mean of their ranks, two sets that are
    constant except for one draw each would be taken for paired whenever the draws'
    numbers are the same.
    """
    n = min(len(a), len(b))
    a, b = (_ranks(x[:n], rng) - (n - 1) / 2 for x in (a, b))
    return float(np.mean((a * b).sum(axis=0)) / np.sum(a[:, 0] ** 2))


def _ranks(values, rng):
    order = np.lexsort((rng.random(values.shape), values), axis=0)
    return np.argsort(order, axis=0)
