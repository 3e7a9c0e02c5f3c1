"""
Named data sets, each a `.Dataset` of standardised training, validation and test rows.

A new one is a function of a seed that returns a `Dataset`, in a module of its own, made
known by `register` or as an entry point in the group "nengo_permadrop.datasets". One
whose network or training isn't the usual brings a `Recipe` along.

>>> from nengo_permadrop import datasets
>>> data = datasets.load("diabetes", seed=0)
>>> data.train.inputs["input"].shape
(262, 10)
"""

import inspect

from nengo.exceptions import ValidationError

from nengo_permadrop.datasets.base import Dataset, Recipe, Split
from nengo_permadrop.support.registry import Registry

__all__ = ["Dataset", "Recipe", "Split", "load", "names", "register"]

_LOADERS = Registry(
    "data set",
    "nengo_permadrop.datasets",
    own={
        "combo": "nengo_permadrop.combo.dataset:combo",
        "combo-small": "nengo_permadrop.combo.small:combo_small",
        "diabetes": "nengo_permadrop.datasets.diabetes:diabetes",
        "digits": "nengo_permadrop.datasets.digits:digits",
        "digits-images": "nengo_permadrop.datasets.images:digits_images",
        "shapes": "nengo_permadrop.datasets.shape_images:shapes",
    },
    attr="name",
)


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
    _LOADERS.register(name, loader)


def names():
    """The names that `load` knows, a sorted list of str."""
    return sorted(_LOADERS.names())


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
    loader = _LOADERS.get(name)
    try:
        inspect.signature(loader).bind(seed=seed, **options)
    except TypeError as error:
        parameters = inspect.signature(loader).parameters
        known = ", ".join(parameters)
        unknown = [f"'{each}'" for each in options if each not in parameters]
        found = f"has no option {' and '.join(unknown)}" if unknown else str(error)
        raise ValidationError(
            f"data set {name!r} {found}; it takes {known}", attr="options"
        ) from error
    return loader(seed=seed, **options)
