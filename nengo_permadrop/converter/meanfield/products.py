"""Products of which only some elements are needed."""

import numba
import numpy as np


@numba.njit(cache=True, fastmath={"contract", "nsz", "reassoc"})
def sampled_product(a, b, pointers, columns):
    """
    The elements of ``a @ b.T`` where a sparse matrix has some.

    Parameters
    ----------
    a : (n_rows, n) ndarray
    b : (n_columns, n) ndarray
    pointers, columns : ndarrays of int
        ``indptr`` and ``indices`` of a csr_matrix ``(n_rows, n_columns)``.

    Returns
    -------
    elements : (nnz,) ndarray
    """
    elements = np.empty(columns.size)
    for row in range(a.shape[0]):
        left = a[row]
        for place in range(pointers[row], pointers[row + 1]):
            right = b[columns[place]]
            total = 0.0
            for i in range(left.size):
                total += left[i] * right[i]
            elements[place] = total
    return elements
