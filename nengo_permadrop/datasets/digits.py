"""The handwritten digits that ship with scikit-learn."""

import numpy as np

from nengo_permadrop.datasets.base import Split, random_parts, standardised
from nengo_permadrop.support.optional import require

SOURCE = (
    "1797 handwritten digits of 8 x 8 pixels; which of the ten digits it is, is "
    "predicted as ten columns of 0 and 1. Real data, shipped with scikit-learn. "
    "Alpaydin & Kaynak (1998), Optical recognition of handwritten digits, UCI Machine "
    "Learning Repository."
)


def digits(seed=0, n_validation=300, n_test=400):
    """
    Handwritten digits, scikit-learn's ``load_digits``, as ten columns of 0 and 1.

    One input, named "input", with 64 pixels; ten outputs. A regression to indicators:
    the predictive distribution of an output is that of how much an image looks like the
    digit.

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
    from sklearn.datasets import load_digits

    x, digit = load_digits(return_X_y=True)
    rows = Split(
        inputs={"input": x},
        target=(digit[:, np.newaxis] == np.arange(10)).astype(np.float64),
        labels={"Observation": np.arange(len(x))},
    )
    parts = random_parts(len(x), n_validation, n_test, np.random.RandomState(seed))
    names = [f"Is{number}" for number in range(10)]
    return standardised("digits", rows, parts, "Digit", SOURCE, output_names=names)
