"""Operators that put the same elements elsewhere."""

import math

import numpy as np
from scipy import sparse

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.linear.maps import reduction_matrix
from nengo_permadrop.sources.linear.windows import check_entries
from nengo_permadrop.sources.operators.arithmetic import GraphValue, summed
from nengo_permadrop.sources.operators.rows import refused_rows


def rearranged(writer, where, operand, function):
    """
    What a function of an array that moves, repeats or leaves out elements makes.

    It is tried on the places of a value's elements, of all rows that there are; so it
    is known of any such function whether it keeps rows apart.

    Parameters
    ----------
    writer : `.RowsWriter`
    where : `.operators.rows.Node`
    operand : `.GraphValue` or array_like
    function : callable
        Takes an ndarray with the axis of rows, and returns one; places of -1 are 0.

    Returns
    -------
    result : `.GraphValue` or ndarray

    Raises
    ------
    ConversionError
        If there is no such array, or rows don't stay apart.
    """
    if not isinstance(operand, GraphValue):
        return _applied(writer, where, operand, function, np.asarray(operand))
    shape, size = writer.full_shape(operand), writer.size(operand.index)
    places = np.arange(math.prod(shape)).reshape(shape)
    found = _applied(writer, where, operand, function, places)
    if found.shape[:1] != (writer.rows,):
        raise refused_rows(where, f"makes the shape {found.shape} of {shape}")
    starts = size * np.arange(writer.rows).reshape(-1, *[1] * (found.ndim - 1))
    own = np.where(found < 0, found, found - starts)
    if np.any(own != own[:1]):
        raise refused_rows(where, f"moves elements of the shape {shape}")
    order, shape = own[0].ravel(), found.shape[1:]
    if np.array_equal(order, np.arange(size)):
        index = writer.affine(*where.named, [operand.index], [None], shape)
    else:
        index = writer.permuted(*where.named, [operand.index], order, shape)
    return GraphValue(index)


def _applied(writer, where, operand, function, array):
    try:
        return function(array)
    except (IndexError, TypeError, ValueError) as error:
        raise ConversionError(
            str(where),
            f"can't be done with the shape {writer.full_shape(operand)} ({error})",
            "Check the shapes of the program's inputs and constants",
        ) from error


def joined(writer, where, operands, axis):
    """
    Values and constants side by side.

    Parameters
    ----------
    writer, where
        As in `rearranged`.
    operands : list of (`.GraphValue` or array_like)
    axis : int
        With that of rows.

    Returns
    -------
    result : `.GraphValue` or ndarray
    """
    values = [each for each in operands if isinstance(each, GraphValue)]
    check_entries(where, sum(math.prod(writer.full_shape(each)) for each in operands))
    if not values:
        return np.concatenate([np.asarray(each) for each in operands], axis=axis)
    n_axes = len(writer.full_shape(values[0]))
    axis = axis + n_axes if axis < 0 else axis
    if axis == 0:
        raise refused_rows(where, "joins values along axis 0")
    places, filled, start = [], [], 0
    for each in operands:
        if isinstance(each, GraphValue):
            size, shape = writer.size(each.index), writer.shape(each.index)
            places.append(np.arange(start, start + size).reshape(shape))
            filled.append(np.zeros(shape))
            start += size
        else:
            constant = writer.constant(where, each, n_axes)
            if constant.ndim != n_axes or len(constant) != 1:
                raise refused_rows(where, f"joins a constant of shape {constant.shape}")
            places.append(np.full(constant.shape[1:], -1))
            filled.append(constant[0].astype(float))
    try:
        order, constant = (
            np.concatenate(each, axis=axis - 1) for each in (places, filled)
        )
    except ValueError as error:
        raise ConversionError(
            str(where), f"joins values that don't fit ({error})", "Check their shapes"
        ) from error
    indices = [each.index for each in values]
    index = writer.permuted(*where.named, indices, order, order.shape)
    if len(values) == len(operands):
        return GraphValue(index)
    return GraphValue(summed(writer, where, [GraphValue(index), constant], [1, 1]))


