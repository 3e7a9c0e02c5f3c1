"""What the dropouts of a model do, and which are on at prediction time."""

import re
from collections.abc import Mapping

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.support.validation import check_choice

# When a dropout drops units at prediction time: always, never, or if plain dropout is
# said to be permanent
ALWAYS, NEVER, PLAIN = "always", "never", "plain"

# What it does: multiply units by 0 or 1 / (1 - rate); by 1 + N(0, rate / (1 - rate));
# or put a value in place of those that are dropped, and keep mean and variance
BERNOULLI, GAUSSIAN, ALPHA = "bernoulli", "gaussian", "alpha"
KINDS = (BERNOULLI, GAUSSIAN, ALPHA)

# What SELU tends to for low inputs [1]_, which "alpha" puts in place of what is dropped
_SATURATION = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717

# What can be said of a model's dropouts, and of one of them
CHOICES = ("permanent", "off", "all-off")
_OF_ONE = ("permanent", "off")


def is_permanent(path, when, dropout):
    """
    Whether a dropout drops units at prediction time.

    Parameters
    ----------
    path : str
        Of its layer, as in `.Operation`.
    when : {"always", "never", "plain"}
    dropout : {"permanent", "off", "all-off"} or {str: str}
        As in `.Converter`.

    Returns
    -------
    permanent : bool
    """
    if isinstance(dropout, Mapping):
        for name in (path, _without_numbers(path)):
            if name in dropout:
                return dropout[name] == "permanent"
        dropout = "permanent"
    if dropout == "all-off":
        return False
    return when == ALWAYS or (when == PLAIN and dropout == "permanent")


def check_dropout(dropout, paths):
    """
    Check what is said of a model's dropouts.

    Parameters
    ----------
    dropout : object
    paths : sequence of str
        Of all dropouts of the model.

    Returns
    -------
    dropout : str or {str: str}

    Raises
    ------
    nengo.exceptions.ValidationError
        If it is none of the choices, or names a layer that isn't a dropout of the
        model.
    """
    if not isinstance(dropout, Mapping):
        check_choice(dropout, "dropout", CHOICES)
        return dropout
    known = {*paths, *map(_without_numbers, paths)}
    for name, choice in dropout.items():
        if name not in known:
            raise ValidationError(
                f"the model has no dropout layer {name!r}; it has "
                f"{', '.join(map(repr, dict.fromkeys(paths))) or 'none'}",
                attr="dropout",
            )
        check_choice(choice, f"dropout[{name!r}]", _OF_ONE)
    return dict(dropout)


def alpha_terms(rate):
    """
    What alpha dropout [1]_ makes of units, as Keras does.

    A unit ``x`` with the mask ``m``, 0 or 1, becomes ``a (m x + (1 - m) s) + b``: for
    ``x`` of mean 0 and variance 1 it has these again.

    Parameters
    ----------
    rate : float

    Returns
    -------
    s, a, b : float

    References
    ----------
    .. [1] Klambauer, G., Unterthiner, T., Mayr, A., & Hochreiter, S. (2017).
       Self-normalizing neural networks. NeurIPS 30.
    """
    a = ((1.0 - rate) * (1.0 + rate * _SATURATION**2)) ** -0.5
    return _SATURATION, a, -a * _SATURATION * rate


def drop_terms(kind, rate, mask):
    """
    A dropout as an affine map: what units are multiplied by, and what is added.

    Parameters
    ----------
    kind : {"bernoulli", "gaussian", "alpha"}
    rate : float
    mask : ndarray
        As `.drawn_mask` gives it: of bool, or Gaussian factors.

    Returns
    -------
    scale : ndarray
    shift : ndarray or None
        None is 0.
    """
    if kind == GAUSSIAN:
        return mask, None
    if kind == ALPHA:
        s, a, b = alpha_terms(rate)
        return a * mask, a * s * (1.0 - mask) + b
    return mask / (1.0 - rate), None


def random_mask(kind, rate, shape, groups, rng):
    """
    A mask of any random numbers, for what doesn't depend on which ones.

    Parameters
    ----------
    kind, rate
        As in `drop_terms`.
    shape : (2,) tuple of int
        ``(n, n_units)``.
    groups : (n_units,) ndarray of int or None
    rng : `numpy.random.RandomState`

    Returns
    -------
    mask : (n, n_units) ndarray
    """
    places = None
    if groups is not None:
        numbers, places = np.unique(groups, return_inverse=True)
        shape = shape[0], numbers.size
    if kind == GAUSSIAN:
        deviation = np.sqrt(rate / (1.0 - rate))
        mask = 1.0 + deviation * rng.standard_normal(shape)
    else:
        mask = rng.random_sample(shape) >= rate
    return mask if places is None else mask[:, places.ravel()]


def _without_numbers(path):
    """A path without the numbers of uses, which stands for all uses of a layer."""
    return re.sub(r"\[\d+\]", "", path)
