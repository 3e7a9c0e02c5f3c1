"""
The tests of an audit: p-values, each with what it assumes.

They are for draws ``(n_draws, n_observations, n_outputs)``. What is called equal is
equal up to rounding in single precision: kernels that run in several threads may add up
in another order each time, and that is no dropout.
"""

import math

import numpy as np
import scipy.sparse.csgraph
import scipy.stats

from nengo_permadrop.metrics.comparison import ks_agreement
from nengo_permadrop.metrics.ks import ROUNDING


def rounded(values):
    """
    Draws as whole numbers of what rounding may change, so that they can be compared.

    Parameters
    ----------
    values : (n_draws, n_observations, n_outputs) ndarray

    Returns
    -------
    whole : ndarray of float
        Of the same shape. Values that differ by rounding differ by at most 1.
    """
    scale = np.abs(values).max(axis=0, keepdims=True) * ROUNDING
    return np.round(values / np.where(scale > 0, scale, 1.0))


def same(a, b):
    """
    Whether rows of answers are the same, up to rounding.

    Parameters
    ----------
    a, b : (..., n_outputs) ndarray
        Of `rounded` values.

    Returns
    -------
    same : (...) ndarray of bool
    """
    return (np.abs(a - b) <= 1).all(axis=-1)


def unnoticed_rate(level, n_passes):
    """
    How often a pass may change its answer without being seen to.

    Parameters
    ----------
    level : float
    n_passes : int

    Returns
    -------
    rate : float
        Dropout that changes the answers in more than that share of the passes leaves
        all of them the same with a probability below ``level``.
    """
    return min(1.0, -math.log(level) / n_passes)


def repeated_pairs(whole):
    """
    Pairs of draws that are the same in all rows.

    Parameters
    ----------
    whole : (n_draws, n_observations, n_outputs) ndarray
        `rounded` values.

    Returns
    -------
    pairs : (n_pairs, 2) ndarray of int
    """
    first, second = np.triu_indices(len(whole), 1)
    together = np.ones(len(first), dtype=bool)
    for row in np.moveaxis(whole, 1, 0):  # which bounds the memory
        together[together] = same(row[first[together]], row[second[together]])
    return np.stack([first[together], second[together]], axis=1)


def repeats_pvalue(whole, n_repeats, rng, n_permutations=200):
    """
    P-value of so many repeated draws, if draws and rows are independent.

    Draws of a row can then be put into any order, row by row: how many pairs are the
    same in all rows then, some orders tell. Where none shows any, they are a Poisson
    number, of the pairs times the product of the rows' own rates.

    Parameters
    ----------
    whole : (n_draws, n_observations, n_outputs) ndarray
        `rounded` values.
    n_repeats : int
        Pairs that are the same in all rows.
    rng : `numpy.random.Generator`
    n_permutations : int, optional

    Returns
    -------
    pvalue : float
    """
    if n_repeats == 0:
        return 1.0
    n = len(whole)
    classes = np.stack([_classes(row) for row in np.moveaxis(whole, 1, 0)], axis=1)
    # a draw is known by the sum of random numbers, one a row and class
    codes = rng.integers(2**63, size=(classes.shape[1], n))
    codes = np.take_along_axis(codes, classes.T, axis=1)  # (n_rows, n_draws)
    found = []
    for _ in range(n_permutations):
        sums = rng.permuted(codes, axis=1).sum(axis=0)
        _, counts = np.unique(sums, return_counts=True)
        found.append(np.sum(counts * (counts - 1) / 2))
    n_pairs = n * (n - 1) / 2
    if not np.any(found):
        sizes = [np.bincount(column) for column in classes.T]
        rates = [np.sum(size * (size - 1) / 2) / n_pairs for size in sizes]
        return float(scipy.stats.poisson.sf(n_repeats - 1, n_pairs * np.prod(rates)))
    return _tail(n_repeats, np.mean(found), np.std(found))


def _tail(count, mean, deviation):
    """P-value of a count: of the Poisson and the normal tail, the larger one."""
    normal = scipy.stats.norm.sf((count - 0.5 - mean) / max(deviation, 1e-9))
    return float(max(normal, scipy.stats.poisson.sf(count - 1, mean)))


def _classes(row):
    """Numbers of draws of a row, equal ones of those that are the same."""
    equal = same(row[:, np.newaxis], row)
    return scipy.sparse.csgraph.connected_components(equal, directed=False)[1]


