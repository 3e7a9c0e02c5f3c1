"""The weights on a chip, and what dropout makes of them."""

import copy

import nengo
import numpy as np

from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.support.optional import require


class WeightsNotFound(Exception):
    """The weights of a dropout connection can't be told from what is on the chip."""


class ChipWeights:
    """
    The real-valued weights of a model that nengo-loihi has built, with any masks.

    Parameters
    ----------
    model : `nengo_loihi.builder.Model`
        Built, but not discretised.
    parts : dict
        What each `nengo.Connection` was built into, before blocks were split: the
        positions of its synapses among those of their block, and its probes.

    Raises
    ------
    WeightsNotFound
        If a dropout connection has weights on the chip that are not a function of its
        transform alone.
    """

    def __init__(self, model, parts):
        self.model = model
        self._blocks = [_Block(block) for block in model.blocks]
        self._probes = [(p, [_copied(w) for w in p.weights]) for p in model.probes]
        blocks = {block.block: block for block in self._blocks}
        self._dropouts = [
            _dropout(model, conn, conn_parts, blocks)
            for conn, conn_parts in parts.items()
            if isinstance(conn.transform, PermanentDropout) and conn_parts
        ]
        for dropout in self._dropouts:
            dropout.check(model.seeds[dropout.conn])

    def write(self, seeds):
        """
        Put masked weights on the chip, as integers.

        Parameters
        ----------
        seeds : {`nengo.Connection`: int}
            Seeds of the dropout connections.
        """
        for block in self._blocks:
            block.restore()
        for probe, weights in self._probes:
            probe.weights = [_copied(w) for w in weights]
        for dropout in self._dropouts:
            dropout.write(seeds[dropout.conn])
        require("nengo_loihi").builder.discretize.discretize_model(self.model)
        for block in self._blocks:
            block.split_rows()


class _Block:
    """
    The real-valued parameters of what goes to one core.

    nengo-loihi keeps the weights of an axon as a row of their own, and makes integers
    of one row after the other. Rows of one length are put together here, as one axon
    with several populations, so that this takes one call.
    """

    def __init__(self, block):
        self.block = block
        self.compartment = copy.deepcopy(block.compartment)
        self.synapses = [_Synapse(synapse) for synapse in block.synapses]

    def restore(self):
        self.block.compartment = copy.deepcopy(self.compartment)
        for synapse in self.synapses:
            synapse.restore()

    def split_rows(self):
        for synapse in self.synapses:
            synapse.split_rows()


class _Synapse:
    def __init__(self, synapse):
        self.synapse = synapse
        rows = [synapse.axon_weight_idx(i) for i in range(synapse.n_axons)]
        self.weights = [synapse.weights[row] for row in rows]
        self.indices = [synapse.indices[row] for row in rows]
        bases = synapse.axon_compartment_bases
        self.dense = (
            synapse.pop_type == 0
            and (bases is None or not np.any(bases))
            and all(np.array_equal(i, self.indices[0]) for i in self.indices)
        )
        if self.dense:
            self.weights = np.vstack(self.weights)
            if synapse.axon_to_weight_map is not None:
                # after a split, axons of equal weights share them: not with every mask
                synapse.axon_to_weight_map = np.arange(synapse.n_axons)
        else:
            self.weights = list(synapse.weights)

    def restore(self):
        if self.dense:
            self.put(self.weights)
        else:
            self.synapse.weights = [w.copy() for w in self.weights]

    def put(self, weights):
        self.synapse.weights = [np.array(weights, dtype=np.float32)]
        self.synapse.indices = self.indices[:1]

    def split_rows(self):
        if self.dense:
            weights = self.synapse.weights[0]
            self.synapse.weights = [weights[i : i + 1] for i in range(len(weights))]
            self.synapse.indices = self.indices


class _SynapseDropout:
    """Dropout in the synapses of a connection to neurons on the chip."""

    def __init__(self, model, conn, position, blocks):
        self.conn = conn
        self.model = model
        self.places = []  # (synapse, compartments)
        for block in model.objs[conn.post_obj]["in"]:
            compartments = list(model.block_comp_map[block])
            self.places.append((blocks[block].synapses[position], compartments))
        if not all(synapse.dense for synapse, _ in self.places):
            raise WeightsNotFound()

    def real_weights(self, seed):
        # as nengo_loihi.builder.connection.build_full_chip_connection makes them
        scale = require("nengo_loihi").builder.sparse_matrix.scale_matrix
        weights = scale(_sampled(self.conn, seed), 1.0 / self.model.dt)
        neuron_type = self.conn.pre_obj.ensemble.neuron_type
        if hasattr(neuron_type, "amplitude"):
            weights = scale(weights, neuron_type.amplitude)
        weights = weights.astype(nengo.rc.float_dtype).T
        return scale(weights, self.model.params[self.conn.post_obj.ensemble].gain)

    def write(self, seed):
        weights = self.real_weights(seed)
        for synapse, compartments in self.places:
            synapse.put(weights[:, compartments])

    def check(self, seed):
        weights = self.real_weights(seed).astype(np.float32)
        for synapse, compartments in self.places:
            if not np.array_equal(synapse.weights, weights[:, compartments]):
                raise WeightsNotFound()


class _ProbeDropout:
    """Dropout in what the host makes of the spikes of neurons on the chip."""

    def __init__(self, model, conn, probe):
        self.conn = conn
        self.model = model
        self.probe = probe
        self.neurons = [list(model.block_comp_map[block]) for block in probe.target]

    def real_weights(self, seed):
        # as nengo_loihi.builder.probe.signal_probe makes them
        weights = _sampled(self.conn, seed).T / self.model.dt
        neuron_type = self.conn.pre_obj.ensemble.neuron_type
        if hasattr(neuron_type, "amplitude"):
            weights = weights * neuron_type.amplitude
        return [weights[neurons] for neurons in self.neurons]

    def write(self, seed):
        self.probe.weights = self.real_weights(seed)

    def check(self, seed):
        for ours, theirs in zip(self.real_weights(seed), self.probe.weights):
            if not np.array_equal(ours, theirs):
                raise WeightsNotFound()


def _dropout(model, conn, parts, blocks):
    whole = conn.pre_slice == conn.post_slice == slice(None)
    if len(parts) == 1 and whole and isinstance(conn.pre_obj, nengo.ensemble.Neurons):
        if not isinstance(parts[0], int):
            return _ProbeDropout(model, conn, parts[0])
        if isinstance(conn.post_obj, nengo.ensemble.Neurons):
            return _SynapseDropout(model, conn, parts[0], blocks)
    raise WeightsNotFound()


def _sampled(conn, seed):
    return conn.transform.sample(rng=np.random.RandomState(seed))


def _copied(weights):
    return None if weights is None else np.array(weights)
