"""Matrix products that round alike, however many rows there are."""

import numpy as np
from scipy import sparse

# Replicas are multiplied in blocks of this many, the last one padded, so that the
# rounding of a replica's numbers doesn't depend on how many replicas there are.
PRODUCT_BLOCK = 16


def shared_product(x, weights):
    """
    ``x @ weights.T`` for the replicas' vectors ``x``, each rounded on its own.

    Parameters
    ----------
    x : (n_replicas, size_in) ndarray
    weights : (size_out, size_in) ndarray or sparse matrix
        The weights of all replicas.

    Returns
    -------
    product : (n_replicas, size_out) ndarray
    """
    n_replicas, size_in = x.shape
    if sparse.issparse(weights):  # adds up row by row, whatever the replicas are
        return np.ascontiguousarray(weights.dot(x.T).T)
    if n_replicas == 1:
        return weights.dot(x[0])[np.newaxis]
    n_blocks = -(-n_replicas // PRODUCT_BLOCK)
    padded = np.zeros((n_blocks * PRODUCT_BLOCK, size_in), dtype=x.dtype)
    padded[:n_replicas] = x
    product = np.matmul(padded.reshape(n_blocks, PRODUCT_BLOCK, size_in), weights.T)
    return product.reshape(-1, len(weights))[:n_replicas]
