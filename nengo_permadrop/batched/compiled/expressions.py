"""
What a built model's signals are, as linear functions of spikes and inputs.

Nengo's build spells a connection out as operators: a product, a filter, a product with
gains, an increment. Reading these backwards from a signal gives

``signal = offset + sum over terms of filter(matrix @ (mask * source))``

where a source is the output of neurons, or of a Node. A network in which all neurons'
currents and all probed signals are of this form can be run by compiled kernels.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from nengo.builder.neurons import SimNeurons
from nengo.builder.operator import (
    Copy,
    DotInc,
    ElementwiseInc,
    Reset,
    SimPyFunc,
    SparseDotInc,
)
from nengo.builder.processes import SimProcess
from nengo.node import Node
from nengo.processes import PresentInput
from nengo.synapses import LinearFilter
from nengo.transforms import SparseMatrix
from scipy import sparse

from nengo_permadrop.batched.random.masks import separable_dropouts
from nengo_permadrop.dropout.builder import RedrawMask, base_weights
from nengo_permadrop.dropout.nodes import Shift
from nengo_permadrop.dropout.weights import scaled_rows


class NotPlanned(Exception):
    """A network, or a part of it, is not of the form that the kernels run."""


@dataclass(frozen=True, eq=False)
class StateSpace:
    """A linear filter without passthrough: ``x' = A x + B u; y = C x'``.

    Attributes
    ----------
    a, b, c : ndarray
        ``(order, order)``, ``(order, 1)``, ``(1, order)``, for one time step.
    """

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray

    @property
    def key(self):
        return tuple(m.tobytes() for m in (self.a, self.b, self.c))


@dataclass(frozen=True, eq=False)
class Term:
    """``filter(matrix @ (mask * source[columns]))``, in some rows of an expression.

    Attributes
    ----------
    source : `nengo.builder.Signal`
        Output of neurons or of a Node.
    spiking : bool
        The source is neurons, otherwise it is a Node.
    columns : (n_columns,) ndarray of int
    rows : (n_rows,) ndarray of int
    matrix : (n_rows, n_columns) ndarray or csr_matrix, or None
        None: the identity.
    dropout : `.BuiltDropout` or None
    mask_columns : (n_columns,) ndarray of int, or None
        Where the columns are in the dropout's mask.
    filter : `StateSpace` or None
    """

    source: Any
    spiking: bool
    columns: np.ndarray
    rows: np.ndarray
    matrix: Any = None
    dropout: Any = None
    mask_columns: np.ndarray = None
    filter: StateSpace = None

    def take(self, indices, size):
        """This term's part of ``expression[indices]`` of an expression of a size."""
        where = np.full(size, -1)
        where[self.rows] = np.arange(len(self.rows))
        picked = where[indices]
        rows = np.flatnonzero(picked >= 0)
        picked = picked[rows]
        if self.matrix is not None:
            return replace(self, rows=rows, matrix=self.matrix[picked])
        columns = self.columns[picked]
        mask_columns = None
        if self.mask_columns is not None:
            mask_columns = self.mask_columns[picked]
        return replace(self, rows=rows, columns=columns, mask_columns=mask_columns)

    def times(self, weights, dropout=None):
        """``weights @ self``, with a mask in between if a dropout is given."""
        if not np.array_equal(self.rows, np.arange(weights.shape[1])):
            weights = weights[:, self.rows]
        rows = np.arange(weights.shape[0])
        if dropout is not None:
            if self.matrix is not None or self.dropout is not None or self.filter:
                raise NotPlanned(f"{dropout.conn} drops what is not a single source")
            return replace(
                self,
                rows=rows,
                matrix=weights,
                dropout=dropout,
                mask_columns=self.rows,
            )
        if self.matrix is not None:
            weights = weights @ self.matrix
        return replace(self, rows=rows, matrix=weights)

    def scaled(self, factors):
        """``diag(factors) @ self``."""
        factors = factors[self.rows]
        if self.matrix is not None:
            return replace(self, matrix=scaled_rows(self.matrix, factors))
        if np.all(factors == 1):
            return self
        return replace(self, matrix=sparse.diags(factors, format="csr"))


