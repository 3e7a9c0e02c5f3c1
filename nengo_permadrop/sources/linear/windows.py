"""
Windows that slide over a grid, as sparse matrices.

Everything here is index arithmetic on arrays: a layer's matrix has as many entries as
it has weights that are used, and is made without a loop over them. Grids are flattened
in C order, with the channels last; `channels_first` puts them first.
"""

import math

import numpy as np
from scipy import sparse

from nengo_permadrop.graph.errors import ConversionError

# More entries than this aren't unrolled: with their places, three gigabytes of them
MAX_ENTRIES = 2**28


def check_entries(call, n_entries):
    """
    Raise if a layer would become a matrix that is too large.

    Parameters
    ----------
    call : object
        Whose string names the layer in messages.
    n_entries : int

    Raises
    ------
    ConversionError
        Before anything takes memory: what a file says of its sizes is checked here.
    """
    if n_entries > MAX_ENTRIES:
        raise ConversionError(
            str(call),
            f"has {n_entries:.3g} connections, more than {MAX_ENTRIES:.3g}",
            "Use a smaller input, longer strides, or fewer channels",
        )


def output_size(size, width, stride, padding):
    """
    How many places a window has along one axis, and where the first begins.

    Parameters
    ----------
    size : int
        Of the input.
    width : int
        From the window's first element to its last.
    stride : int
    padding : {"valid", "same", "causal"}

    Returns
    -------
    n_places, before : int
        ``before`` elements of the first window are before the input's first.
    """
    if padding == "same":
        n_places = -(-size // stride)
        return n_places, max((n_places - 1) * stride + width - size, 0) // 2
    before = width - 1 if padding == "causal" else 0
    return max(0, (size + before - width) // stride + 1), before


def window_elements(sizes, n_places, kernel, strides, dilation, before):
    """
    Which elements of a grid are where in which window.

    Parameters
    ----------
    sizes : tuple of int
        Of the grid.
    n_places, kernel, strides, dilation, before : tuple of int
        One an axis, as in `output_size`; ``kernel`` counts the elements of a window,
        ``dilation`` is their distance.

    Returns
    -------
    places, taps, elements : (n,) ndarray of int
        Of a window's place, of an element in the window, and of that in the grid;
        sorted by place, then by tap. What is outside the grid is left out.
    """
    rank = len(sizes)
    inside = np.ones((1,) * (2 * rank), dtype=bool)
    elements = np.zeros((1,) * (2 * rank), dtype=int)
    for axis in range(rank):
        along = np.arange(n_places[axis])[:, None] * strides[axis] - before[axis]
        along = along + np.arange(kernel[axis]) * dilation[axis]
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = along.shape
        along = along.reshape(shape)
        inside = inside & (along >= 0) & (along < sizes[axis])
        elements = elements * sizes[axis] + along
    n_taps = math.prod(kernel)
    inside = inside.reshape(-1, n_taps)
    places, taps = np.nonzero(inside)
    return places, taps, elements.reshape(-1, n_taps)[inside]


def convolution_matrix(kernel, found, n_places, n_elements, groups=1):
    """
    The matrix of a convolution.

    Parameters
    ----------
    kernel : (n_taps, channels of a group, filters) ndarray
        The filters of the first group first, and so on.
    found : tuple of ndarray
        As `window_elements` gives it.
    n_places, n_elements : int
        Of windows, and of the grid.
    groups : int, optional
        Each takes its own part of the channels.

    Returns
    -------
    matrix : (n_places * filters, n_elements * channels) csr_matrix
        Without zeros.
    """
    places, taps, elements = found
    n_taps, channels, filters = kernel.shape
    # a window's place and a group have a row of blocks, one a tap: (filters, channels)
    blocks = kernel.reshape(n_taps, channels, groups, filters // groups)
    blocks = blocks.transpose(0, 2, 3, 1)
    group = np.arange(groups)
    rows = (places[:, None] * groups + group).ravel()
    order = np.argsort(rows, kind="stable")
    columns = (elements[:, None] * groups + group).ravel()[order]
    which = np.broadcast_to(taps[:, None], (taps.size, groups)).ravel()[order]
    data = blocks[which, np.broadcast_to(group, (taps.size, groups)).ravel()[order]]
    counts = np.bincount(rows, minlength=n_places * groups)
    matrix = sparse.bsr_matrix(
        (data, columns, np.concatenate([[0], np.cumsum(counts)])),
        shape=(n_places * filters, n_elements * groups * channels),
        blocksize=(filters // groups, channels),
    ).tocsr()
    matrix.eliminate_zeros()
    return matrix


def average_matrix(found, n_places, n_elements, counts=None):
    """
    The matrix that averages what is inside the grid of each window.

    Parameters
    ----------
    found, n_places, n_elements
        As in `convolution_matrix`.
    counts : (n_places,) ndarray, optional
        What the sum of each window is divided by; by default the number of its elements
        that are in the grid.

    Returns
    -------
    matrix : (n_places, n_elements) csr_matrix
    """
    places, _, elements = found
    inside = np.bincount(places, minlength=n_places)
    counts = inside if counts is None else counts
    indptr = np.concatenate([[0], np.cumsum(inside)])
    shape = (n_places, n_elements)
    return sparse.csr_matrix((1.0 / counts[places], elements, indptr), shape=shape)


def channels_first(matrix, n_places, n_elements):
    """
    A matrix between grids with their channels last, for grids that have them first.

    Parameters
    ----------
    matrix : (n_places * filters, n_elements * channels) csr_matrix
    n_places, n_elements : int

    Returns
    -------
    matrix : (filters * n_places, channels * n_elements) csr_matrix
    """
    n_rows, n_columns = matrix.shape
    rows = np.arange(n_rows).reshape(n_places, -1).T.ravel()
    columns = np.arange(n_columns).reshape(-1, n_elements).T.ravel()
    matrix = matrix[rows]
    matrix = sparse.csr_matrix(
        (matrix.data, columns[matrix.indices], matrix.indptr), shape=matrix.shape
    )
    matrix.sort_indices()
    return matrix
