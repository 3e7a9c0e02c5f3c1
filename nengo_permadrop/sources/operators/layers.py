"""Layers of values with rows first, then channels, then a grid."""

import math

import numpy as np
from scipy import sparse

from nengo_permadrop.graph.dropouts import BERNOULLI
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.linear.maps import repeated
from nengo_permadrop.sources.linear.windows import check_entries, window_elements
from nengo_permadrop.sources.operators import grids
from nengo_permadrop.sources.operators.arithmetic import GraphValue
from nengo_permadrop.sources.operators.grids import Grid, single


def grid_of(writer, where, value, rank=None):
    """
    The grid that a value is.

    Parameters
    ----------
    writer : `.RowsWriter`
    where : `.operators.rows.Node`
    value : `.GraphValue`
    rank : int, optional
        Number of axes that it must have; by default at least one.

    Returns
    -------
    grid : `.Grid`
    """
    shape = writer.shape(value.index)
    if len(shape) != (max(2, len(shape)) if rank is None else rank + 1):
        wanted = "rows, channels and a grid" if rank is None else f"{rank + 2} axes"
        raise ConversionError(
            str(where),
            f"takes a value of shape {(None, *shape)}",
            f"Give it {wanted}; rows come first, then channels",
        )
    return Grid(shape[1:], shape[0], True)


def linear(writer, where, value, weight, bias=None):
    """
    A linear map of the last axis, ``value @ weight.T + bias``.

    Parameters
    ----------
    writer : `.RowsWriter`
    where : `.operators.rows.Node`
    value : `.GraphValue`
    weight : (units, size) ndarray
    bias : array_like, optional
        Broadcast to the result.

    Returns
    -------
    value : `.GraphValue`
    """
    shape = writer.shape(value.index)
    if not shape or weight.ndim != 2 or weight.shape[1] != shape[-1]:
        raise ConversionError(
            str(where),
            f"has weights of shape {weight.shape} for values of shape {(None, *shape)}",
            "Give it a value whose last axis fits its weights",
        )
    outer, units, repeats = shape[:-1], len(weight), math.prod(shape[:-1])
    check_entries(where, weight.size * repeats)
    matrix = single(weight)
    if outer:
        matrix = repeated(matrix, repeats)
    if bias is not None:
        bias = broadcast(writer, where, bias, (*outer, units))
    index = writer.affine(
        *where.named,
        [value.index],
        [matrix],
        (*outer, units),
        constant=bias,
        macs=weight.size * repeats,
    )
    return GraphValue(index)


def broadcast(writer, where, constant, shape):
    """
    A constant as a value's elements.

    Parameters
    ----------
    writer : `.RowsWriter`
    where : `.operators.rows.Node`
    constant : array_like
    shape : tuple of int
        Of the value, without rows.

    Returns
    -------
    constant : (size,) ndarray of float
    """
    constant = writer.constant(where, constant, len(shape) + 1).astype(float)
    try:
        return np.broadcast_to(constant, (1, *shape)).ravel()
    except ValueError:
        raise ConversionError(
            str(where),
            f"has a constant of shape {constant.shape} for values of shape {shape}",
            "Use a constant of the value's shape",
        ) from None


def convolution(writer, where, value, weight, bias, strides, padding, dilation, groups):
    """
    A convolution.

    Parameters
    ----------
    writer : `.RowsWriter`
    where : `.operators.rows.Node`
    value : `.GraphValue`
    weight : (filters, channels of a group, \\*size) ndarray
    bias : (filters,) ndarray or None
    strides, dilation : sequence of int
    padding : list of (int, int)
        Zeros before and after each axis.
    groups : int

    Returns
    -------
    value : `.GraphValue`
    """
    grid = grid_of(writer, where, value, weight.ndim - 2)
    kernel = np.moveaxis(weight, (0, 1), (-1, -2))
    widths = [(n - 1) * step + 1 for n, step in zip(weight.shape[2:], dilation)]
    places = [
        _places(where, *each) for each in zip(grid.sizes, widths, strides, padding)
    ]
    return GraphValue(
        grids.convolved(
            writer,
            where,
            value.index,
            grid,
            kernel,
            _bias(where, bias, len(weight)),
            strides,
            dilation,
            places,
            groups,
        )
    )


