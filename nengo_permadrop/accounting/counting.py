"""
Counting spikes and synaptic events in a run of a converted network.

The network counts on its own: each layer is also connected to a Node, by a connection
whose weights are the number of synapses of each neuron. A second one has the dropout
and the seed of the connections that are counted, and so their masks, redraws included.
So every backend counts, and the spikes are those that `nengo_permadrop.sample` sees for
the same seed. (On Loihi the host sees a spike one step late, so those of the last step
are not counted.)
"""

from dataclasses import dataclass

import nengo
import numpy as np
from nengo.exceptions import ValidationError
from nengo.transforms import SparseMatrix

from nengo_permadrop.dropout.masks import BERNOULLI
from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.dropout.weights import is_sparse
from nengo_permadrop.sampling.sampler import Sampler
from nengo_permadrop.support.isolation import copied, outside_networks
from nengo_permadrop.targets.registry import get_target

_OUTPUT = "counts"


@dataclass(frozen=True)
class LayerCounts:
    """
    What the neurons of one layer do in a presentation.

    Attributes
    ----------
    layer : str
        As in ``Converter.layers``.
    neurons : int
    off_chip : bool
        Whether its neurons are computed off the chip (the first layer on Loihi).
    updates : float
        Updates of its neurons, one per neuron and time step.
    spikes : float
        Spikes, mean over draws and observations.
    events : float
        Synaptic events: spikes times the synapses (weights that aren't 0) that they
        reach. Dropped units reach none.
    dropped_events : float
        Events that the spikes of dropped units would have been. 0 where a gate drops
        (see `.networks.DropoutGate`): it silences them.
    """

    layer: str
    neurons: int
    off_chip: bool
    updates: float
    spikes: float
    events: float
    dropped_events: float

    def plus(self, other, factor=1.0):
        """The counts of this and ``factor`` times another part of a presentation."""
        return LayerCounts(
            self.layer,
            self.neurons,
            self.off_chip,
            *(
                getattr(self, name) + factor * getattr(other, name)
                for name in ("updates", "spikes", "events", "dropped_events")
            ),
        )


@dataclass(frozen=True)
class InputCounts:
    """
    Products of observations and weights, which are computed off the chip.

    An observation is constant, so its currents are computed before a presentation.

    Attributes
    ----------
    shared_macs, macs : int
        Multiply-accumulates once an observation, and (if input is dropped) for each
        draw.
    """

    shared_macs: int
    macs: int


