"""Convolutions and averages over grids, wherever their channels are."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.linear.windows import (
    average_matrix,
    channels_first,
    check_entries,
    convolution_matrix,
    window_elements,
)


@dataclass(frozen=True)
class Grid:
    """
    A value as a grid with channels.

    Attributes
    ----------
    sizes : tuple of int
        Of the grid's axes.
    channels : int
    first : bool
        Whether the channels are before the grid's axes, not after them.
    """

    sizes: tuple
    channels: int
    first: bool

    def shape(self, sizes, channels):
        """Shape of another grid with the channels where this one has them."""
        return (channels, *sizes) if self.first else (*sizes, channels)


def single(kernel):
    """Weights in single precision, unless they are in double: of half the memory."""
    known = kernel.dtype in (np.float32, np.float64)
    return kernel if known else kernel.astype(np.float32)


def convolved(
    writer, where, value, grid, kernel, bias, strides, dilation, places, groups
):
    r"""
    A value under a kernel.

    Parameters
    ----------
    writer : `.GraphWriter`
    where : object
        The layer: its string names it in messages, ``named`` is path and label.
    value : int
    grid : `Grid`
        That the value is.
    kernel : (\*size, channels of a group, filters) ndarray
    bias : (filters,) ndarray or None
    strides, dilation : tuple of int
    places : list of (int, int)
        For each axis, how many places the kernel has, and how many elements of the
        first are before the grid's first.
    groups : int

    Returns
    -------
    value : int
    """
    *size, channels, filters = kernel.shape
    if groups * channels != grid.channels or filters % groups:
        raise ConversionError(
            str(where),
            f"has {groups} groups for {grid.channels} channels and {filters} filters",
            "Give it a number of groups that both can be divided by",
        )
    n_places, before = zip(*places)
    macs = math.prod(n_places) * kernel.size
    check_entries(where, macs)
    found = window_elements(grid.sizes, n_places, size, strides, dilation, before)
    n_out, n_in = math.prod(n_places), math.prod(grid.sizes)
    kernel = single(kernel).reshape(-1, channels, filters)
    matrix = convolution_matrix(kernel, found, n_out, n_in, groups)
    if grid.first:
        matrix = channels_first(matrix, n_out, n_in)
    return _mapped(writer, where, value, grid, n_places, filters, matrix, macs, bias)


def transposed(
    writer, where, value, grid, kernel, bias, strides, dilation, ends, groups=1
):
    r"""
    What a convolution's gradient computes: its matrix, transposed.

    Parameters
    ----------
    writer, where, value, grid, bias, strides, dilation, groups
        As in `convolved`.
    kernel : (\*size, filters of a group, channels) ndarray
        That of the convolution, whose channels are the filters here.
    ends : list of (int, int)
        For each axis, the size of the result, and how much is cut before it.

    Returns
    -------
    value : int
    """
    *size, of_group, channels = kernel.shape
    filters = of_group * groups
    sizes, before = zip(*ends)
    macs = math.prod(grid.sizes) * kernel.size
    check_entries(where, max(macs, filters * math.prod(sizes)))
    found = window_elements(sizes, grid.sizes, size, strides, dilation, before)
    n_out, n_in = math.prod(sizes), math.prod(grid.sizes)
    kernel = single(kernel).reshape(-1, of_group, channels)
    matrix = convolution_matrix(kernel, found, n_in, n_out, groups).T.tocsr()
    if grid.first:
        matrix = channels_first(matrix, n_out, n_in)
    return _mapped(writer, where, value, grid, sizes, filters, matrix, macs, bias)


def _mapped(writer, where, value, grid, sizes, filters, matrix, macs, bias):
    constant = None
    if bias is not None:
        constant, n = bias.astype(float), math.prod(sizes)
        constant = np.repeat(constant, n) if grid.first else np.tile(constant, n)
    shape = grid.shape(sizes, filters)
    return writer.affine(
        *where.named, [value], [matrix], shape, constant=constant, macs=macs
    )


def averaged(writer, where, value, grid, found, shape, counts=None):
    """
    Averages of windows, of each channel by itself.

    Parameters
    ----------
    writer, where, value, grid
        As in `convolved`.
    found : tuple of ndarray
        As `.window_elements` gives it.
    shape : tuple of int
        Of the result.
    counts : (n_places,) ndarray, optional
        What the sum of a window is divided by; by default the number of its elements
        that are in the grid.

    Returns
    -------
    value : int
    """
    n_out = math.prod(shape) // grid.channels
    average = average_matrix(found, n_out, math.prod(grid.sizes), counts)
    channels = sparse.identity(grid.channels, format="csr")
    parts = (channels, average) if grid.first else (average, channels)
    matrix = sparse.kron(*parts, format="csr")
    return writer.affine(*where.named, [value], [matrix], shape, macs=matrix.nnz)
