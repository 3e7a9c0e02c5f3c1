"""The layers and outputs of a converter: their currents measured and corrected."""

from dataclasses import dataclass

import nengo
import numpy as np

from nengo_permadrop.batched.simulator import Simulator
from nengo_permadrop.dropout.nodes import Shift
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.dropout.weights import plain_transform, scaled_rows
from nengo_permadrop.support.isolation import building, outside_networks, own_network

_REPLICAS = 2000  # simulated at a time
_STATES = 1  # place of the initial states' seeds in those of a calibration


@dataclass(frozen=True)
class Part:
    """
    An ensemble or output, by what finds it in each conversion of a graph.

    Attributes
    ----------
    name : str
        Path of the layer, or name of the output.
    number : int or None
        Place among the ensembles; None for an output.
    """

    name: str
    number: int

    def of(self, conv):
        """The ensemble, or the output's Node, of a `.Converter`."""
        if self.number is None:
            return conv.outputs[self.name]
        return conv.all_ensembles[self.number]

    def probe(self, conv):
        """A `nengo.Probe` of its current: what the neurons get, or the output."""
        if self.number is None:
            return nengo.Probe(self.of(conv))
        return nengo.Probe(self.of(conv).neurons, "input")


def find_levels(conv):
    """
    Ensembles and outputs, in lists of those that can be corrected together.

    Parameters
    ----------
    conv : `.Converter`

    Returns
    -------
    levels : list of list of `Part`
        By the number of layers of neurons before them; the outputs are the last.
        Ensembles that only Nodes drive are left out: their currents are right.
    """
    depths = _depths(conv)
    levels = {}
    for number, ensemble in enumerate(conv.all_ensembles):
        depth = depths.get(ensemble, 0)
        if depth > 0:
            levels.setdefault(depth, []).append(Part(ensemble.label, number))
    ordered = [levels[key] for key in sorted(levels)]
    return [*ordered, [Part(name, None) for name in conv.outputs]]


def _depths(network):
    """How many layers of neurons come before each ensemble and Node, at the most.

    Those that nothing is connected to are left out. Not by recursion, as a network may
    be deeper than Python's stack.
    """
    outgoing, missing = {}, {}  # connections from, and number of those yet to come in
    for conn in network.all_connections:
        pre, post = _owner(conn.pre_obj), _owner(conn.post_obj)
        outgoing.setdefault(pre, []).append(post)
        missing[post] = missing.get(post, 0) + 1
    depths = {}
    ready = [pre for pre in outgoing if pre not in missing]
    while ready:
        pre = ready.pop()
        for post in outgoing.get(pre, ()):
            depth = depths.get(pre, 0) + isinstance(pre, nengo.Ensemble)
            depths[post] = max(depths.get(post, 0), depth)
            missing[post] -= 1
            if missing[post] == 0:
                ready.append(post)
    return depths


def _owner(obj):
    return obj.ensemble if isinstance(obj, nengo.ensemble.Neurons) else obj


def mean_currents(conv, parts, X, options, time, settle):
    """
    The currents of parts, averaged over what is read of a presentation.

    Parameters
    ----------
    conv : `.Converter`
        Its masks and initial states follow from ``options["seed"]``; two conversions of
        one graph have the same masks if they were made with the same seed.
    parts : list of `Part`
        What isn't needed for them isn't simulated.
    X : list of (n_observations, size) ndarray
    options : dict
        "n_draws", "seed" and "dt".
    time, settle : float
        The presentation, in seconds.

    Returns
    -------
    currents : {`Part`: (n_draws, n_observations, n) ndarray}
    """
    n, n_draws, seed = len(X[0]), options["n_draws"], options["seed"]
    at_once = max(1, _REPLICAS // n)
    with own_network(0, conv) as net:
        probes = [part.probe(conv) for part in parts]
    nodes = list(conv.inputs.values())
    found = {part: [] for part in parts}
    with building():
        sim = Simulator(
            net,
            n_replicas=1,
            dt=options["dt"],
            seed=0,
            progress_bar=False,
            inputs={node: x[:1] for node, x in zip(nodes, X)},
        )
    with sim:
        for first in range(0, n_draws, at_once):
            draws = np.arange(first, min(first + at_once, n_draws))
            seeds = derive_seed(
                seed, np.repeat(draws, n), np.tile(np.arange(n), len(draws))
            )
            sim.reset(
                n_replicas=seeds.size,
                mask_seeds=seeds,
                state_seeds=derive_seed(seeds, _STATES),
                inputs={node: np.tile(x, (len(draws), 1)) for node, x in zip(nodes, X)},
            )
            means = sim.run_mean(time, probes, settle)
            for part, mean in zip(parts, means):
                found[part].append(mean.reshape(len(draws), n, -1))
    return {part: np.concatenate(chunks) for part, chunks in found.items()}


def correct(conv, part, gain, bias):
    """
    Make a part's current ``gain * current + bias``, in place.

    Parameters
    ----------
    conv : `.Converter`
    part : `Part`
    gain, bias : (n,) ndarray
    """
    obj = part.of(conv)
    if part.number is not None:
        obj.gain = gain * obj.gain
        obj.bias = gain * obj.bias + bias
        return
    constant = None
    for conn in conv.all_connections:
        if conn.post_obj is not obj:
            continue
        # a constant that is dropped with neurons' outputs is one of what is scaled
        dropped = isinstance(conn.transform, PermanentDropout)
        of_node = isinstance(conn.pre_obj, nengo.Node) and conn.pre_obj.size_in == 0
        if of_node and not dropped:
            constant = conn.pre_obj
        else:
            conn.transform = _scaled(conn.transform, gain)
    if isinstance(obj.output, Shift):
        obj.output = Shift(gain * obj.output.constant + bias)
    elif constant is not None:
        constant.output = gain * constant.output + bias
    else:
        with outside_networks(), conv:
            constant = nengo.Node(bias, label=f"{obj.label}.bias")
            nengo.Connection(constant, obj, synapse=None)


def _scaled(transform, gain):
    """A transform with its rows scaled, and its dropout if it has one."""
    if isinstance(transform, PermanentDropout):
        return transform.replaced(init=scaled_rows(transform.init.base, gain))
    return plain_transform(scaled_rows(transform.init, gain))
