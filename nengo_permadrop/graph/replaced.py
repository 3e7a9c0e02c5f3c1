"""What a graph computes in place of something else that its model does."""

import warnings

from nengo_permadrop.graph.naming import some


def warn_of_replaced(graph, stacklevel=2):
    """
    Warn, once, of all that a graph computes in place of what its model does.

    Parameters
    ----------
    graph : `.ModelGraph`
    stacklevel : int, optional
        As of ``warnings.warn``, which is called here.

    Warns
    -----
    UserWarning
        If there is anything.
    """
    if graph.replaced:
        found = "; ".join(replaced_words(graph))
        warnings.warn(
            f"{found[0].upper()}{found[1:]}. Compare the answers with the model's, or "
            "train the model with what it is replaced by.",
            stacklevel=stacklevel + 1,
        )


def replaced_words(graph):
    """What a graph computes in place of what its model does, a sentence each kind."""
    layers = {}
    for path, words in graph.replaced.items():
        layers.setdefault(words, []).append(path)
    return [f"{some(paths)} {words}" for words, paths in layers.items()]
