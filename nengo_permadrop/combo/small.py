"""A generated drug-pair problem with the three inputs of CANDLE's Combo."""

import numpy as np

from nengo_permadrop.combo.architecture import combo_small as small_network
from nengo_permadrop.combo.architecture import network_for
from nengo_permadrop.combo.data.drug_pairs import generate
from nengo_permadrop.datasets.base import (
    Recipe,
    Split,
    random_parts,
    standardised,
)

SOURCE = (
    "A generated screen of drug pairs with the three inputs of CANDLE's Combo problem "
    "(expression of the cell line, descriptors of drug 1, descriptors of drug 2), made "
    "by nengo_permadrop.combo.data.drug_pairs. Not measurements."
)


def combo_small(
    seed=0,
    n_cells=40,
    n_drugs=30,
    n_genes=60,
    n_descriptors=40,
    measured=0.4,
    n_validation=700,
    n_test=1000,
):
    """
    Generated growth of cell lines under pairs of drugs; see `.drug_pairs.generate`.

    Three inputs, "cell", "drug1" and "drug2". With the default sizes 7440 rows.

    Parameters
    ----------
    seed : int, optional
        Decides the data, and which rows are for training, validation and test.
    n_cells, n_drugs, n_genes, n_descriptors, measured
        Size of the screen, as in `.drug_pairs.generate`.
    n_validation, n_test : int, optional
        Rows for validation and test; the others are for training.

    Returns
    -------
    dataset : `.Dataset`
    """
    rng = np.random.RandomState(seed)
    screen = generate(n_cells, n_drugs, n_genes, n_descriptors, measured, rng=rng)
    rows = Split(
        inputs={
            "cell": screen.expression[screen.cell],
            "drug1": screen.descriptors[screen.drug1],
            "drug2": screen.descriptors[screen.drug2],
        },
        target=screen.growth[:, np.newaxis],
        labels={
            "Sample": _ids("CELL", screen.cell),
            "Drug1": _ids("DRUG", screen.drug1),
            "Drug2": _ids("DRUG", screen.drug2),
        },
    )
    parts = random_parts(len(rows), n_validation, n_test, rng)
    return standardised(
        "combo-small",
        rows,
        parts,
        "Growth",
        SOURCE,
        alike=("drug1", "drug2"),
        recipe=Recipe(
            build=network_for(small_network),
            training={"epochs": 30, "patience": 5, "batch_size": 64},
            annealing_epochs=5,
        ),
    )


def _ids(prefix, numbers):
    return np.array([f"{prefix}.{number}" for number in numbers])