class CountingNetwork:
    """
    A copy of a converted network that counts.

    Parameters
    ----------
    conv : `.Converter`
        With spiking neurons.
    dt : float
        Time step that it will run with, in seconds.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it has no spiking neurons, or drops values that no neuron sends.
    """

    def __init__(self, conv, dt):
        _check(conv)
        self.conv = copied(conv)
        self.dt = dt
        self.input_counts = self._input_counts()
        self.ensembles = list(self.conv.all_ensembles)
        groups = self._groups()
        with outside_networks(), self.conv:
            # with a seed, so that it takes none from what is there already
            with nengo.Network(label="counters", seed=0):
                self._lay_counters(groups)

    def count(self, X, start, stop, **options):
        """
        Run presentations, and count in a part of them.

        Parameters
        ----------
        X : optional
            Observations, as in `.sample`.
        start, stop : float
            The part that is counted, in seconds.
        **options
            Passed to `.sample`.

        Returns
        -------
        counts : list of `LayerCounts`
            Means over draws and observations.
        """
        where = {
            name: options.pop(name)
            for name in ("executor", "progress", "max_memory")
            if name in options
        }
        with Sampler(
            self.conv,
            output=_OUTPUT,
            presentation_time=stop,
            settle=start,
            dt=self.dt,
            from_onset=start == 0,  # it is counted, too
            compared=False,
            **options,
        ) as sampler:
            samples = sampler.draw(X, **where)
        n_steps = int(round(stop / self.dt)) - int(round(start / self.dt))
        # what was counted are whole numbers; backends compute in single precision
        totals = np.rint(samples.values * n_steps).mean(axis=(0, 1))
        counts = []
        for ensemble, places in zip(self.ensembles, self._places):
            events = totals[places["events"]].sum()
            counts.append(
                LayerCounts(
                    layer=self._name(ensemble),
                    neurons=ensemble.n_neurons,
                    off_chip=ensemble in self.conv.off_chip,
                    updates=float(ensemble.n_neurons * n_steps),
                    spikes=float(totals[places["spikes"]]),
                    events=float(events),
                    dropped_events=float(totals[places["sent"]] - events),
                )
            )
        return counts

    def _groups(self):
        """By ensemble: ``(mask or None, synapses of each neuron)`` of its connections.

        Connections with one mask are counted together.
        """
        masks = {
            conn: (dropout, mask)
            for dropout in self.conv.dropouts
            for mask in dropout.masks
            for conn in mask.connections
            # not if a gate drops; and noise lets all spikes pass
            if isinstance(conn.transform, PermanentDropout)
            and conn.transform.noise == BERNOULLI
        }
        groups = {ensemble: {} for ensemble in self.ensembles}
        for conn in self.conv.all_connections:
            if isinstance(conn.pre_obj, nengo.ensemble.Neurons):
                found = groups[conn.pre_obj.ensemble]
                key = masks.get(conn)
                found[key] = found.get(key, 0) + synapses(conn)
        return groups

    def _lay_counters(self, groups):
        self._places = []
        rows, size = [], 0
        for ensemble in self.ensembles:
            n, found = ensemble.n_neurons, groups[ensemble]
            sent = np.sum([np.zeros(n), *found.values()], axis=0)
            plain = [np.ones(n), sent, found.pop(None, np.zeros(n))]
            events = range(size + 2, size + 3 + len(found))
            self._places.append(
                {"spikes": size, "sent": size + 1, "events": list(events)}
            )
            # a spike is amplitude / dt, for one step
            unit = self.dt / getattr(ensemble.neuron_type, "amplitude", 1.0)
            rows.append((ensemble, size, unit * np.array(plain), None))
            size += 3
            for key, count in found.items():
                kept = unit * (1.0 - key[0].rate)  # what is kept is scaled
                rows.append((ensemble, size, kept * count[np.newaxis], key))
                size += 1
        node = self._node(size)
        for ensemble, start, weights, key in rows:
            self._connect(ensemble, node[start : start + len(weights)], weights, key)
        self.conv.outputs[_OUTPUT] = node

    def _node(self, size):
        return get_target(self.conv.target).output_node(size, np.zeros(size), _OUTPUT)

    @staticmethod
    def _connect(ensemble, post, weights, key):
        transform = nengo.Dense(weights.shape, init=weights)
        if key is not None:
            dropout, mask = key
            transform = PermanentDropout(
                weights.shape,
                init=weights,
                rate=dropout.rate,
                redraw=dropout.redraw,
                groups=mask.groups,
            )
        conn = nengo.Connection(
            ensemble.neurons, post, transform=transform, synapse=None, seed=0
        )
        if key is not None:
            mask.connections.append(conn)  # it is given the mask's seed with the others

    def _input_counts(self):
        inputs = set(self.conv.inputs.values())
        macs = {True: 0, False: 0}
        for conn in self.conv.all_connections:
            if conn.pre_obj in inputs:
                drops = isinstance(conn.transform, PermanentDropout)
                macs[drops] += int(synapses(conn).sum())
        return InputCounts(macs[False], macs[True])

    def _name(self, ensemble):
        for dropout in self.conv.dropouts:
            for mask in dropout.masks:
                if mask.gate is not None and ensemble in mask.gate.ensembles:
                    return f"{dropout.path} {ensemble.label}"
        return ensemble.label


def synapses(conn):
    """
    How many synapses each neuron has in a connection: weights that are not 0.

    Parameters
    ----------
    conn : `nengo.Connection`
        With a dense or sparse transform of given weights.

    Returns
    -------
    synapses : (size_in,) ndarray of int
    """
    transform = conn.transform
    if isinstance(transform, PermanentDropout):
        weights = transform.init.sample_base(*transform.shape)
    else:
        weights = transform.sample()
    if isinstance(weights, SparseMatrix):
        weights = weights.allocate()
    if is_sparse(weights):
        return np.bincount(weights.indices[weights.data != 0], minlength=conn.size_in)
    weights = np.asarray(weights)
    if weights.ndim < 2:  # a diagonal
        return np.broadcast_to(weights != 0, (conn.size_in,)).astype(int)
    return np.count_nonzero(weights, axis=0)


def _check(conv):
    if not hasattr(conv, "graph") or not isinstance(conv, nengo.Network):
        raise ValidationError(
            f"must be a Converter, got {type(conv).__name__}; convert a model "
            "with nengo_permadrop.Converter",
            attr="conv",
        )
    if conv.neurons != "spiking":
        raise ValidationError(
            "has rate neurons, which send no spikes to count; make it with "
            "neurons='spiking'",
            attr="conv",
            obj=conv,
        )
    if len(conv.copies) > 1:
        raise ValidationError(
            f"holds {len(conv.copies)} copies of a network, each of which would be "
            "counted for every draw; give a converter with copies=1: the same draws "
            "take as many presentations of it, and as much energy",
            attr="conv",
            obj=conv,
        )
    inputs = set(conv.inputs.values())
    reached = {conn.post_obj for conn in conv.all_connections}
    for conn in conv.all_connections:
        if conn.pre_obj in reached - inputs and isinstance(conn.pre_obj, nengo.Node):
            raise ValidationError(
                f"drops values that are not the outputs of neurons (layer "
                f"'{conn.pre_obj.label}'), so that they are no spikes to count; drop "
                "the outputs of an activation, before they are added or shifted",
                attr="conv",
                obj=conv,
            )
