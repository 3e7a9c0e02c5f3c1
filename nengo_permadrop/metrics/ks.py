"""
The two-sample Kolmogorov-Smirnov statistic and its exact null distribution.

Of a single test, of the largest statistic of many, and of the number of rejections.

Statistics are kept as integers where they are computed, "heights" in units of
``1 / lcm(n_a, n_b)``, so that equal ones compare equal.
"""

import functools
import math

import numpy as np
import scipy.stats
from scipy.special import gammaln

# Above this many draws in all, SciPy's asymptotic distribution instead of the exact one
EXACT_LIMIT = 20_000

# Relative to the largest absolute value of a set of draws that are all the same:
# differences that rounding makes, of some operations in single precision, in which
# networks compute whatever the type of what they give. (Around 0 there is nothing to
# compare them with, and they count.)
ROUNDING = 16 * float(np.finfo(np.float32).eps)

_NULL_CACHE = {}  # (n_a, n_b, height): probability; see null_sf


def ks_statistic(values_a, values_b):
    """
    Two-sample KS statistics.

    Parameters
    ----------
    values_a : (n_a, ...) array_like
    values_b : (n_b, ...) array_like
        The same trailing axes as ``values_a``.

    Returns
    -------
    statistic : (...) ndarray
    """
    a, b = np.asarray(values_a), np.asarray(values_b)
    heights, _ = ks_heights(
        *without_rounding(a.reshape(len(a), -1), b.reshape(len(b), -1))
    )
    return (heights / math.lcm(len(a), len(b))).reshape(a.shape[1:])


def ks_pvalue(statistic, n_a, n_b):
    """
    P-values of two-sided two-sample KS statistics, as in `ks_agreement`.

    Parameters
    ----------
    statistic : (...) array_like
    n_a, n_b : int
        Sizes of the two samples.

    Returns
    -------
    pvalue : (...) ndarray
        Exact up to `EXACT_LIMIT` values in all, then asymptotic.
    """
    heights = np.ceil(np.asarray(statistic) * math.lcm(n_a, n_b) - 1e-6)
    return null_sf(heights.astype(np.int64), n_a, n_b)


def is_exact(n_a, n_b):
    """Whether p-values for samples of these sizes are exact, or asymptotic."""
    return n_a + n_b <= EXACT_LIMIT


def null_sf(heights, n_a, n_b):
    """P(height >= each of ``heights``) under the null hypothesis, without ties."""
    heights = np.asarray(heights)
    unique, inverse = np.unique(heights, return_inverse=True)
    if is_exact(n_a, n_b):
        new = [h for h in unique.tolist() if (n_a, n_b, h) not in _NULL_CACHE]
        # in groups, which bounds the memory
        for group in np.array_split(new, math.ceil(len(new) / 256)) if new else ():
            probabilities = _crossing_probabilities(group, n_a, n_b)
            for h, probability in zip(group, probabilities, strict=True):
                _NULL_CACHE[n_a, n_b, int(h)] = float(probability)
        sf = np.array([_NULL_CACHE[n_a, n_b, h] for h in unique.tolist()])
    else:
        effective = round(n_a * n_b / (n_a + n_b))
        sf = scipy.stats.kstwo.sf(unique / math.lcm(n_a, n_b), effective)
    return sf[inverse].reshape(heights.shape)


def equal_sizes_sf(heights, n):
    """
    The same as `null_sf` for two samples of ``n``, in closed form.

    By Gnedenko and Korolyuk (1951), on the maximum discrepancy between two empirical
    distributions. Its terms have alternating signs: small probabilities are accurate in
    absolute terms only, to 1e-11.

    Parameters
    ----------
    heights : (...) array_like of int
    n : int

    Returns
    -------
    probability : (...) ndarray
    """
    heights = np.asarray(heights, dtype=np.int64)
    found = np.zeros(heights.shape)
    most = n // np.maximum(heights, 1)
    # the 40th term is below rounding, unless the sum is 1 to rounding
    certain = (heights <= 1) | (40 * heights**2 < n)
    for j in range(1, min(int(most.max(initial=0, where=~certain)), 40) + 1):
        away = np.minimum(j * heights, n)
        log = 2 * gammaln(n + 1) - gammaln(n - away + 1) - gammaln(n + away + 1)
        found += np.where(j <= most, 2 * (-1) ** (j - 1) * np.exp(log), 0.0)
    return np.where(certain, 1.0, np.clip(found, 0.0, 1.0))


