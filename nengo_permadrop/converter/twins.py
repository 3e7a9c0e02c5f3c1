"""Networks of rate neurons that answer as the converted ones, without spikes."""

from nengo_permadrop.graph.smoothing import smooth_graph


def rate_twin(conv, smooth=False, copies=1, dropout=None):
    """
    The same network of rate neurons, which answers as the classical one, and at once.

    It has the same masks as any other conversion of the graph with the seed 0.

    Parameters
    ----------
    conv : `.Converter`
    smooth : bool, optional
        Give SoftLIF layers their smooth curve, as `smooth_graph` does.
    copies : int, optional
        As in `.Converter`. With as many as ``conv`` has, the masks of each copy are the
        same.
    dropout : optional
        As in `.Converter`; by default as in ``conv``.

    Returns
    -------
    twin : `.Converter`
        Not calibrated, and with masks that never change; in the network that is being
        built, if there is one.
    """
    return type(conv)(
        smooth_graph(conv.graph) if smooth else conv.graph,
        neurons="rate",
        dropout=conv.dropout if dropout is None else dropout,
        scale_firing_rates=conv.firing_rates or None,
        copies=copies,
        seed=0,
    )
