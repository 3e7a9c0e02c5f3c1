"""Models as the converter takes them."""

from nengo_permadrop.sources.registry import graph_of, opened


def read(model, weights, dropout_classes, max_to_avg_pool):
    """A model, None if it is a graph, and its graph."""
    model = opened(
        model,
        weights=weights,
        dropout_classes=dropout_classes,
        max_to_avg_pool=max_to_avg_pool,
    )
    graph = graph_of(model, max_to_avg_pool)
    return None if model is graph else model, graph