def transposed_convolution(
    writer,
    where,
    value,
    weight,
    bias,
    strides,
    padding,
    dilation,
    groups,
    output_padding,
):
    """
    A transposed convolution.

    Parameters
    ----------
    writer, where, value, bias, strides, dilation, groups
        As in `convolution`.
    weight : (channels, filters of a group, \\*size) ndarray
    padding : list of (int, int)
        What is cut before and after each axis.
    output_padding : sequence of int
        What is added after each axis.

    Returns
    -------
    value : `.GraphValue`
    """
    grid = grid_of(writer, where, value, weight.ndim - 2)
    if len(weight) != grid.channels or grid.channels % groups:
        raise ConversionError(
            str(where),
            f"has weights of shape {weight.shape} for {grid.channels} channels in "
            f"{groups} groups",
            "Give it a value whose channels fit its weights",
        )
    kernel = np.moveaxis(weight, (0, 1), (-1, -2))
    widths = [(n - 1) * step + 1 for n, step in zip(weight.shape[2:], dilation)]
    ends = [
        ((n - 1) * stride + width - before - after + extra, before)
        for n, width, stride, (before, after), extra in zip(
            grid.sizes, widths, strides, padding, output_padding
        )
    ]
    bias = _bias(where, bias, weight.shape[1] * groups)
    return GraphValue(
        grids.transposed(
            writer,
            where,
            value.index,
            grid,
            kernel,
            bias,
            strides,
            dilation,
            ends,
            groups,
        )
    )


def _bias(where, bias, filters):
    if bias is not None and np.shape(bias) != (filters,):
        raise ConversionError(
            str(where),
            f"has a bias of shape {np.shape(bias)} for {filters} filters",
            "Give it one for each filter",
        )
    return bias


