"""
Weights of transforms: arrays, or sparse matrices, of which only what isn't 0 is kept.

A convolution of 32 channels has some hundred weights a neuron, not tens of thousands.
"""

import numpy as np
from nengo.dists import DistOrArrayParam, Distribution, Uniform
from nengo.exceptions import ValidationError
from nengo.params import Parameter
from nengo.rc import rc
from nengo.transforms import Dense, Sparse, SparseMatrix
from scipy import sparse

from nengo_permadrop.support.validation import check_real_array

# Matrices are kept sparse if they have more elements than this, and at most this share
# of them isn't 0. A product with a smaller or a denser one is quicker as an array.
_SMALL, _SHARE = 2**16, 0.25


class WeightsParam(DistOrArrayParam):
    """A distribution, an array, or a sparse matrix of real numbers."""

    def coerce(self, instance, weights):  # pylint: disable=arguments-renamed
        if is_sparse(weights):
            weights = sparse.csr_matrix(weights)
            weights.data.setflags(write=False)
            return Parameter.coerce(self, instance, weights)
        return super().coerce(instance, weights)

    def equal(self, instance_a, instance_b):
        a, b = (self.__get__(each, None) for each in (instance_a, instance_b))
        if not (is_sparse(a) and is_sparse(b)):
            return not (is_sparse(a) or is_sparse(b)) and super().equal(
                instance_a, instance_b
            )
        return a is b or (
            a.shape == b.shape
            and np.array_equal(a.indptr, b.indptr)
            and np.array_equal(a.indices, b.indices)
            and np.array_equal(a.data, b.data)
        )

    def hashvalue(self, instance):
        weights = self.__get__(instance, None)
        if not is_sparse(weights):
            return super().hashvalue(instance)
        return hash((weights.shape, weights.nnz, weights.data[:100].tobytes()))


def is_sparse(weights):
    """Whether weights are a sparse matrix of SciPy."""
    return sparse.issparse(weights)


def as_dense(weights):
    """Weights as an ndarray."""
    return weights.toarray() if is_sparse(weights) else weights


def scaled_columns(weights, factors):
    """
    ``weights * factors``: each column with a factor of its own.

    Parameters
    ----------
    weights : (n, d) ndarray or csr_matrix
    factors : (d,) ndarray

    Returns
    -------
    weights : (n, d) ndarray or csr_matrix
        With the places of the sparse matrix that was given, also where they are 0 now.
    """
    if not is_sparse(weights):
        return weights * factors
    return with_data(weights, weights.data * factors[weights.indices])


def scaled_rows(weights, factors):
    """``factors[:, np.newaxis] * weights``, of an ndarray or a csr_matrix."""
    if not is_sparse(weights):
        return factors[:, np.newaxis] * weights
    each = np.repeat(factors, np.diff(weights.indptr))
    return with_data(weights, each * weights.data)


def squared(weights):
    """Each weight squared, of an ndarray or a sparse matrix."""
    return weights.power(2) if is_sparse(weights) else weights**2


def with_data(weights, data):
    """A csr_matrix with other values in the places of another one."""
    return sparse.csr_matrix((data, weights.indices, weights.indptr), weights.shape)


def stored(matrix, sparse_weights=True):
    """
    A matrix as it is best kept: sparse if most of many elements are 0.

    Parameters
    ----------
    matrix : (n, d) ndarray or sparse matrix
    sparse_weights : bool, optional
        Whether it may be kept sparse.

    Returns
    -------
    matrix : (n, d) ndarray or csr_matrix
    """
    if not is_sparse(matrix):
        return np.asarray(matrix)
    if not sparse_weights:
        return matrix.toarray()
    size = matrix.shape[0] * matrix.shape[1]
    if size <= _SMALL or matrix.nnz > _SHARE * size:
        return matrix.toarray()
    matrix = sparse.csr_matrix(matrix)
    matrix.sum_duplicates()
    return matrix


def plain_transform(weights):
    """The transform of Nengo's that multiplies with some weights, without dropout."""
    if is_sparse(weights):
        return Sparse(weights.shape, init=weights)
    return Dense(weights.shape, init=weights)


def checked_weights(shape, init, obj):
    """
    Weights of a transform, checked against its shape.

    Parameters
    ----------
    shape : (2,) tuple of int
    init : `nengo.dists.Distribution`, array_like or sparse matrix
    obj : object
        What they are of, for the error.

    Returns
    -------
    weights : `nengo.dists.Distribution`, ndarray or csr_matrix

    Raises
    ------
    nengo.exceptions.ValidationError
        If they have another shape, or are no real numbers.
    """
    if isinstance(init, SparseMatrix):
        if isinstance(init.data, Distribution):
            raise ValidationError(
                "is a SparseMatrix whose data are a distribution; sample them, and "
                "give the matrix: SparseMatrix(indices, data, shape)",
                attr="init",
                obj=obj,
            )
        init = init.allocate()
    if not is_sparse(init):
        if not isinstance(init, Distribution):
            check_real_array(init, "init", obj=obj)
        return Dense(shape, init).init
    check_real_array(init.data, "init", obj=obj)
    shape = Dense(shape, init=Uniform(-1, 1)).shape  # checked
    if init.shape != shape:
        raise ValidationError(
            f"Shape of initial value {init.shape} does not match expected shape "
            f"{shape}",
            attr="init",
            obj=obj,
        )
    weights = sparse.csr_matrix(init, dtype=rc.float_dtype, copy=True)
    weights.sum_duplicates()
    return weights