@functools.lru_cache(maxsize=4096)
def critical_height(n, alpha):
    """
    Where tests of two samples of ``n`` begin to reject.

    Parameters
    ----------
    n : int
        Draws of each sample.
    alpha : float
        Level of the test.

    Returns
    -------
    height : int
        The least whose p-value is at most ``alpha``, in units of ``1 / n``; ``n + 1``
        if there is none.
    level : float
        That p-value, the probability of a rejection for equal distributions.
    """
    below, above = 0, n + 1
    while above - below > 1:
        middle = (below + above) // 2
        if equal_sizes_sf(middle, n) <= alpha:
            above = middle
        else:
            below = middle
    return above, float(equal_sizes_sf(above, n)) if above <= n else 0.0


def _crossing_probabilities(heights, n_a, n_b):
    """
    Probability that a random walk of ``n_a`` up and ``n_b`` down steps gets so high.

    All orders of the steps are equally likely. Given that the walk passes through
    ``i`` up and ``j`` down steps, the last of them was up with probability
    ``i / (i + j)``. So the probability to have reached a height by then is the mean,
    with those weights, of the probabilities one step before, and 1 where the walk is
    that high. Sums of positive terms: small probabilities are as accurate as large
    ones, down to where float64 ends (1e-300).

    Parameters
    ----------
    heights : (n_heights,) ndarray of int
    n_a, n_b : int

    Returns
    -------
    probability : (n_heights,) ndarray
    """
    n, m = sorted((n_a, n_b))
    gcd = math.gcd(n, m)
    up, down = m // gcd, n // gcd
    heights = np.asarray(heights)[:, np.newaxis]
    highest = int(heights.max())
    # reached[:, 1 + i]: after i up steps and k - i down steps
    reached = np.ones((len(heights), n + 2))
    reached[:, 1] = heights[:, 0] <= 0
    for k in range(1, n + m + 1):
        # only where |walk| < highest, and one more on each side, which gets a 1 that
        # the next step reads
        first = max(0, k - m, (k * down - highest) // (up + down))
        last = min(n, k, -((-k * down - highest) // (up + down)))
        i = np.arange(first, last + 1)
        new = reached[:, first : last + 1] * (i / k)
        new += reached[:, first + 1 : last + 2] * ((k - i) / k)
        new[np.abs(i * (up + down) - k * down) >= heights] = 1.0
        reached[:, first + 1 : last + 2] = new
    return reached[:, 1 + n]


def without_rounding(a, b):
    """
    Two sets of values, with those made equal that differ by rounding only.

    A network that gives one answer, or a few, gives them with another rounding in
    another backend or precision. The test would take that for a difference. So where
    some values are equal (a sign that there are only a few), or all are within
    rounding, those become equal that are at most 4 machine epsilons apart, relative to
    the largest; the epsilon is that of the coarser type. Other tests, those of
    continuous distributions, stay as they are. What becomes equal depends on the
    pooled values alone, so that p-values stay valid.

    And a set of draws that are the same but for rounding in single precision
    (`ROUNDING`), such as those of an output which no dropout reaches, is taken for one
    value, and draws of the other set that are as near to it for equal to it.

    Parameters
    ----------
    a : (n_a, n_tests) ndarray
    b : (n_b, n_tests) ndarray

    Returns
    -------
    a, b : ndarray
        Themselves, if there is nothing to change.
    """
    floating = [x.dtype for x in (a, b) if np.issubdtype(x.dtype, np.floating)]
    if not floating:
        return a, b
    a, b = _without_rounding_of_constants(a, b)
    eps = max(float(np.finfo(dtype).eps) for dtype in floating)
    pooled = np.concatenate([a, b])
    ordered = np.sort(pooled, axis=0)
    with np.errstate(over="ignore", invalid="ignore"):  # infinite values, and huge ones
        tolerance = 4 * eps * np.abs(ordered[[0, -1]]).max(axis=0)
        tolerance[~np.isfinite(tolerance)] = 0
        gaps = np.diff(ordered, axis=0)
        few = (gaps == 0).any(axis=0) | (ordered[-1] - ordered[0] <= tolerance)
        changed = few & ((gaps > 0) & (gaps <= tolerance)).any(axis=0)
    if not changed.any():
        return a, b
    joined, tolerance = ordered[:, changed], tolerance[changed]
    least = joined[0]
    for i in range(1, len(joined)):  # a group is no wider than the tolerance
        with np.errstate(over="ignore", invalid="ignore"):
            least = np.where(joined[i] - least <= tolerance, least, joined[i])
        joined[i] = least
    columns = pooled[:, changed]
    np.put_along_axis(columns, np.argsort(columns, axis=0), joined, axis=0)
    pooled[:, changed] = columns
    return pooled[: len(a)], pooled[len(a) :]


def _without_rounding_of_constants(a, b):
    """The same draws; but those that equal the only value of a set have that value."""
    for x, y in ((a, b), (b, a)):
        with np.errstate(over="ignore", invalid="ignore"):
            tolerance = ROUNDING * np.abs(x).max(axis=0)
            constant = x.max(axis=0) - x.min(axis=0) <= tolerance
        constant &= np.isfinite(tolerance)
        # of a single draw nothing is known, unless there is nothing else
        if not constant.any() or (len(x) == 1 < len(y)):
            continue
        value = np.where(constant, x[0], np.nan)  # nothing is near to NaN
        with np.errstate(over="ignore", invalid="ignore"):
            a, b = (np.where(np.abs(z - value) <= tolerance, value, z) for z in (a, b))
    return a, b


def ks_heights(a, b, tie_rng=None):
    """
    KS statistics in units of 1 / lcm(n_a, n_b), which are integers.

    Walking through the pooled values in order, a value of ``a`` is a step up, one of
    ``b`` a step down, by amounts that bring the walk back to 0; the height is how far
    it gets from 0. It counts only between different values, unless ``tie_rng`` is there
    to put equal ones in order.

    Parameters
    ----------
    a : (n_a, n_tests) ndarray
    b : (n_b, n_tests) ndarray
    tie_rng : `numpy.random.Generator`, optional

    Returns
    -------
    heights : (n_tests,) ndarray of int
    tied : (n_tests,) ndarray of bool
        Whether any values were equal.
    """
    pooled = np.concatenate([a, b])
    keys = (pooled,) if tie_rng is None else (tie_rng.random(pooled.shape), pooled)
    order = np.lexsort(keys, axis=0)
    gcd = math.gcd(len(a), len(b))
    walk = np.where(order < len(a), len(b) // gcd, -(len(a) // gcd)).cumsum(axis=0)
    ordered = np.take_along_axis(pooled, order, axis=0)
    equal = ordered[1:] == ordered[:-1]
    if tie_rng is None:
        walk[:-1][equal] = 0
    return np.abs(walk).max(axis=0), equal.any(axis=0)


def sf_of_max(sf, n_blocks, n_tests=1):
    """
    Probability that a maximum over tests is so large, from that of a single test.

    Blocks are independent, the tests of a block depend on each other in any way:
    ``1 - (1 - n_tests * sf)**n_blocks``, without cancellation; an upper bound unless
    ``n_tests`` is 1.
    """
    with np.errstate(divide="ignore"):  # sf = 1
        return -np.expm1(n_blocks * np.log1p(-np.minimum(1, n_tests * np.asarray(sf))))


def sf_of_rejections(n_rejected, n_blocks, n_tests, level):
    """
    Probability of so many rejections, each with probability ``level``; at most that.

    Blocks are independent, the tests of a block depend on each other in any way. The
    rejections by a block's first tests, by its second ones, ... are then binomial
    variables ``B`` that depend on each other. For their mean ``M`` and any ``t`` less
    than ``m``, by Markov's and Jensen's inequalities::

        P(M >= m) <= E[max(M - t, 0)] / (m - t) <= E[max(B - t, 0)] / (m - t)

    The bound is least at a whole number ``t``. For one test a block ``M`` is ``B``,
    and the probability is exact.
    """
    if n_tests == 1 or n_rejected == 0:
        return float(scipy.stats.binom.sf(n_rejected - 1, n_blocks, level))
    mean = n_rejected / n_tests
    sf = scipy.stats.binom.sf(np.arange(n_blocks), n_blocks, level)
    excess = np.cumsum(sf[::-1])[::-1]  # E[max(B - t, 0)] for t = 0, 1, ...
    t = np.arange(math.ceil(mean))
    return float(min(1.0, np.min(excess[t] / (mean - t))))


def most_rejections(pvalue, n_blocks, n_tests, level):
    """The greatest number of rejections of which the probability is more."""
    below, above = 0, n_blocks * n_tests + 1
    while above - below > 1:
        middle = (below + above) // 2
        if sf_of_rejections(middle, n_blocks, n_tests, level) > pvalue:
            below = middle
        else:
            above = middle
    return below
