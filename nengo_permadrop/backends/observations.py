"""Observations and masks of models that are run as they are."""

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.dropout.masks import drawn_mask
from nengo_permadrop.dropout.seeds import derive_seed, mix64
from nengo_permadrop.graph.dropouts import ALPHA, BERNOULLI, CHOICES, drop_terms
from nengo_permadrop.support.inputs import match_inputs
from nengo_permadrop.support.validation import check_choice


def given_inputs(X, names):
    """
    Observations of a model that says no more of its inputs than their names.

    Parameters
    ----------
    X : array_like, list of array_like or dict
        As in `.sample`.
    names : sequence of str
        Of the inputs, in their order; there may be more than are given.

    Returns
    -------
    arrays : list of (n, size) ndarray
    shapes : {str: tuple of int}
        Of one observation of each input that is given.
    types : {str: str}
        Of the arrays as they were given, such as "float32".
    """
    if isinstance(X, dict):
        unknown = [name for name in X if name not in names]
        if unknown or not X:
            raise ValidationError(
                f"has {', '.join(map(str, unknown)) or 'nothing'}; the model's inputs "
                f"are {', '.join(names)}",
                attr="X",
            )
        given = {name: X[name] for name in names if name in X}
    elif isinstance(X, (list, tuple)) and any(np.ndim(x) >= 2 for x in X):
        if len(X) > len(names):
            raise ValidationError(
                f"is a list of {len(X)} arrays; the model's inputs are "
                f"{', '.join(names)}",
                attr="X",
            )
        given = dict(zip(names, X))
    else:
        given = {names[0]: X}
    shapes = {name: np.shape(x)[1:] for name, x in given.items()}
    types = {name: np.asarray(x).dtype.name for name, x in given.items()}
    return match_inputs(given, shapes), shapes, types


def check_told(dropout):
    """
    What is said of the dropouts of a model whose dropouts have no names.

    Parameters
    ----------
    dropout : {None, "permanent", "off", "all-off"}

    Returns
    -------
    dropout : str
        "permanent" for None.
    """
    if dropout is None:
        return CHOICES[0]
    return check_choice(dropout, "dropout", CHOICES)


class DrawnMasks:
    """
    The masks of replicas, for one dropout after the other.

    A mask depends on its replica's seed and on the number of the dropout alone, so that
    answers are the same in any batch.

    Parameters
    ----------
    mask_seeds : (n,) ndarray of int
        As in `.Replicas`.
    stream : int
        What keeps the masks of one backend apart from those of others: the same seed
        must not give the same masks, or the two samples would not be independent, as a
        two-sample test needs them to be.
    """

    def __init__(self, mask_seeds, stream):
        self.mask_seeds = np.asarray(mask_seeds)
        self.stream = stream

    def __len__(self):
        return len(self.mask_seeds)

    def keep(self, number, size, rate):
        """
        Which units are kept.

        Parameters
        ----------
        number : int
            Of the dropout, in the order in which they are reached.
        size : int
            Units of one replica.
        rate : float

        Returns
        -------
        keep : (n, size) ndarray of bool
        """
        keys = mix64(derive_seed(self.mask_seeds, self.stream, number))
        return drawn_mask(keys, size, rate)

    def terms(self, number, size, rate, alpha=False):
        """
        What units are multiplied by, and what is added to them.

        Parameters
        ----------
        number, size, rate
            As in `keep`.
        alpha : bool, optional
            Of alpha dropout.

        Returns
        -------
        scale : (n, size) ndarray
        shift : (n, size) ndarray or None
            None is 0.
        """
        keep = self.keep(number, size, rate)
        return drop_terms(ALPHA if alpha else BERNOULLI, rate, keep)
