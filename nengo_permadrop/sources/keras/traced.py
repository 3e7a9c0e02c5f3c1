"""
Arithmetic on values, as Keras traces it.

What is written as ``x + 1`` or ``x[:, :3]`` is a call of a function, in Keras 2 of
TensorFlow (a layer of class ``TFOpLambda``), in Keras 3 of its own (an operation). Its
arguments are plain data, in which each value that is taken is a `Taken`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Layers of Keras 2 that stand for functions
LAMBDAS = ("TFOpLambda", "SlicingOpLambda")

# Operations of Keras 3 that there are converters for
OPERATIONS = frozenset("""
    Add Concatenate Divide ExpandDims GetItem Mean Multiply Negative Relu Reshape
    Sigmoid Squeeze Subtract Sum Tanh Transpose TrueDivide
    """.split())

# What such a call acts as, in the table of layers
ARITHMETIC = "arithmetic on values"


@dataclass(frozen=True)
class Taken:
    """The place of a value among those that a call takes."""

    number: int


@dataclass(frozen=True, eq=False)
class Traced:
    """
    A call of a function.

    Attributes
    ----------
    function : str
        As Keras calls it: ``math.multiply``, or ``Multiply``.
    args : tuple
    kwargs : dict
    attributes : dict
        Arguments that the operation was made with, before it was called.
    """

    function: str
    args: tuple
    kwargs: dict
    attributes: dict = field(default_factory=dict)

    def filled(self, values):
        """Its arguments, ``(args, kwargs)``, with values in their places."""

        def value(item):
            return values[item.number] if isinstance(item, Taken) else item

        return mapped(self.args, value), mapped(self.kwargs, value)


def mapped(item, function):
    """
    What a function makes of each part of nested tuples, lists and dicts.

    Parameters
    ----------
    item : object
    function : callable
        Takes any part; where it returns something else than it was given, that takes
        the part's place, otherwise the part's own parts are looked at.

    Returns
    -------
    item : object
        Of the same types.
    """
    result = function(item)
    if result is not item:
        return result
    if isinstance(item, Mapping):
        return {key: mapped(each, function) for key, each in item.items()}
    if isinstance(item, (list, tuple)):
        return type(item)([mapped(each, function) for each in item])
    return item


def taken_by(args, kwargs, key):
    """
    The values in a call's arguments.

    Parameters
    ----------
    args : sequence
    kwargs : dict
    key : callable
        Takes any part of the arguments; returns the key of the value that it is, or
        None.

    Returns
    -------
    keys : list
        In order.
    args, kwargs : tuple, dict
        With a `Taken` for each.
    """
    keys = []

    def taken(item):
        found = key(item)
        if found is None:
            return item
        keys.append(found)
        return Taken(len(keys) - 1)

    args = mapped(tuple(args), taken)
    return keys, args, mapped(dict(kwargs), taken)