def _places(where, size, width, stride, ends, ceil=False):
    """How many places a window has, and what of the first is before the grid."""
    before, after = ends
    free = size + before + after - width
    count = (-(-free // stride) if ceil else free // stride) + 1
    if ceil and (count - 1) * stride >= size + before:
        count -= 1  # it would begin behind the grid
    if count < 1:
        raise ConversionError(
            str(where),
            f"has a window of {width} elements along an axis of {size}",
            "Use a larger input, or a smaller window",
        )
    return count, before


def average_pool(
    writer,
    where,
    value,
    size,
    strides,
    padding,
    ceil=False,
    count_padding=True,
    divisor=None,
    dilation=None,
):
    """
    Averages of windows.

    Parameters
    ----------
    writer, where, value, strides, padding
        As in `convolution`.
    size : sequence of int
    ceil : bool, optional
        Have a last window that is partly behind the grid.
    count_padding : bool, optional
        Divide by the number of elements with those of the padding.
    divisor : int, optional
        Divide by this instead.
    dilation : sequence of int, optional

    Returns
    -------
    value : `.GraphValue`
    """
    rank = len(size)
    grid = grid_of(writer, where, value, rank)
    dilation = dilation or (1,) * rank
    widths = [(n - 1) * step + 1 for n, step in zip(size, dilation)]
    found = [
        _places(where, *each, ceil)
        for each in zip(grid.sizes, widths, strides, padding)
    ]
    n_places, before = zip(*found)
    check_entries(where, math.prod(n_places) * math.prod(size) * grid.channels)
    elements = window_elements(grid.sizes, n_places, size, strides, dilation, before)
    counts = None
    if divisor is not None:
        counts = np.full(math.prod(n_places), float(divisor))
    elif count_padding:
        counts = np.ones(1)
        for n, width, step, stride, count, ends in zip(
            grid.sizes, size, dilation, strides, n_places, padding
        ):
            starts = np.arange(count) * stride - ends[0]
            taps = starts[:, None] + step * np.arange(width)
            counts = np.outer(counts, (taps < n + ends[1]).sum(axis=1)).ravel()
    shape = grid.shape(n_places, grid.channels)
    return GraphValue(
        grids.averaged(writer, where, value.index, grid, elements, shape, counts)
    )


def adaptive_average_pool(writer, where, value, sizes):
    """
    Averages of as many parts of a grid as are asked for.

    Parameters
    ----------
    writer, where, value
        As in `convolution`.
    sizes : sequence of (int or None)
        Of the result; None leaves an axis as it is.

    Returns
    -------
    value : `.GraphValue`
    """
    grid = grid_of(writer, where, value, len(sizes))
    sizes = [n if size is None else int(size) for n, size in zip(grid.sizes, sizes)]
    check_entries(where, grid.channels * math.prod(sizes) * max(grid.sizes))
    matrix = sparse.identity(grid.channels, format="csr")
    for n, size in zip(grid.sizes, sizes):
        part, elements = np.arange(size)[:, None], np.arange(n)
        inside = (elements >= part * n // size) & (
            elements < -(-(part + 1) * n // size)
        )
        average = inside / inside.sum(axis=1, keepdims=True)
        matrix = sparse.kron(matrix, sparse.csr_matrix(average), format="csr")
    shape = (grid.channels, *sizes)
    index = writer.affine(*where.named, [value.index], [matrix], shape, macs=matrix.nnz)
    return GraphValue(index)


def batch_normalization(writer, where, value, mean, variance, scale, shift, epsilon):
    """
    Batch normalisation by what it has seen.

    Parameters
    ----------
    writer, where, value
        As in `convolution`.
    mean, variance : (channels,) ndarray
    scale, shift : (channels,) ndarray or None
    epsilon : float

    Returns
    -------
    value : `.GraphValue`
    """
    shape = writer.shape(value.index)
    found = [
        np.asarray(default if each is None else each, dtype=float)
        for each, default in zip((mean, variance, scale, shift), (0, 1, 1, 0))
    ]
    if not shape or any(each.shape not in ((), shape[:1]) for each in found):
        raise ConversionError(
            str(where),
            f"has statistics of shape {np.shape(mean)} for values of shape "
            f"{(None, *shape)}",
            "Give it values whose second axis is that of channels",
        )
    along = (-1,) + (1,) * (len(shape) - 1)
    mean, variance, scale, shift = (each.reshape(along) for each in found)
    std = np.sqrt(variance + epsilon)
    scale = scale / std
    shift = shift - mean * scale
    return GraphValue(standardised(writer, where, value.index, mean, std, scale, shift))


def standardised(writer, where, value, mean, std, scale, shift, known=True):
    """
    ``scale * value + shift``, of a value with a known mean and deviation.

    Parameters
    ----------
    writer : `.GraphWriter`
    where : object
        The layer, as in `.convolved`.
    value : int
    mean, std, scale, shift : array_like
        Broadcast to the value's shape.
    known : bool, optional
        Whether the graph keeps them as statistics of the value.

    Returns
    -------
    value : int
    """
    shape = writer.shape(value)
    mean, std, scale, shift = (
        np.broadcast_to(each, shape).ravel() for each in (mean, std, scale, shift)
    )
    if known:
        writer.known(value, mean, std)
    matrix = sparse.diags(scale).tocsr()
    return writer.affine(*where.named, [value], [matrix], shape, constant=shift)


def dropout(writer, where, value, rate, when, kind=BERNOULLI, channels=False):
    """
    Dropout of elements or whole channels.

    Parameters
    ----------
    writer, where, value
        As in `convolution`.
    rate : float
    when, kind : str
        As in `.Drop`.
    channels : bool, optional
        Whether elements of a channel are dropped together.

    Returns
    -------
    value : `.GraphValue`
    """
    rate, shape, groups = float(rate), writer.shape(value.index), None
    if not 0 <= rate < 1:
        raise ConversionError(
            str(where), f"has the rate {rate:g}", "Use a rate in [0, 1)"
        )
    if channels and len(shape) > 1:
        along = (-1,) + (1,) * (len(shape) - 1)
        groups = np.broadcast_to(np.arange(shape[0]).reshape(along), shape)
    index = writer.drop(
        *where.named, value.index, rate, when=when, kind=kind, groups=groups
    )
    return GraphValue(index)
