"""What layers on grids have in common: axes, and options that have one of each."""

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.operators.grids import Grid


def grid_of(writer, call, value, rank):
    """
    The grid that a layer takes.

    Parameters
    ----------
    writer : `.GraphWriter`
    call : `.LayerCall`
    value : int
    rank : int
        Number of axes that the grid must have.

    Returns
    -------
    grid : `.Grid`

    Raises
    ------
    ConversionError
        If the value has another number of axes.
    """
    shape = writer.shape(value)
    if len(shape) != rank + 1:
        raise ConversionError(
            str(call),
            f"takes a value of shape {shape}",
            f"Give it {rank + 1} axes, with the channels",
        )
    if call.spec.config.get("data_format") == "channels_first":
        return Grid(shape[1:], shape[0], True)
    return Grid(shape[:-1], shape[-1], False)


def each_axis(value, rank):
    """
    An option with a number for each axis; or one number, for all of them.

    Parameters
    ----------
    value : int or sequence of int
    rank : int

    Returns
    -------
    values : tuple of int
    """
    values = [value] * rank if np.ndim(value) == 0 else list(value)
    return tuple(int(each) for each in values)


def rank_of(class_name):
    """Number of axes that a layer's class is for, which its name ends in or has."""
    return int(next(each for each in class_name if each.isdigit()))
