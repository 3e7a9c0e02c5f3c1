"""
A generator of drug-pair screens: growth of cell lines under two drugs at once.

It makes data with the structure of CANDLE's Combo problem, of any size: expression of
cell lines and descriptors of drugs, both driven by a few hidden factors, and a growth
that depends on the factors of the cell and of both drugs. It knows nothing of files,
scaling or networks.
"""

from dataclasses import dataclass

import numpy as np
from nengo.exceptions import ValidationError

N_FACTORS = 5


@dataclass(frozen=True, eq=False)
class DrugPairScreen:
    """
    A generated screen.

    Attributes
    ----------
    expression : (n_cells + n_unscreened_cells, n_genes) ndarray
        Gene expression of each cell line, those without measurements last.
    descriptors : (n_drugs + n_unscreened_drugs, n_descriptors) ndarray
        Molecular descriptors of each drug, those without measurements last.
    cell, drug1, drug2 : (n_rows,) ndarray of int
        Which cell line and drugs a measurement is of. No pair of drugs is measured
        twice in one cell line, in this or the other order.
    growth : (n_rows,) ndarray
        Measured growth as a fraction: 1 untreated, 0 no growth, below 0 cells die.
    expected : (n_rows,) ndarray
        The growth without the noise of the measurement.
    noise : (n_rows,) ndarray
        Standard deviation of that noise.
    """

    expression: np.ndarray
    descriptors: np.ndarray
    cell: np.ndarray
    drug1: np.ndarray
    drug2: np.ndarray
    growth: np.ndarray
    expected: np.ndarray
    noise: np.ndarray


def generate(
    n_cells,
    n_drugs,
    n_genes,
    n_descriptors,
    measured=1.0,
    rng=np.random,
    n_unscreened_cells=0,
    n_unscreened_drugs=0,
):
    """
    Generate a screen.

    Each drug alone leaves a fraction of the growth, which is a logistic function of how
    the factors of cell and drug match. Two drugs together leave the product of their
    fractions (Bliss independence [1]_), plus an interaction. Everything is symmetric in
    the two drugs; a drug paired with itself is a measurement of the drug alone. The
    noise is small where the cells are dead and differs between cell lines, up to
    fourfold, so that there are regions where a prediction can't be sure.

    Parameters
    ----------
    n_cells, n_drugs, n_genes, n_descriptors : int
        Size of the screen.
    measured : float, optional
        Fraction of all (cell, unordered pair of drugs) that is measured, in (0, 1].
    rng : `numpy.random.RandomState`, optional
        Source of everything random.
    n_unscreened_cells, n_unscreened_drugs : int, optional
        Further cell lines and drugs, with features from the same factors, of which
        nothing is measured.

    Returns
    -------
    screen : `DrugPairScreen`
        The pairs in random order, and each pair in a random one of its two orders.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a size is less than 1, or ``measured`` out of range.

    References
    ----------
    .. [1] Bliss, C. I. (1939). The toxicity of poisons applied jointly. Annals of
       Applied Biology 26(3), 585-615.
    """
    sizes = {
        "n_cells": n_cells,
        "n_drugs": n_drugs,
        "n_genes": n_genes,
        "n_descriptors": n_descriptors,
    }
    for attr, size in sizes.items():
        if size < 1:
            raise ValidationError(f"must be at least 1, got {size}", attr=attr)
    if not 0 < measured <= 1:
        raise ValidationError(f"must be in (0, 1], got {measured}", attr="measured")

    cells = rng.standard_normal((n_cells + n_unscreened_cells, N_FACTORS))
    drugs = rng.standard_normal((n_drugs + n_unscreened_drugs, N_FACTORS))
    expression = _features(cells, n_genes, rng)
    descriptors = _features(drugs, n_descriptors, rng)

    first, second = np.triu_indices(n_drugs)
    n_all = n_cells * len(first)
    rows = rng.permutation(n_all)[: max(1, round(measured * n_all))]
    cell, pair = np.divmod(rows, len(first))
    swap = rng.uniform(size=len(rows)) < 0.5
    drug1 = np.where(swap, second[pair], first[pair])
    drug2 = np.where(swap, first[pair], second[pair])

    expected = expected_growth(cells[cell], drugs[drug1], drugs[drug2])
    noise = 0.03 * 4 ** _logistic(2 * cells[cell, 0]) * _logistic(1 + 3 * expected)
    growth = expected + noise * rng.standard_normal(len(rows))
    return DrugPairScreen(
        expression, descriptors, cell, drug1, drug2, growth, expected, noise
    )


def expected_growth(cell, drug1, drug2):
    """
    Growth of cells under two drugs, from their hidden factors.

    Parameters
    ----------
    cell, drug1, drug2 : (n_rows, n_factors) ndarray

    Returns
    -------
    growth : (n_rows,) ndarray
        Unchanged, to the last bit, if the drugs are swapped.
    """
    alone = _survival(cell, drug1) * _survival(cell, drug2)
    interaction = np.tanh(np.sum(cell * (drug1 * drug2), axis=1) / 2)
    return 1.3 * alone - 0.3 + 0.15 * interaction


def _survival(cell, drug):
    match = np.sum(cell * drug, axis=1) / np.sqrt(cell.shape[1])
    return _logistic(1 + 1.5 * match - drug[:, 0])


def _logistic(x):
    return 1 / (1 + np.exp(-x))


def _features(factors, n_features, rng):
    """Features of low rank, with noise; scales and offsets differ, as in real files."""
    loadings = rng.standard_normal((factors.shape[1], n_features))
    features = factors @ loadings + 0.3 * rng.standard_normal(
        (len(factors), n_features)
    )
    scale = np.exp(rng.uniform(-2, 2, size=n_features))
    return scale * (features + rng.uniform(-3, 3, size=n_features))
