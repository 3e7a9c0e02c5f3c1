"""
A value of a model, as an affine function of the outputs of other objects.

Between two layers of neurons everything that is supported is affine: dense weights,
batch normalisation, concatenation, sums. So it needs no objects of its own, and neurons
connect directly to neurons. A `Value` keeps

``value = constant + sum over terms of matrix @ (mask * output of source)``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse


@dataclass(frozen=True, eq=False)
class Source:
    """A Nengo object that values come from.

    Attributes
    ----------
    obj : Nengo object
        A Node or an ensemble's neurons.
    size : int
    filtered : bool
        Whether connections from it get the synapse (neurons do, Nodes don't).
    constant : bool
        Whether it stays as it is while an observation is shown: inputs, and Nodes that
        get nothing else.
    shift : bool
        Whether it is added to what others send, as a constant that is dropped with it.
    """

    obj: Any
    size: int
    filtered: bool
    constant: bool = False
    shift: bool = False


@dataclass(frozen=True, eq=False)
class Term:
    """One source's part in a value.

    Attributes
    ----------
    source : `Source`
    matrix : (value size, source size) ndarray or sparse matrix
    mask : object or None
        What drops elements of the source; terms with one mask object drop together.
    """

    source: Source
    matrix: Any
    mask: Any = None


@dataclass(frozen=True, eq=False)
class Value:
    """A value without its batch axis, flattened in C order.

    Attributes
    ----------
    shape : tuple of int
        As in the model.
    terms : tuple of `Term`
    constant : (size,) ndarray
    """

    shape: tuple
    terms: tuple
    constant: np.ndarray

    @property
    def size(self):
        return self.constant.size

    @classmethod
    def of(cls, source, shape, scale=1.0):
        """A source's output, times a factor."""
        identity = sparse.identity(source.size, format="csr") * scale
        return cls(shape, (Term(source, identity),), np.zeros(source.size))

    def transformed(self, matrix, shape):
        """``matrix @ value``; a dense or sparse matrix."""
        terms = tuple(
            Term(term.source, matrix @ term.matrix, term.mask) for term in self.terms
        )
        return Value(shape, terms, matrix @ self.constant)

    def shifted(self, constant):
        """The value plus a constant vector."""
        return Value(self.shape, self.terms, self.constant + constant)

    def reshaped(self, shape):
        """The same elements, in C order, in another shape."""
        return Value(shape, self.terms, self.constant)

    def masked(self, masks):
        """The value with a mask on the source of each term."""
        terms = tuple(
            Term(term.source, term.matrix, mask)
            for term, mask in zip(self.terms, masks)
        )
        return Value(self.shape, terms, self.constant)

    def selections(self, shifted=False, several=False):
        """The (rows, columns) of each term's elements, if each is one of a source.

        None if an element of the value is not a multiple of just one element of one
        source without a mask: dropping it is then not dropping an element of a source.
        Where ``shifted``, a constant may be added to it. With ``several``, it may be a
        sum of elements of one source, of which each is part of one sum: dropping it is
        dropping them together.
        """
        if (
            self.constant.any()
            and not shifted
            or any(term.mask is not None for term in self.terms)
        ):
            return None
        places = []
        for term in self.terms:
            if not sparse.issparse(term.matrix):
                return None
            places.append(term.matrix.nonzero())
        rows = np.concatenate(
            [np.unique(rows) if several else rows for rows, _ in places]
        )
        one_source_each = np.unique(rows).size == rows.size == self.size
        no_source_twice = all(np.unique(cols).size == cols.size for _, cols in places)
        return places if one_source_each and no_source_twice else None


def combined(values, matrices, constant, shape):
    """
    The sum of ``matrix @ value`` over some values, plus a constant.

    Parameters
    ----------
    values : list of `Value`
    matrices : list of (ndarray, sparse matrix or None)
        None is the identity.
    constant : (size,) ndarray or None
    shape : tuple of int
        Of the result.

    Returns
    -------
    value : `Value`
    """
    parts = [
        value.reshaped(shape) if matrix is None else value.transformed(matrix, shape)
        for value, matrix in zip(values, matrices)
    ]
    result = parts[0] if len(parts) == 1 else _summed(parts, shape)
    return result if constant is None else result.shifted(constant)


def _summed(values, shape):
    terms = {}
    for value in values:
        for term in value.terms:
            key = (id(term.source), id(term.mask))
            # parts side by side stay apart, so that dropout finds a source's elements
            while key in terms and _apart(terms[key].matrix, term.matrix):
                key = (*key, None)
            if key in terms:
                matrix = terms[key].matrix + term.matrix
                term = Term(term.source, _plain(matrix), term.mask)
            terms[key] = term
    constant = np.sum([value.constant for value in values], axis=0)
    return Value(shape, tuple(terms.values()), constant)


def _apart(a, b):
    """Whether two matrices give elements of which none is of both."""
    if not (sparse.issparse(a) and sparse.issparse(b)):
        return False
    return not np.intersect1d(a.nonzero()[0], b.nonzero()[0]).size


def _plain(matrix):
    # sparse + dense gives numpy.matrix, whose * is not elementwise
    return matrix if sparse.issparse(matrix) else np.asarray(matrix)
