"""Data sets of images whose target is a class, or how likely each class is."""

import numpy as np

from nengo_permadrop.datasets.base import Dataset, Split, random_parts
from nengo_permadrop.datasets.preparation import Preparation
from nengo_permadrop.support.optional import require

DIGITS = (
    "1797 handwritten digits, images of 8 x 8 pixels; which of the ten digits it is, "
    "is predicted as ten columns of 0 and 1. Real data, shipped with scikit-learn. "
    "Alpaydin & Kaynak (1998), Optical recognition of handwritten digits, UCI Machine "
    "Learning Repository."
)


def digits_images(seed=0, n_validation=300, n_test=400):
    """
    Handwritten digits, scikit-learn's ``load_digits``, as images.

    One input, named "input", of shape (8, 8, 1): channels last, pixels from -1 to 1.
    Ten outputs, as of the data set ``digits``; rows for each purpose are the same.

    Parameters
    ----------
    seed : int, optional
        Decides which images are for training, validation and test.
    n_validation, n_test : int, optional
        Images for validation and test; the others are for training.

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

    found = load_digits()
    rows = Split(
        inputs={"input": found.images[..., np.newaxis]},
        target=(found.target[:, np.newaxis] == np.arange(10)).astype(np.float64),
        labels={"Observation": np.arange(len(found.target))},
    )
    return image_dataset(
        "digits-images",
        rows,
        random_parts(len(rows), n_validation, n_test, np.random.RandomState(seed)),
        target_name="Digit",
        output_names=[f"Is{number}" for number in range(10)],
        brightest=16,
        source=DIGITS,
    )


def image_dataset(name, rows, parts, target_name, output_names, brightest, source):
    """
    Divide images into the parts of a `.Dataset`.

    They are scaled by constants and not by moments of the training rows, so that a
    pixel is the same number in every data set that is made of them: pixels from 0 to
    ``brightest`` become -1 to 1, and the columns of the target what they would be with
    mean 0 and standard deviation 1 if all classes were equally frequent.

    Parameters
    ----------
    name, target_name, source : str
        As in `.Dataset`.
    rows : `.Split`
        All of them, unscaled; the target is the probability of each class.
    parts : (train, validation, test) sequence of array_like of int
        Row numbers.
    output_names : sequence of str
        Of the classes.
    brightest : float
        Largest value that a pixel may have.

    Returns
    -------
    dataset : `.Dataset`
    """
    share = 1 / len(output_names)
    mean = np.full(len(output_names), share)
    std = np.full(len(output_names), np.sqrt(share * (1 - share)))
    half = np.array([brightest / 2])  # of each channel, for all pixels
    preparation = Preparation(
        tuple(output_names),
        mean,
        std,
        ids=tuple(rows.labels),
        moments={key: (half, half) for key in rows.inputs},
    )
    scaled = Split(
        inputs=preparation.inputs(rows.inputs),
        target=((rows.target - mean) / std).astype(np.float32),
        labels=rows.labels,
    )
    return Dataset(
        name,
        *[scaled.take(np.asarray(part)) for part in parts],
        target_name=target_name,
        target_mean=mean,
        target_std=std,
        source=source,
        output_names=tuple(output_names),
        preparation=preparation,
    )
