"""What nengo-loihi is told of a network that was added to another."""

from nengo_permadrop.support.optional import require


def configure(outer, inner):
    """
    Give a network the nengo-loihi configuration of one in it.

    nengo-loihi asks the outermost network what is on the chip. (It asks the network
    that an ensemble is in for the shape of its blocks.)

    Parameters
    ----------
    outer, inner : `nengo.Network`
    """
    add_params = require("nengo_loihi").add_params
    add_params(outer)
    add_params(inner)
    for ensemble in inner.all_ensembles:
        on_chip = inner.config[ensemble].on_chip
        if on_chip is not None:
            outer.config[ensemble].on_chip = on_chip
    if hasattr(inner, "configure"):  # a Converter
        inner.configure(outer)
