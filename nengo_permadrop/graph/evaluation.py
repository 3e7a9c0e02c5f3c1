"""The values of a model for some rows, computed without any network."""

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.graph.graph import Activation, Affine, Drop


def evaluate(graph, inputs, activate, drop=None, seen=None, dtype=float):
    """
    Compute a model, operation by operation.

    Parameters
    ----------
    graph : `.ModelGraph`
    inputs : list of (n, size) ndarray
        Rows of each input, in the graph's order.
    activate : callable
        Takes an `.Activation` and its (n, size) input; returns its output.
    drop : callable, optional
        Takes a `.Drop` and its (n, size) input; returns its output. By default nothing
        is dropped.
    seen : callable, optional
        Takes the index of each value and the (n, size) value; returns what is computed
        on with in its place.
    dtype : dtype, optional
        What the inputs are computed as.

    Returns
    -------
    values : {int: (n, size) ndarray}
        By index, those of the inputs among them.

    Raises
    ------
    nengo.exceptions.ValidationError
        If an operation is of a kind that can't be computed.
    """
    values = {}

    def keep(index, value):
        values[index] = value if seen is None else seen(index, value)

    for index, x in zip(graph.inputs.values(), inputs, strict=True):
        keep(index, np.asarray(x, dtype=dtype))
    for operation in graph.operations:
        given = [values[index] for index in operation.inputs]
        if isinstance(operation, Affine):
            result = affine(operation, given)
        elif isinstance(operation, Activation):
            result = activate(operation, *given)
        elif isinstance(operation, Drop):
            result = given[0] if drop is None else drop(operation, *given)
        else:
            raise ValidationError(
                f"{operation} is of a kind that can't be computed "
                f"({type(operation).__name__})",
                attr="graph",
            )
        keep(operation.output, result)
    return values


def affine(operation, given, squared=False):
    """
    What an `.Affine` map makes of its inputs.

    Parameters
    ----------
    operation : `.Affine`
    given : list of (n, size) ndarray
    squared : bool, optional
        Square its matrices and leave out its constant: so variances are mapped, of
        elements that don't depend on each other.

    Returns
    -------
    result : (n, output size) ndarray
    """
    result = None
    for matrix, x in zip(operation.matrices, given):
        if matrix is not None:
            if squared:
                matrix = matrix.astype(float)
                matrix = matrix.multiply(matrix) if _sparse(matrix) else matrix**2
            x = np.asarray((matrix @ x.T).T)
        result = x if result is None else result + x
    if operation.constant is not None and not squared:
        result = result + operation.constant
    return result


def _sparse(matrix):
    return hasattr(matrix, "multiply")
