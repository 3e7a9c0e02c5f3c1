"""An ONNX model as a neutral graph."""

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.onnx.converters import (  # noqa: F401 they register
    activations,
    arithmetic,
    dropout,
    layers,
    shapes,
)
from nengo_permadrop.sources.onnx.patterns import Patterns
from nengo_permadrop.sources.onnx.table import Setting, check_operator, write_call
from nengo_permadrop.sources.operators.arithmetic import GraphValue
from nengo_permadrop.sources.operators.functions import finish
from nengo_permadrop.sources.operators.rows import RowsWriter


class OnnxWriter(RowsWriter):
    """
    A graph's writer, and what else converters of ONNX's operators need.

    Parameters
    ----------
    rows : int
    max_to_avg_pool : bool
        As in `.Converter`.

    Attributes
    ----------
    drops : {str: str}
        By what dropouts give: what they take, names in the model.
    """

    def __init__(self, rows, max_to_avg_pool):
        super().__init__(rows)
        self.max_to_avg_pool = max_to_avg_pool
        self.drops = {}


def neutral(model, max_to_avg_pool=False):
    """
    A model as a neutral graph.

    Parameters
    ----------
    model : `.OnnxModel`
    max_to_avg_pool : bool, optional
        As in `.Converter`.

    Returns
    -------
    graph : `.ModelGraph`
    drops : {str: str}
        By what dropouts give, in the graph's order: what they take, names in the model.

    Raises
    ------
    ConversionError
        If an operator, or something about it, is not supported.
    """
    writer = OnnxWriter(model.rows, max_to_avg_pool)
    results = {"": None, **model.constants()}
    for name, (_, *shape) in model.inputs.items():
        results[name] = GraphValue(writer.input(name, shape))
    for name in model.settings:
        results[name] = Setting(name)
    calls = needed_calls(model, results)
    for call in calls:
        check_operator(call)
    for call in calls:
        missing = [name for name in call.inputs if name not in results]
        if missing:
            raise ConversionError(
                str(call.where),
                f"takes '{missing[0]}', which nothing before it gives",
                "Check the model with onnx.checker",
            )
        operands = [results[name] for name in call.inputs]
        given = [
            np.asarray(each) if isinstance(each, (np.generic, float, int)) else each
            for each in write_call(writer, call, operands)
        ]
        results.update(zip(call.outputs, given))
        results[""] = None
    for name in model.outputs:
        if not isinstance(results.get(name), GraphValue):
            raise ConversionError(
                f"output '{name}'",
                "doesn't depend on the input",
                "Leave it out of the model",
            )
        writer.output(name, results[name].index)
    finish(writer)
    return writer.graph, writer.drops


def needed_calls(model, constants):
    """
    The nodes of a model, with activations of several nodes as one.

    Parameters
    ----------
    model : `.OnnxModel`
    constants : {str: object}
        Initializers among others.

    Returns
    -------
    calls : list of `.onnx.model.Call`
        That the outputs depend on.
    """
    known = {name: x for name, x in constants.items() if isinstance(x, np.ndarray)}
    patterns = Patterns(model.calls, known)
    calls = [patterns.found(call) or call for call in model.calls]
    needed, kept = set(model.outputs), []
    for call in reversed(calls):
        if needed.intersection(call.outputs):
            kept.append(call)
            needed.update(call.inputs)
    return kept[::-1]
