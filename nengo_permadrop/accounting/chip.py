"""What a network needs of Loihi's chip."""

from nengo_permadrop.backends.nengo_loihi.trial import measured
from nengo_permadrop.support.isolation import own_network
from nengo_permadrop.targets.loihi.cores import Resources, used_by

__all__ = ["Resources", "resources"]


def resources(network, X=None, output=None):
    """
    What a network needs of the chip.

    It is built, as nengo-loihi builds it for the chip. With observations, the first one
    is presented once on the emulator, and the spikes are counted.

    Parameters
    ----------
    network : `.Converter` or `nengo.Network`
    X : optional
        Observations, as `nengo_permadrop.sample` takes them.
    output : optional
        As in `nengo_permadrop.sample`.

    Returns
    -------
    resources : `.Resources`

    Raises
    ------
    nengo.exceptions.BuildError
        If nengo-loihi can't build the network. That it is too large raises in
        ``Resources.check`` only.
    """
    from nengo_permadrop.backends.base import get_backend
    from nengo_permadrop.backends.problems import make_problem
    from nengo_permadrop.targets.loihi.model import LoihiModel

    if X is None:
        return used_by(LoihiModel(_outermost(network), dt=0.001, validate=False))
    engine = get_backend("nengo_loihi")
    return measured(make_problem(engine, network, X, output=output))


def _outermost(network):
    """A network with a seed and the configuration of the one in it."""
    from nengo_permadrop.targets.loihi.configuration import configure

    with own_network(0, network) as outer:
        configure(outer, outer.networks[0])
    return outer
