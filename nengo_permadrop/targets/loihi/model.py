"""
A network built for Loihi once, whose masks are rewritten for each draw.

nengo-loihi builds weights into integers, at a scale that depends on the largest weight
of all that go to a core: a mask that drops it changes all the others. So what is kept
of the build are the real-valued weights and neuron parameters; for each draw the masked
weights are put in their place, and nengo-loihi's own code makes integers of all. The
result is, bit for bit, what building the network with those masks gives.
"""

import nengo
import numpy as np
from nengo.builder.processes import SimProcess

from nengo_permadrop.dropout.builder import (
    RedrawMask,
    built_dropouts,
    warn_of_dimensions,
)
from nengo_permadrop.dropout.processes import MaskProcess
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.support.isolation import building
from nengo_permadrop.support.optional import require
from nengo_permadrop.targets.loihi.weights import ChipWeights, WeightsNotFound


class LoihiModel:
    """
    A built network that can take the masks of any replica.

    Parameters
    ----------
    network : `nengo.Network`
        The outermost one, with nengo-loihi's configuration, and with a seed.
    dt : float
        Time step, in seconds.
    validate : bool, optional
        Let nengo-loihi raise what doesn't fit on a core.
    reuse : bool, optional
        Rewrite the weights of one build where that is possible, instead of building
        again for each mask. The result is the same.

    Attributes
    ----------
    model : `nengo_loihi.builder.Model`
    reused : bool
        Whether there is one build for all masks. There is if dropout is in connections
        from neurons to neurons, or off the chip; nengo-loihi combines the weights of
        others with decoders and encoders.

    Raises
    ------
    nengo.exceptions.BuildError
        If nengo-loihi can't build the network.
    """

    def __init__(self, network, dt, validate=True, reuse=True):
        self.network = network
        self.validate = validate
        self.dt = float(dt)
        self.reused = False
        self.chip = None
        self._build(discretize=not reuse)
        self._seeds = {
            conn: self.model.seeds[conn]
            for conn in network.all_connections
            if isinstance(conn.transform, PermanentDropout)
        }
        for conn in self._seeds:  # nengo-loihi builds those on the chip itself
            warn_of_dimensions(conn)
        if reuse:
            try:
                self.chip = ChipWeights(self.model, self._parts)
                self.reused = True
            except WeightsNotFound:
                pass
        self._mask_seed = None
        self._host_weights = []
        self.write_masks(None)

    def write_masks(self, mask_seed):
        """
        Put the masks of a replica in the weights.

        Parameters
        ----------
        mask_seed : int or None
            As in `.backends.base.Replicas`; None writes the masks that the
            connections' own seeds give.
        """
        seeds = {
            conn: seed if mask_seed is None else derive_seed(seed, mask_seed)
            for conn, seed in self._seeds.items()
        }
        if self.reused:
            self.chip.write(seeds)
        else:
            self._build(discretize=True, seeds=seeds)
        self._mask_seed = mask_seed
        self._write_host_masks(seeds)

    def simulator(self, seed=0, **options):
        """
        A new simulator of the network, with the masks that were written last.

        Parameters
        ----------
        seed : int, optional
            Of processes.
        **options
            Passed to `nengo_loihi.Simulator`.

        Returns
        -------
        sim : `nengo_loihi.Simulator`
            The next one may be made, and other masks be written, when this is closed.
        """
        for probe in self.model.nengo_probes:
            self.model.params[probe].clear()
        for chip_input in self.model.inputs:
            chip_input.spikes.clear()
        # the emulator fills arrays of integers with NaN before it sets them
        with building(), np.errstate(invalid="ignore"):
            sim = require("nengo_loihi").Simulator(
                self.network,
                dt=self.dt,
                seed=seed,
                model=self.model,
                progress_bar=False,
                **options,
            )
        for host, host_sim in self.hosts(sim):
            for owner, signal, weights in self._host_weights:
                if owner is host:
                    host_sim.signals[signal][...] = weights
        return sim

    def hosts(self, sim):
        """
        What runs off the chip.

        Parameters
        ----------
        sim : `nengo_loihi.Simulator`
            From `simulator`.

        Returns
        -------
        hosts : list of (`nengo.builder.Model`, `nengo.Simulator`)
        """
        models = {"host_pre": self.model.host_pre, "host": self.model.host}
        return [(models[name], sim.sims[name]) for name in models if name in sim.sims]

    def _build(self, discretize, seeds=None):
        builder = require("nengo_loihi").builder
        self.model = builder.Model(dt=self.dt)
        # not written to the connections, which other threads' builds read
        self.model.seeds.update(seeds or {})
        self.model.seeded.update(dict.fromkeys(seeds or {}, True))
        if not self.validate:
            self.model.validation_level = builder.builder.ValidationLevel.NONE
        self._parts = {}
        seen = set()

        def note(obj):
            # what building a connection has added to the chip
            parts = [
                (synapse, position)
                for block in self.model.blocks
                for position, synapse in enumerate(block.synapses)
            ] + [(probe, probe) for probe in self.model.probes]
            new = [part for key, part in parts if key not in seen]
            seen.update(key for key, _ in parts)
            if isinstance(obj, nengo.Connection):
                self._parts[obj] = new

        self.model.build_callback = note
        with building():
            self.model.build(self.network, discretize=discretize)
        self.model.builder = _NothingToBuild
        hosts = (self.model.host_pre, self.model.host)
        self._host_dropouts = [
            (host, built) for host in hosts for built in built_dropouts(host)
        ]
        for _, built in self._host_dropouts:
            built.weights.readonly = False  # each replica writes its own
        operators = [op for host in hosts for op in host.operators]
        self._redraws = [op for op in operators if isinstance(op, RedrawMask)]
        self._gates = [
            (op, op.process)
            for op in operators
            if isinstance(op, SimProcess) and isinstance(op.process, MaskProcess)
        ]

    def _write_host_masks(self, seeds):
        self._host_weights = [
            (host, built.weights, built.redrawn(seeds[built.conn]))
            for host, built in self._host_dropouts
        ]
        for op in self._redraws:
            op.seed = seeds[op.built.conn]
        for op, process in self._gates:
            if self._mask_seed is not None:
                seed = derive_seed(process.seed, self._mask_seed)
                op.process = process.reseeded(seed)
            else:
                op.process = process


class _NothingToBuild:
    """
    The builder of a model that has been built.

    nengo-loihi's simulator builds its network also into such a model. Nengo's builder
    would do nothing either, but warn; and to ignore a warning is to change the filters
    of the process, in a way that threads can't do at once.
    """

    @staticmethod
    def build(model, obj, *args, **kwargs):
        """As `nengo.builder.Builder.build`."""