@dataclass(frozen=True, eq=False)
class Expression:
    """A signal: an offset and terms.

    Attributes
    ----------
    offset : (size,) ndarray
    terms : tuple of `Term`
    """

    offset: np.ndarray
    terms: tuple = ()

    @property
    def size(self):
        return len(self.offset)

    @property
    def is_zero(self):
        return not self.terms and not self.offset.any()

    def take(self, indices):
        terms = tuple(term.take(indices, self.size) for term in self.terms)
        kept = tuple(term for term in terms if len(term.rows))
        return Expression(self.offset[indices], kept)

    def placed(self, indices, size):
        """The expression of a size whose elements ``indices`` are this one's."""
        offset = np.zeros(size)
        offset[indices] = self.offset
        terms = (replace(term, rows=indices[term.rows]) for term in self.terms)
        return Expression(offset, tuple(terms))

    def plus(self, other):
        return Expression(self.offset + other.offset, self.terms + other.terms)

    def times(self, weights, dropout=None):
        if dropout is not None and self.offset.any():
            raise NotPlanned(f"{dropout.conn} drops what is not a single source")
        terms = tuple(term.times(weights, dropout) for term in self.terms)
        return Expression(weights @ self.offset, terms)

    def scaled(self, factors):
        terms = tuple(term.scaled(factors) for term in self.terms)
        return Expression(factors * self.offset, terms)

    def filtered(self, state_space):
        if self.offset.any() or any(term.filter for term in self.terms):
            raise NotPlanned("a filter of a filtered or constant signal")
        terms = (replace(term, filter=state_space) for term in self.terms)
        return Expression(self.offset, tuple(terms))


