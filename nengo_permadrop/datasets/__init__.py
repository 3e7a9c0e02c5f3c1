"""
Named data sets, each a `Dataset` of standardised training, validation and test rows.

>>> from nengo_permadrop import datasets
>>> data = datasets.load("diabetes", seed=0)
>>> data.train.inputs["input"].shape
(262, 10)
"""

import inspect

from nengo.exceptions import ValidationError

from nengo_permadrop.combo import data as combo
from nengo_permadrop.combo.small import combo_small
from nengo_permadrop.datasets.base import Dataset, Split
from nengo_permadrop.datasets.diabetes import diabetes
from nengo_permadrop.datasets.digits import digits

__all__ = ["Dataset", "Split", "load", "names", "register"]

_LOADERS = {}


def register(name, loader):
    """
    Make a data set known by a name, to `load` and to ``nengo-permadrop study``.

    Parameters
    ----------
    name : str
        For example "combo-small".
    loader : callable
        Takes ``seed`` and options of its own as keyword arguments and returns a
        `Dataset` that depends on them alone.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the name is taken.
    """
    if name in _LOADERS:
        raise ValidationError(
            f"there is a data set {name!r} already; choose another name", attr="name"
        )
    _LOADERS[name] = loader


def names():
    """The names that `load` knows, a sorted list of str."""
    return sorted(_LOADERS)


def load(name, seed=0, **options):
    """
    Load a data set by its name.

    Parameters
    ----------
    name : str
        One of `names`.
    seed : int, optional
        Decides which rows are for training, validation and test, and the data itself
        where they are generated.
    **options
        Passed to the data set's loader.

    Returns
    -------
    dataset : `Dataset`

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is no such data set, or it has no such option.
    ImportError
        If the data set needs a package that isn't installed, with how to install it.
    """
    if name not in _LOADERS:
        raise ValidationError(
            f"no data set is called {name!r}; there are {', '.join(names())}",
            attr="name",
        )
    loader = _LOADERS[name]
    try:
        inspect.signature(loader).bind(seed=seed, **options)
    except TypeError as error:
        known = ", ".join(inspect.signature(loader).parameters)
        raise ValidationError(
            f"{error}; data set {name!r} takes {known}", attr="options"
        ) from error
    return loader(seed=seed, **options)


register("diabetes", diabetes)
register("digits", digits)
register("combo-small", combo_small)
register("combo", combo.combo)