def replay_pvalue(first, second):
    """
    P-value of draws of a session that are those of another with the same number.

    Of independent sessions, draws of equal numbers are the same no more often than
    others: how often those are is counted, with one more for safety, and how much the
    number varies when the draws of a session are put into any order.

    Parameters
    ----------
    first, second : (n_draws, n_observations, n_outputs) ndarray

    Returns
    -------
    pvalue : float
    n_same : int
        Draws that are the same in all rows.
    """
    n = len(first)
    whole = rounded(np.concatenate([first, second]))
    table = np.stack([same(each, whole[n:]).all(axis=-1) for each in whole[:n]])
    n_same = int(np.trace(table))
    others = int(table.sum()) - n_same
    mean = n * min(1.0, (others + 1) / (n * (n - 1) + 1))
    centred = table - table.mean(axis=0) - table.mean(axis=1)[:, None] + table.mean()
    deviation = math.sqrt(np.sum(centred**2) / max(n - 1, 1))
    return _tail(n_same, mean, deviation), n_same


def sharing_pvalue(first, second, rng):
    """
    P-value of answers for the same rows at two places of a batch that move together.

    The mean over the rows of the rank correlation over the draws, of one output a row.
    Of independent masks it is about normal, with the variance that ranks have: 1 /
    (n_draws - 1) a row. Equal values are ranked at random.

    Parameters
    ----------
    first, second : (n_draws, n_observations, n_outputs) ndarray
    rng : `numpy.random.Generator`

    Returns
    -------
    pvalue : float
        Of a correlation above 0.
    correlation : float
        0 if there are no draws that differ.
    """
    n = len(first)
    output = np.argmax(first.std(axis=0), axis=-1)
    rows = np.arange(first.shape[1])
    moving = first.std(axis=0)[rows, output] > 0
    if not moving.any():
        return 1.0, 0.0
    a, b = (x[:, rows[moving], output[moving]] for x in (first, second))
    a, b = (_ranks(x, rng) - (n - 1) / 2 for x in (a, b))
    correlation = float(np.mean((a * b).sum(axis=0)) / np.sum(a[:, 0] ** 2))
    deviation = 1 / math.sqrt((n - 1) * moving.sum())
    return float(scipy.stats.norm.sf(correlation / deviation)), correlation


def _ranks(values, rng):
    order = np.lexsort((rng.random(values.shape), values), axis=0)
    return np.argsort(order, axis=0)


def reference_pvalues(draws, reference, independent, rng):
    """
    P-values of draws, if they are of the distributions of a reference.

    Parameters
    ----------
    draws, reference : (n_draws, n_observations, n_outputs) ndarray
        The numbers of draws may differ.
    independent : bool
        Whether rows are.
    rng : `numpy.random.Generator`

    Returns
    -------
    pvalues : {str: float}
        "values", of the largest difference between distribution functions of an output:
        the exact two-sample Kolmogorov-Smirnov test, times the number of outputs of all
        rows; "rows", of all rows together, by Fisher's method on randomised p-values of
        one output a row, if rows are independent; and "spread", see `spread_pvalue`.
    """
    agreement = ks_agreement(draws, reference, seed=int(rng.integers(2**31)))
    pvalues = {
        "values": min(1.0, float(agreement.pvalue.min()) * agreement.pvalue.size),
        "spread": spread_pvalue(draws, reference, rng),
    }
    if independent:
        output = np.argmax(np.concatenate([draws, reference]).std(axis=0), axis=-1)
        each = agreement.randomized_pvalue[np.arange(len(output)), output]
        pvalues["rows"] = float(scipy.stats.combine_pvalues(each, "fisher").pvalue)
    return pvalues


def spread_pvalue(draws, reference, rng, n_permutations=400):
    """
    P-value of a spread that is larger or smaller than that of a reference.

    The sum over the rows of the logarithms of the ratios of the variances, of one
    output a row. Of one distribution all ways to deal the draws out to the two sets are
    equally likely; the sums that some of them give say what mean and deviation it then
    has, and it is taken for normal. Draws are dealt out whole, so that rows may depend
    on each other.

    Parameters
    ----------
    draws, reference : (n_draws, n_observations, n_outputs) ndarray
    rng : `numpy.random.Generator`
    n_permutations : int, optional

    Returns
    -------
    pvalue : float
    """
    pooled = np.concatenate([draws, reference])
    output = np.argmax(pooled.std(axis=0), axis=-1)
    pooled = pooled[:, np.arange(len(output)), output]
    moving = pooled.std(axis=0) > 0
    pooled, n = pooled[:, moving], len(draws)
    if pooled.shape[1] == 0:
        return 1.0
    tiny = 1e-12 * pooled.var(axis=0)

    def statistic(order):
        a, b = pooled[order[:n]].var(axis=0), pooled[order[n:]].var(axis=0)
        return float(np.log((a + tiny) / (b + tiny)).sum())

    found = statistic(np.arange(len(pooled)))
    dealt = [statistic(rng.permutation(len(pooled))) for _ in range(n_permutations)]
    z = (found - np.mean(dealt)) / max(np.std(dealt, ddof=1), 1e-300)
    # of few permutations the deviation itself is uncertain, which Student's t counts
    return float(2 * scipy.stats.t.sf(abs(z), n_permutations - 1))
