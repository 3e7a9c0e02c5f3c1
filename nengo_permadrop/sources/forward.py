"""The classical answer of a neutral graph, with masks that are given."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from nengo_permadrop.graph.dropouts import check_dropout, drop_terms
from nengo_permadrop.graph.evaluation import evaluate
from nengo_permadrop.graph.graph import Affine, Drop
from nengo_permadrop.graph.smoothing import smooth_graph
from nengo_permadrop.neurons.activations import activate


class GraphForward:
    """
    The forward pass of a model that is known as data alone, by NumPy.

    It computes in single precision, as Keras does, unless the weights are given in
    double.

    Parameters
    ----------
    graph : `.ModelGraph`
    dropout : {"permanent", "off", "all-off"} or {str: str}, optional
        As in `.Converter`.
    smooth : bool, optional
        As in `.Source.forward`.
    activate : callable, optional
        What computes activations, as in `.evaluate`; by default the model's own.

    Attributes
    ----------
    title : str
        Whose answers these are, for messages.
    graph : `.ModelGraph`
    half : None
        It never computes in half precision.
    dropouts : list of (str, int, float)
        Path, number of units and rate of each permanent dropout, in the model's order.
    links : {str: str}
        As in `.ModelGraph`.
    kinds : list of (str, ndarray or None)
        Kind and groups of each of them, as in `.Drop`.
    """

    title = "its forward pass in NumPy"
    half = None

    def __init__(self, graph, dropout="permanent", smooth=False, activate=activate):
        check_dropout(dropout, graph.dropout_paths)
        self._dtype = _precision(graph)
        self._function = activate
        graph = smooth_graph(graph) if smooth else graph
        operations = [_in(self._dtype, each) for each in graph.operations]
        self.graph = replace(graph, operations=operations)
        self.links = dict(graph.links)
        drops = [each for each in operations if isinstance(each, Drop)]
        rates = [each.permanent_rate(dropout) for each in drops]
        self._rates = dict(zip(drops, rates))
        self.dropouts = [
            (each.path, graph.size(each.output), rate)
            for each, rate in zip(drops, rates)
            if rate > 0
        ]
        self.kinds = [(drop.kind, drop.groups) for drop in drops if self._rates[drop]]

    def __call__(self, inputs, masks=None):
        """
        Answers for rows of inputs.

        Parameters
        ----------
        inputs : list of (n, ...) ndarray
            One an input of the model.
        masks : list of (n, units) ndarray, optional
            Which units are kept, for each of `dropouts`, or what they are multiplied
            by, as `.drawn_mask` has it; None drops nothing.

        Returns
        -------
        outputs : list of (n, ...) ndarray
            One an output of the model, before its link if it has one.
        """
        masks = None if masks is None else iter(masks)

        def drop(operation, x):
            rate = self._rates[operation]
            if masks is None or rate == 0:
                return x
            scale, shift = drop_terms(operation.kind, rate, next(masks))
            dropped = x * scale.astype(self._dtype)
            return dropped if shift is None else dropped + shift.astype(self._dtype)

        rows = [np.asarray(x, self._dtype).reshape(len(x), -1) for x in inputs]
        values = evaluate(self.graph, rows, self._activate, drop, dtype=self._dtype)
        return [
            values[index].reshape(len(rows[0]), *self.graph.shapes[index])
            for index in self.graph.outputs.values()
        ]

    def _activate(self, operation, x):
        return self._function(operation, x).astype(self._dtype, copy=False)


def _precision(graph):
    """Double if weights are, otherwise single."""
    dense = [
        matrix.dtype
        for operation in graph.operations
        if isinstance(operation, Affine)
        for matrix in operation.matrices
        if matrix is not None and not sparse.issparse(matrix)
    ]
    return np.dtype("float64" if np.dtype("float64") in dense else "float32")


def _in(dtype, operation):
    """An operation whose numbers are of a type."""
    if not isinstance(operation, Affine):
        return operation
    matrices = tuple(
        matrix if matrix is None else matrix.astype(dtype, copy=False)
        for matrix in operation.matrices
    )
    constant = operation.constant
    if constant is not None:
        constant = np.asarray(constant, dtype)
    return replace(operation, matrices=matrices, constant=constant)
