"""Graphs with smooth rate curves in place of those that have steps."""

from dataclasses import replace

from nengo_permadrop.graph.graph import Activation


def smooth_graph(graph):
    """
    A graph whose activations have the smooth curve of their kind.

    Some targets' neurons have rate curves with steps, where how numbers are rounded
    decides; two computations of them can be compared on the smooth curve only.

    Parameters
    ----------
    graph : `.ModelGraph`

    Returns
    -------
    smooth : `.ModelGraph`
    """
    return replace(graph, operations=[_smoothed(each) for each in graph.operations])


def _smoothed(operation):
    if not isinstance(operation, Activation) or "curve" not in operation.parameters:
        return operation
    smooth = {k: v for k, v in operation.parameters.items() if k != "curve"}
    return replace(operation, parameters=smooth)
