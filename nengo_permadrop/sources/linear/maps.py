"""Linear maps between values, as sparse matrices."""

import math

import numpy as np
from scipy import sparse


def repeated(matrix, n):
    """
    The matrix that maps each of several parts of a value in the same way.

    Parameters
    ----------
    matrix : ndarray or sparse matrix
    n : int
        Number of parts, one after the other.

    Returns
    -------
    matrix : csr_matrix
        Block diagonal, without zeros.
    """
    matrix = sparse.csr_matrix(matrix)  # which leaves zeros out
    blocks = sparse.identity(n, dtype=matrix.dtype, format="csr")
    return sparse.kron(blocks, matrix, format="csr")


def reduction_matrix(shape, axes, mean):
    """
    The matrix that takes means or sums along axes.

    Parameters
    ----------
    shape : tuple of int
        Of the value.
    axes : collection of int
    mean : bool
        Take means, not sums.

    Returns
    -------
    matrix : csr_matrix
    kept : tuple of int
        Shape of the result, with 1 in place of these axes.
    """
    kept = tuple(1 if n in axes else size for n, size in enumerate(shape))
    rows = np.arange(math.prod(kept)).reshape(kept)
    rows = np.broadcast_to(rows, shape).ravel()
    size, n_out = rows.size, math.prod(kept)
    factor = n_out / size if mean else 1.0
    matrix = sparse.csr_matrix(
        (np.full(size, factor), (rows, np.arange(size))), shape=(n_out, size)
    )
    return matrix, kept
