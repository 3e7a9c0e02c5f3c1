"""A generated Combo data set that is small enough for tests."""

SIZES = dict(
    n_cells=6,
    n_drugs=5,
    n_genes=9,
    n_descriptors=11,
    n_set_samples=4,
    n_set_drugs=4,
    measured=0.9,
    n_doses=2,
    n_replicates=2,
)
