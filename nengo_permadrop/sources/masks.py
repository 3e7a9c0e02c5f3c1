"""Masks for the forward passes of models."""

from nengo_permadrop.dropout.masks import drawn_mask
from nengo_permadrop.graph.dropouts import BERNOULLI


def forward_masks(forward, keys):
    """
    Masks for each dropout of a model.

    Parameters
    ----------
    forward : callable
        As `.Source.forward` gives it.
    keys : callable
        Takes the number of a dropout; returns its (n,) ndarray of uint64 keys.

    Returns
    -------
    masks : list of (n, units) ndarray
        In the order of ``forward.dropouts``.
    """
    plain = [(BERNOULLI, None)] * len(forward.dropouts)
    kinds = getattr(forward, "kinds", plain)
    return [
        drawn_mask(keys(number), units, rate, groups=groups, kind=kind)
        for number, ((_, units, rate), (kind, groups)) in enumerate(
            zip(forward.dropouts, kinds, strict=True)
        )
    ]
