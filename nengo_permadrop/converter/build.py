"""Making the Nengo objects of a Converter."""

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.converter.dropouts import Dropout, Mask
from nengo_permadrop.dropout.gates import DropoutGate
from nengo_permadrop.dropout.nodes import Shift
from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.graph.linear import Source, Value, dense
from nengo_permadrop.neurons.loihi import host_spiking
from nengo_permadrop.neurons.spiking import spiking
from nengo_permadrop.sources.keras.convert import convert_call, describe
from nengo_permadrop.targets.loihi.phase import with_random_phase

DEFAULT_FIRING_RATE = 100.0


class NetworkBuilder:
    """Makes the Nengo objects of a converter, layer by layer.

    Converters of layers use `activate`, `drop`, `graph` and `dropout`.
    """

    def __init__(self, network):
        self.network = network
        self.graph = network.graph
        self.dropout = network.dropout
        self.inputs, self.outputs = {}, {}
        self.dropouts = []
        self.off_chip = []
        self.other_curves = []  # layers of spiking neurons, trained for another target
        self._n_masks = 0
        self._values = {}  # of the graph's values, by index
        self._objects = {}  # value index -> Nengo object that holds it
        self._consumers = {}  # value index -> Nengo object that it goes into
        self._scaled = False
        # on Loihi the weights of a running network can't change
        self._gating = network.target == "loihi" and network.redraw is not None
        self._used_masks = {}  # source -> masks of its connections, if gates drop

    def build(self):
        """Make all objects, inside the network's context."""
        for name, index in self.graph.inputs.items():
            node = nengo.Node(size_in=self.graph.size(index), label=name)
            self.inputs[name] = node
            source = Source(node, node.size_out, filtered=False)
            self._values[index] = Value.of(source, self.graph.shapes[index])
            self._objects[index] = node
        for call in self.graph.calls:
            values = [self._values[index] for index in call.inputs]
            self._values[call.output] = convert_call(self, call, values)
        for name, index in self.graph.outputs.items():
            self.outputs[name] = self._output(name, index)
        if self._gating:
            self._lay_gates()
        if self.network.scale_firing_rates is not None and not self._scaled:
            raise ConversionError(
                "scale_firing_rates",
                "no layer of the model is relu, sigmoid or tanh",
                "Set amplitude and gain of the SoftLIF layers, before training",
            )

    def activate(self, call, value, activation):
        """Neurons for an activation.

        Parameters
        ----------
        call : `.LayerCall`
        value : `.Value`
            What the layer's nonlinearity is applied to.
        activation : callable
            From `.activations.ACTIVATIONS`.

        Returns
        -------
        value : `.Value`
            The neurons' output.
        """
        rate = self.network.scale_firing_rates or DEFAULT_FIRING_RATE
        neurons = activation(call.spec.config, rate)
        self._scaled |= neurons.scalable
        other_curve = call.spec.config.get("target", "nengo") != self.network.target
        if other_curve and self.network.neurons == "spiking":
            self.other_curves.append(call.path)
        driven = [not term.source.filtered for term in value.terms]  # by Nodes
        ensemble = nengo.Ensemble(
            value.size,
            dimensions=1,
            neuron_type=self._neuron_type(call, neurons.neuron_type, driven),
            gain=np.full(value.size, neurons.gain),
            bias=neurons.bias + neurons.gain * value.constant,
            encoders=np.ones((value.size, 1)),
            eval_points=np.zeros((1, 1)),
            normalize_encoders=False,
            label=call.path,
        )
        if any(driven):  # on Loihi it is computed off the chip
            self.off_chip.append(ensemble)
        self._connect(value, ensemble.neurons, call.path)
        self._consumers.setdefault(call.inputs[0], ensemble.neurons)
        self._objects[call.output] = ensemble.neurons
        source = Source(ensemble.neurons, value.size, filtered=True)
        return Value.of(source, self.graph.shapes[call.output], scale=neurons.scale)

    def drop(self, call, value, rate):
        """Permanent dropout of a value's elements.

        Elements that are those of a source are dropped where the source is connected
        from. Others (sums, normalised values) need a Node that holds them.
        """
        places = value.selections()
        if places is None:
            value = self._materialised(call, value)
            places = value.selections()
        masks = []
        for term, (rows, columns) in zip(value.terms, places):
            masks.append(Mask(rows, columns, term.source.size, self._n_masks))
            self._n_masks += 1
        dropout = Dropout(call.path, rate, value.size, self.network.redraw, masks)
        self.dropouts.append(dropout)
        return value.masked([(dropout, mask) for mask in masks])

    def layer_objects(self):
        """The Nengo object of each call, by path."""
        objects = {}
        for call in reversed(self.graph.calls):
            value = self._values[call.output]
            obj = self._objects.get(call.output)
            if obj is None and len(value.terms) == 1 and _hands_on(value):
                obj = value.terms[0].source.obj
            if obj is None:
                obj = self._consumers.get(call.output)
            for index in call.inputs:
                self._consumers.setdefault(index, obj)
            objects[call.path] = obj
        return dict(reversed(list(objects.items())))

    def _neuron_type(self, call, rate_type, driven):
        if self.network.neurons == "rate":
            return rate_type
        off_chip = self.network.target == "loihi" and any(driven)
        if off_chip and all(driven):
            neuron_type = host_spiking(rate_type)
            if neuron_type is not None:
                return neuron_type
        try:
            neuron_type = spiking(rate_type, target=self.network.target)
        except ValidationError as error:
            raise ConversionError(
                describe(call),
                f"has no spiking neurons on target {self.network.target!r} ({error})",
                "Use relu or SoftLIF",
            ) from error
        return with_random_phase(neuron_type) if off_chip else neuron_type

    def _materialised(self, call, value):
        """A value's elements as those of a passthrough Node."""
        if self.network.target == "loihi":
            raise ConversionError(
                describe(call),
                "drops values that are not the outputs of neurons (but sums, or "
                "shifted or linear ones), which takes a passthrough Node, and those "
                "can't drop on Loihi",
                "Drop the outputs of an activation, before they are added or shifted",
            )
        node = nengo.Node(size_in=value.size, label=call.path)
        self._connect(value, node, call.path)
        self._add_constant(value.constant, node)
        return Value.of(Source(node, value.size, filtered=False), value.shape)

    def _output(self, name, index):
        value = self._values[index]
        if self.network.target == "loihi":
            # a Node with a function: nengo-loihi removes passthrough Nodes, and the
            # connections that it makes in their place can't drop
            node = nengo.Node(Shift(value.constant), size_in=value.size, label=name)
        else:
            node = nengo.Node(size_in=value.size, label=name)
            self._add_constant(value.constant, node)
        self._connect(value, node, name)
        self._consumers.setdefault(index, node)
        return node

    @staticmethod
    def _add_constant(constant, node):
        if constant.any():
            bias = nengo.Node(constant, label=f"{node.label}.bias")
            nengo.Connection(bias, node, synapse=None)

    def _connect(self, value, post, path):
        for term in value.terms:
            weights = dense(term.matrix)
            dropout, mask = (None, None) if term.mask is None else term.mask
            if mask is None:
                transform = nengo.Dense(weights.shape, init=weights)
            elif self._gating:
                # dropped units are silent; those that are kept are scaled here
                weights = weights / (1.0 - dropout.rate)
                transform = nengo.Dense(weights.shape, init=weights)
            else:
                transform = PermanentDropout(
                    weights.shape,
                    init=weights,
                    rate=dropout.rate,
                    redraw=dropout.redraw,
                )
            conn = nengo.Connection(
                term.source.obj,
                post,
                transform=transform,
                synapse=self.network.synapse if term.source.filtered else None,
                label=f"{_label(term.source.obj)} to {path}",
            )
            if mask is not None:
                mask.connections.append(conn)
            self._used_masks.setdefault(term.source, {})[id(mask)] = (dropout, mask)

    def _lay_gates(self):
        for source, used in self._used_masks.items():
            dropouts = [dropout for dropout, _ in used.values() if dropout is not None]
            if not dropouts:
                continue
            where = f"permanent dropout '{dropouts[0].path}'"
            mend = "Use redraw=None and a new simulator for each draw"
            if not source.filtered:
                raise ConversionError(
                    where,
                    "drops inputs, and on Loihi masks are redrawn by silencing neurons",
                    f"Drop the outputs of neurons only. {mend}",
                )
            if len(used) > 1:
                raise ConversionError(
                    where,
                    "drops units of neurons that are also used with other masks or "
                    "without dropout, and on Loihi masks are redrawn by silencing them "
                    "for all that they connect to",
                    f"Use the dropout's output wherever its input is used. {mend}",
                )
            ((dropout, mask),) = used.values()
            mask.gate = DropoutGate(
                source.obj,
                rate=dropout.rate,
                redraw=dropout.redraw,
                seed=0,  # the converter's reseed gives it the mask's
                synapse=self.network.synapse,
                label=f"{dropout.path} gate",
            )
            self.off_chip.extend(mask.gate.ensembles)


def _hands_on(value):
    """Whether a value's elements are those of its only source, in any order."""
    term = value.terms[0]
    unmasked = Value(
        value.shape, (type(term)(term.source, term.matrix),), value.constant
    )
    return unmasked.selections() is not None


def _label(obj):
    return obj.ensemble.label if isinstance(obj, nengo.ensemble.Neurons) else obj.label