def padded(writer, where, operand, around, mode="constant", fill=0.0):
    """
    A value with more elements at the ends of its axes, or fewer.

    Parameters
    ----------
    writer, where, operand
        As in `rearranged`.
    around : list of (int, int)
        Before and after, of each axis, with that of rows; less than 0 cuts.
    mode : {"constant", "edge", "reflect", "wrap"}, optional
    fill : float, optional
        What constant elements are.

    Returns
    -------
    result : `.GraphValue` or ndarray
    """
    kept = tuple(
        slice(max(0, -b), n - max(0, -a))
        for (b, a), n in _along(writer, operand, around)
    )
    around = [(max(0, before), max(0, after)) for before, after in around]
    sizes = [n + sum(each) for each, n in _along(writer, operand, around)]
    check_entries(where, math.prod(sizes))
    if not isinstance(operand, GraphValue):
        given = {"constant_values": fill} if mode == "constant" else {}
        return np.pad(np.asarray(operand)[kept], around, mode=mode, **given)
    outside = {"constant_values": -1} if mode == "constant" else {}
    result = rearranged(
        writer, where, operand, lambda x: np.pad(x[kept], around, mode=mode, **outside)
    )
    if mode != "constant" or fill == 0:
        return result
    inside = [n for n in writer.shape(operand.index)]
    inside = np.ones(inside)[kept[1:]]
    constant = fill * (1.0 - np.pad(inside, around[1:]))
    return GraphValue(summed(writer, where, [result, constant], [1, 1]))


def _along(writer, operand, around):
    return list(zip(around, writer.full_shape(operand), strict=True))


def repeated_along(writer, where, operand, times):
    """
    A value with each element repeated along its axes: nearest-neighbour upsampling.

    Parameters
    ----------
    writer, where, operand
        As in `rearranged`.
    times : sequence of int
        For each axis, with that of rows.

    Returns
    -------
    result : `.GraphValue` or ndarray
    """
    check_entries(where, math.prod(times) * math.prod(writer.full_shape(operand)))

    def function(x):
        for axis, count in enumerate(times):
            x = np.repeat(x, count, axis=axis)
        return x

    return rearranged(writer, where, operand, function)


def expanded(writer, where, operand, shape):
    """
    A value or constant, broadcast to a shape.

    Parameters
    ----------
    writer, where, operand
        As in `rearranged`.
    shape : sequence of int
        With the axis of rows.

    Returns
    -------
    result : `.GraphValue` or ndarray
    """
    check_entries(where, math.prod(shape))
    return rearranged(writer, where, operand, lambda x: np.broadcast_to(x, shape))


def reduced(writer, where, operand, axes, keepdims, mean):
    """
    Means or sums along axes.

    Parameters
    ----------
    writer, where, operand
        As in `rearranged`.
    axes : sequence of int or None
        With the axis of rows; None is all.
    keepdims : bool
    mean : bool
        Take means, not sums.

    Returns
    -------
    result : `.GraphValue` or ndarray
    """
    n_axes = len(writer.full_shape(operand))
    axes = range(n_axes) if axes is None else axes
    axes = {int(axis) % n_axes for axis in axes}
    if not isinstance(operand, GraphValue):
        function = np.mean if mean else np.sum
        return function(operand, axis=tuple(axes), keepdims=keepdims)
    if 0 in axes:
        raise refused_rows(where, f"goes along the axes {sorted(axes)}")
    shape = writer.shape(operand.index)
    matrix, kept = reduction_matrix(shape, {axis - 1 for axis in axes}, mean)
    if not keepdims:
        kept = tuple(n for axis, n in enumerate(shape, start=1) if axis not in axes)
    index = writer.affine(*where.named, [operand.index], [matrix], kept)
    return GraphValue(index)


def each_along(writer, where, operand, axis, matrix):
    """
    A linear map of each line of a value along an axis.

    Parameters
    ----------
    writer, where
        As in `rearranged`.
    operand : `.GraphValue`
    axis : int
        With that of rows.
    matrix : (n, size of the axis) ndarray or sparse matrix

    Returns
    -------
    result : `.GraphValue`
    """
    shape = list(writer.shape(operand.index))
    before, after = math.prod(shape[: axis - 1]), math.prod(shape[axis:])
    check_entries(where, before * after * math.prod(matrix.shape))
    blocks = [
        sparse.identity(before),
        sparse.csr_matrix(matrix),
        sparse.identity(after),
    ]
    whole = sparse.kron(sparse.kron(*blocks[:2]), blocks[2], format="csr")
    shape[axis - 1] = matrix.shape[0]
    index = writer.affine(
        *where.named, [operand.index], [whole], tuple(shape), macs=whole.nnz
    )
    return GraphValue(index)
