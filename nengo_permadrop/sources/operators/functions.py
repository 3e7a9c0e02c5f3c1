"""Functions of each element, and what an output can end with."""

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.graph.graph import Activation
from nengo_permadrop.graph.links import LINK_NAMES, ONLY_LINKS
from nengo_permadrop.sources.operators.arithmetic import GraphValue, scaled, summed


def activation(
    writer, where, value, kind, inner=(1.0, 0.0), outer=(1.0, 0.0), **options
):
    """
    An activation, perhaps of a multiple of its input, or a multiple of it.

    Parameters
    ----------
    writer : `.RowsWriter`
    where : `.operators.rows.Node`
    value : `.GraphValue`
    kind : str
        As in `.Activation`.
    inner, outer : (float, float), optional
        What the input, and the activation, are multiplied by, and what is added then.
    **options
        Parameters of the activation.

    Returns
    -------
    value : `.GraphValue`
    """
    value = _moved(writer, where, value, *inner)
    value = GraphValue(writer.activation(*where.named, value.index, kind, **options))
    return _moved(writer, where, value, *outer)


def _moved(writer, where, value, scale, shift):
    if scale != 1:
        value = GraphValue(scaled(writer, where, value, scale))
    if shift != 0:
        value = GraphValue(summed(writer, where, [value, shift], [1, 1]))
    return value


def clipped(writer, where, value, low=None, high=None):
    """
    A value within bounds.

    Parameters
    ----------
    writer, where, value
        As in `activation`.
    low, high : float or None
        Infinite ones are none.

    Returns
    -------
    value : `.GraphValue`
    """
    low = None if low is None or low == -np.inf else float(low)
    high = None if high is None or high == np.inf else float(high)
    if low is None and high is None:
        shape = writer.shape(value.index)
        return GraphValue(writer.affine(*where.named, [value.index], [None], shape))
    if low is None:
        return activation(writer, where, value, "relu", (-1.0, high), (-1.0, high))
    if high is None:
        return activation(writer, where, value, "relu", (1.0, -low), (1.0, low))
    if not low < high:
        raise ConversionError(
            str(where), f"is between {low:g} and {high:g}", "Use a range of numbers"
        )
    options = {"max_value": high - low}
    return activation(writer, where, value, "relu", (1.0, -low), (1.0, low), **options)


def leaky(writer, where, value, slopes):
    """
    Rectified, with slopes of negative parts.

    Parameters
    ----------
    writer, where, value
        As in `activation`.
    slopes : float or (size,) ndarray
        One for all elements, or one for each.

    Returns
    -------
    value : `.GraphValue`
    """
    if np.size(slopes) == 1:
        slopes = float(np.ravel(slopes)[0])
    return activation(writer, where, value, "relu", negative_slope=slopes)


def softmax(writer, where, value, axis):
    """
    A softmax along the last axis, which only an output can end with.

    Parameters
    ----------
    writer, where, value
        As in `activation`.
    axis : int
        With that of rows.

    Returns
    -------
    value : `.GraphValue`
    """
    n_axes = len(writer.full_shape(value))
    if axis % n_axes != n_axes - 1 or n_axes == 1:
        raise ConversionError(
            str(where), f"goes along axis {axis}", "Use the last axis, dim=-1"
        )
    return activation(writer, where, value, "softmax")


def finish(writer):
    """
    Make the functions that outputs end with their links.

    Parameters
    ----------
    writer : `.GraphWriter`
        Whose inputs, operations and outputs are complete.

    Raises
    ------
    ConversionError
        If a function that only an output can end with is elsewhere.
    """
    taken = {index for each in writer.graph.operations for index in each.inputs}
    last = {each.output: each for each in writer.graph.operations}
    for name, index in writer.graph.outputs.items():
        kind = getattr(last.get(index), "kind", None)
        if (
            index not in taken
            and name not in writer.graph.links
            and isinstance(last.get(index), Activation)
            and kind in LINK_NAMES
        ):
            writer.link(name)
    check_only_links(writer.graph)


def check_only_links(graph):
    """Raise if functions are between layers that only an output can end with."""
    for operation in graph.operations:
        if getattr(operation, "kind", None) in ONLY_LINKS:
            raise ConversionError(
                str(operation),
                f"has the activation {operation.kind!r}, and other layers take what it "
                "gives: neurons compute functions of one number, and none that grow so",
                f"Only an output can end with {' or '.join(ONLY_LINKS)}",
            )