class Reader:
    """
    Reads expressions from the operators of a built, not optimized model.

    Parameters
    ----------
    model : `nengo.builder.Model`

    Attributes
    ----------
    inputs : dict
        The output of each Node that is a source: its `nengo.processes.PresentInput`,
        or None if it is constant.
    neurons : dict
        The `nengo.builder.neurons.SimNeurons` operator of each output of neurons.
    """

    def __init__(self, model):
        self.model = model
        self.inputs = {}
        self.neurons = {}
        self.writers = defaultdict(list)
        for op in model.operators:
            for signal in op.sets + op.incs + op.updates:
                self.writers[signal.base].append(op)
            if isinstance(op, SimNeurons):
                self.neurons[op.output] = op
        separable, other = separable_dropouts(model)
        self._dropouts = {built.weights: built for built in separable}
        self._not_separable = {built.weights for built in other}
        self._node_outputs = {
            sigs.get("out") for obj, sigs in model.sig.items() if isinstance(obj, Node)
        }
        self._known = {}

    def read(self, signal):
        """
        The expression of a signal.

        Parameters
        ----------
        signal : `nengo.builder.Signal`

        Returns
        -------
        expression : `Expression`

        Raises
        ------
        NotPlanned
            If the signal isn't of that form.
        """
        base = signal.base
        if base.ndim != 1 or signal.ndim != 1:
            raise NotPlanned(f"{signal!r} is not a vector")
        if base not in self._known:
            self._read_all_before(base)
        expression = self._known[base]
        if expression is None:
            raise NotPlanned(f"{base!r} depends on itself")
        return expression if signal is base else expression.take(_elements(signal))

    def state_space(self, process):
        """The filter that a synapse is, or raise `NotPlanned`."""
        if type(process).make_step is not LinearFilter.make_step:
            raise NotPlanned(f"{process} is not a LinearFilter")
        state = process.make_state((2,), (2,), self.model.dt)
        step = process.make_step((2,), (2,), self.model.dt, None, state)
        order = len(step.A)
        if order > 2 or (order > 0 and np.any(step.D)):
            raise NotPlanned(f"{process} has an order above 2, or a passthrough")
        if order == 0:  # only a gain, that takes effect in the next step
            gain = np.reshape(step.D, (1, 1))
            return StateSpace(np.zeros((1, 1)), gain, np.ones((1, 1)))
        return StateSpace(step.A, np.reshape(step.B, (order, 1)), step.C)

    def _read_all_before(self, base):
        """Read a signal, and first what it is made of: not by recursion, as a network
        may be deeper than Python's stack."""
        stack = [base]
        while stack:
            current = stack[-1]
            self._known[current] = None  # being read
            before = next(
                (s for s in self._made_of(current) if s not in self._known), None
            )
            if before is not None:
                stack.append(before)
            else:
                self._known[current] = self._read_base(current)
                stack.pop()

    def _made_of(self, base):
        """The vectors that the expression of another is made of."""
        for op in self.writers[base]:
            signal = getattr(op, self._SOURCES.get(type(op), ""), None)
            if signal is not None and signal.base.ndim == 1:
                yield signal.base

    def _read_base(self, base):
        writers = self.writers[base]
        identity = np.arange(base.size)
        if base in self.neurons:
            if len(writers) > 1:
                raise NotPlanned(f"{base!r} is not written by neurons alone")
            return Expression(
                np.zeros(base.size), (Term(base, True, identity, identity),)
            )
        if base in self._node_outputs and self._is_input(base, writers):
            return Expression(
                np.zeros(base.size), (Term(base, False, identity, identity),)
            )
        if not writers:
            return Expression(np.array(base.initial_value, dtype=np.float64))
        total = Expression(np.zeros(base.size))
        for op in writers:
            total = total.plus(self._read_op(op, base))
        return total

    def _is_input(self, base, writers):
        if all(isinstance(op, Reset) for op in writers):
            self.inputs[base] = None
            return True
        if len(writers) == 1 and isinstance(writers[0], SimProcess):
            process = writers[0].process
            if type(process).make_step is PresentInput.make_step:
                self.inputs[base] = process
                return True
        return False

    def _read_op(self, op, base):
        reader = self._READERS.get(type(op))
        if reader is None:
            raise NotPlanned(f"{op} has no compiled kernel")
        target, expression = reader(self, op)
        return expression.placed(_elements(target), base.size)

    def _read_reset(self, op):
        return op.dst, Expression(np.full(op.dst.size, op.value))

    def _read_copy(self, op):
        source = self.read(op.src)
        if op.src_slice is not None:
            source = source.take(np.arange(source.size)[op.src_slice])
        if op.dst_slice is not None:
            indices = np.arange(op.dst.size)[op.dst_slice]
            if len(np.unique(indices)) < len(indices):
                raise NotPlanned(f"{op} adds to an element several times")
            source = source.placed(indices, op.dst.size)
        if source.size != op.dst.size:
            raise NotPlanned(f"{op} broadcasts")
        return op.dst, source

    def _read_dot(self, op):
        x = self.read(op.X)
        if x.is_zero:  # an ensemble that is connected to by its neurons only
            return op.Y, Expression(np.zeros(op.Y.size))
        if op.A.ndim != 2:
            raise NotPlanned(f"{op} is not a product with a matrix")
        built = self._dropouts.get(op.A)
        if built is None:
            return op.Y, x.times(self._constant(op.A))
        if built.decoders is not None:
            raise NotPlanned(f"{built.conn} drops decoded values")
        weights = base_weights(built.dropout)
        if built.encoders is not None:
            weights = built.encoders.T @ weights
        return op.Y, x.times(weights, built)

    def _read_elementwise(self, op):
        x = self.read(op.X)
        if x.is_zero:
            return op.Y, Expression(np.zeros(op.Y.size))
        if x.size != op.Y.size or op.A.ndim > 1:
            raise NotPlanned(f"{op} broadcasts")
        return op.Y, x.scaled(np.broadcast_to(self._constant(op.A), (x.size,)))

    def _read_process(self, op):
        if op.input is None or op.mode != "update":
            raise NotPlanned(f"{op} has no compiled kernel")
        if any(signal.initial_value.any() for signal in op.state.values()):
            raise NotPlanned(f"{op} doesn't start from zero")
        return op.output, self.read(op.input).filtered(self.state_space(op.process))

    def _read_function(self, op):
        # not a subclass, which may compute something else
        if type(op.fn) is not Shift or op.output is None or op.x is None:
            raise NotPlanned(f"{op} has no compiled kernel")
        shift = np.broadcast_to(np.asarray(op.fn.constant, float), (op.output.size,))
        return op.output, self.read(op.x).plus(Expression(shift))

    def _constant(self, signal):
        changes = [op for op in self.writers[signal.base] if type(op) is not RedrawMask]
        if changes or signal in self._not_separable or signal in self._node_outputs:
            raise NotPlanned(f"{signal!r} differs between replicas or changes")
        value = signal.initial_value
        if signal.sparse:
            value = value.allocate() if isinstance(value, SparseMatrix) else value
            return sparse.csr_matrix(value, dtype=np.float64)
        return np.asarray(value, dtype=np.float64)

    _SOURCES = {
        Copy: "src",
        DotInc: "X",
        SparseDotInc: "X",
        ElementwiseInc: "X",
        SimProcess: "input",
        SimPyFunc: "x",
    }
    _READERS = {
        Reset: _read_reset,
        Copy: _read_copy,
        DotInc: _read_dot,
        SparseDotInc: _read_dot,
        ElementwiseInc: _read_elementwise,
        SimProcess: _read_process,
        SimPyFunc: _read_function,
    }


def _elements(signal):
    """Which elements of its base a vector signal is a view of."""
    if signal.ndim != 1 or signal.base.ndim != 1:
        raise NotPlanned(f"{signal!r} is not a vector")
    return signal.elemoffset + np.arange(signal.size) * signal.elemstrides[0]
