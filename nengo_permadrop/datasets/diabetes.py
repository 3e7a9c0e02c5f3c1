"""The diabetes data that ship with scikit-learn."""

import numpy as np

from nengo_permadrop.datasets.base import Recipe, Split, random_parts, standardised
from nengo_permadrop.support.optional import require

SOURCE = (
    "442 diabetes patients; ten baseline measurements predict the progression of the "
    "disease one year later. Real data, shipped with scikit-learn. Efron, Hastie, "
    "Johnstone & Tibshirani (2004), Least angle regression, Annals of Statistics 32(2)."
)


def diabetes(seed=0, n_validation=70, n_test=110):
    """
    Disease progression of 442 diabetes patients, scikit-learn's ``load_diabetes``.

    One input, named "input", with 10 features.

    Parameters
    ----------
    seed : int, optional
        Decides which rows are for training, validation and test.
    n_validation, n_test : int, optional
        Rows for validation and test; the others are for training.

    Returns
    -------
    dataset : `.Dataset`

    Raises
    ------
    ImportError
        If scikit-learn isn't installed.
    """
    require("sklearn")
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    rows = Split(
        inputs={"input": x},
        target=y[:, np.newaxis],
        labels={"Observation": np.arange(len(x))},
    )
    parts = random_parts(len(x), n_validation, n_test, np.random.RandomState(seed))
    # with its few rows it needs patience; training stops long before the last epoch
    recipe = Recipe(training={"epochs": 200, "patience": 15, "batch_size": 32})
    return standardised("diabetes", rows, parts, "Progression", SOURCE, recipe=recipe)
