"""
The two-sample Kolmogorov-Smirnov statistic and its exact null distribution.

Statistics are kept as integers where they are computed, "heights" in units of
``1 / lcm(n_a, n_b)``, so that equal ones compare equal.

Networks compute in single precision, so that equal answers differ by rounding. Among
draws that spread this makes no difference. But a set of draws that are the same but for
rounding, such as those of an output which no dropout reaches, is taken for one value,
and draws of the other set that differ from it by no more than rounding for equal to it:
see `ROUNDING`.
"""

import math

import numpy as np
import scipy.stats

# Above this many draws in all, SciPy's asymptotic distribution instead of the exact one
EXACT_LIMIT = 20_000

# Relative to the largest absolute value of a set of draws: differences that rounding
# makes, of some operations in single precision. (Around 0 there is nothing to compare
# them with, and they count.)
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
    heights, _ = ks_heights(a.reshape(len(a), -1), b.reshape(len(b), -1))
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
    heights : (nks_heights,) ndarray of int
    n_a, n_b : int

    Returns
    -------
    probability : (nks_heights,) ndarray
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


def ks_heights(a, b, tie_rng=None):
    """
    KS statistics in units of 1 / lcm(n_a, n_b), which are integers.

    Walking through the pooled values in order, a value of ``a`` is a step up, one of
    ``b`` a step down, by amounts that bring the walk back to 0; the height is how far
    it gets from 0. It counts only between different values, unless ``tie_rng`` is there
    to put equal ones in order. What is equal but for rounding to the only value of a
    set is equal to it.

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
    pooled = np.concatenate(_without_rounding(a, b))
    keys = (pooled,) if tie_rng is None else (tie_rng.random(pooled.shape), pooled)
    order = np.lexsort(keys, axis=0)
    gcd = math.gcd(len(a), len(b))
    walk = np.where(order < len(a), len(b) // gcd, -(len(a) // gcd)).cumsum(axis=0)
    ordered = np.take_along_axis(pooled, order, axis=0)
    equal = ordered[1:] == ordered[:-1]
    if tie_rng is None:
        walk[:-1][equal] = 0
    return np.abs(walk).max(axis=0), equal.any(axis=0)


def _without_rounding(a, b):
    """The same draws; but those that equal the only value of a set have that value."""
    for x, y in ((a, b), (b, a)):
        tolerance = ROUNDING * np.abs(x).max(axis=0)
        constant = x.max(axis=0) - x.min(axis=0) <= tolerance
        # of a single draw nothing is known, unless there is nothing else
        if not constant.any() or (len(x) == 1 < len(y)):
            continue
        value = np.where(constant, x[0], np.nan)  # nothing is near to NaN
        a, b = (np.where(np.abs(z - value) <= tolerance, value, z) for z in (a, b))
    return a, b
