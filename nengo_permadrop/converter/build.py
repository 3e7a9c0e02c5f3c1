"""Making the Nengo objects of a Converter."""

import nengo
import numpy as np
from nengo.exceptions import ValidationError
from scipy import sparse

from nengo_permadrop.converter.dropouts import Dropout, Mask
from nengo_permadrop.dropout.gates import DropoutGate
from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.dropout.weights import plain_transform, stored
from nengo_permadrop.graph.dropouts import ALPHA, GAUSSIAN, alpha_terms
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.graph.graph import Activation, Affine, Drop
from nengo_permadrop.graph.linear import Source, Term, Value, combined
from nengo_permadrop.neurons.activations import activation_neurons
from nengo_permadrop.targets.base import add_constant
from nengo_permadrop.targets.registry import get_target

_NO_GATES = "Use redraw=None and a new simulator for each draw"


class NetworkBuilder:
    """Makes the Nengo objects of a converter, operation by operation."""

    def __init__(self, network):
        self.network = network
        self.graph = network.graph
        self.target = get_target(network.target)
        self.inputs, self.outputs = {}, {}
        self.dropouts = []
        self.off_chip = []
        self.other_curves = []  # layers of spiking neurons, trained for another target
        self._n_masks = 0
        self._values = {}  # of the graph's values, by index
        self._objects = {}  # value index -> Nengo object that holds it
        self._consumers = {}  # value index -> Nengo object that it goes into
        self._gating = self.target.gates and network.redraw is not None
        self._used_masks = {}  # source -> masks of its connections, if gates drop
        self._layer_inputs = {
            path: operations[0].inputs[0]
            for path, operations in self.graph.by_path().items()
        }

    def build(self):
        """Make all objects, inside the network's context."""
        for name, index in self.graph.inputs.items():
            node = nengo.Node(size_in=self.graph.size(index), label=name)
            self.inputs[name] = node
            source = Source(node, node.size_out, filtered=False, constant=True)
            self._values[index] = Value.of(source, self.graph.shapes[index])
            self._objects[index] = node
        for operation in self.graph.operations:
            values = [self._values[index] for index in operation.inputs]
            self._values[operation.output] = self._made(operation, values)
        for name, index in self.graph.outputs.items():
            self.outputs[name] = self._output(name, index)
        if self._gating:
            self._build_gates()

    def _made(self, operation, values):
        if isinstance(operation, Affine):
            shape = self.graph.shapes[operation.output]
            return combined(values, operation.matrices, operation.constant, shape)
        if isinstance(operation, Activation):
            return self._activate(operation, *values)
        if isinstance(operation, Drop):
            rate = operation.permanent_rate(self.network.dropout)
            return self._drop(operation, *values, rate) if rate > 0 else values[0]
        raise ConversionError(
            str(operation),
            f"is of a kind that can't be built ({type(operation).__name__})",
            "Write it with Affine, Activation and Drop operations",
        )

    def _activate(self, operation, value):
        """Neurons for an activation; gives the value of their output."""
        path = operation.path
        rate = self.network.firing_rates.get(path)  # None: it has learned its own
        neurons = activation_neurons(operation.kind, rate, **operation.parameters)
        other_curve = operation.parameters.get("curve", "nengo") != self.target.curve
        if other_curve and self.network.neurons == "spiking":
            self.other_curves.append(path)
        sources = [term.source for term in value.terms if not term.source.shift]
        driven = [not source.filtered for source in sources]  # by Nodes
        constant = all(term.source.constant for term in value.terms)
        size, shape = value.size, value.shape
        gain, bias = neurons.each(neurons.gain, size), neurons.each(neurons.bias, size)
        if neurons.per_unit > 1:  # all units' first neurons, then all second ones
            copies = sparse.vstack(
                [sparse.identity(size, format="csr")] * neurons.per_unit
            )
            value = value.transformed(copies.tocsr(), (copies.shape[0],))
        ensemble = nengo.Ensemble(
            value.size,
            dimensions=1,
            neuron_type=self._neuron_type(
                operation, neurons.neuron_type, driven, constant
            ),
            gain=gain,
            bias=bias + gain * value.constant,
            encoders=np.ones((value.size, 1)),
            eval_points=np.zeros((1, 1)),
            normalize_encoders=False,
            label=path,
        )
        if self.target.is_off_chip(driven):
            self.off_chip.append(ensemble)
        self._connect(value, ensemble.neurons, path)
        for index in (self._layer_inputs[path], operation.inputs[0]):
            self._consumers.setdefault(index, ensemble.neurons)
        self._objects[operation.output] = ensemble.neurons
        source = Source(ensemble.neurons, value.size, filtered=True)
        if neurons.per_unit == 1:
            return Value.of(source, shape, scale=neurons.scale)
        added = sparse.hstack([sparse.diags(each) for each in neurons.scales(size)])
        term = Term(source, added.tocsr())
        return Value(shape, (term,), np.full(size, float(neurons.offset)))

    def _drop(self, operation, value, rate):
        """Permanent dropout of a value's elements.

        Elements that are those of a source, or are sums of some of them each, are
        dropped where the source is connected from; a constant that is added to them, as
        by a BatchNormalization, comes from a Node then, whose elements are dropped with
        them. Others (sums of several sources) need a Node that holds them.
        """
        if operation.kind == ALPHA:
            return self._alpha_drop(operation, value, rate)
        if self._gating and operation.kind == GAUSSIAN:
            raise ConversionError(
                str(operation),
                "multiplies units by noise, and there masks are redrawn by silencing "
                "neurons, which can only drop them",
                _NO_GATES,
            )
        return self._masked(operation, value, rate)

    def _alpha_drop(self, operation, value, rate):
        """
        Dropout that puts another value in place of what is dropped.

        ``a (m x + (1 - m) s) + b`` is ``a (m (x - s) + s) + b``: plain dropout of what
        differs from that value, between two affine maps.
        """
        self.target.check_alpha_dropout(str(operation))
        s, a, b = alpha_terms(rate)
        ones = np.ones(value.size)
        dropped = self._masked(operation, value.shifted(-s * ones), rate)
        unscaled = a * (1.0 - rate) * sparse.identity(value.size, format="csr")
        return dropped.transformed(unscaled, value.shape).shifted((a * s + b) * ones)

    def _masked(self, operation, value, rate):
        shift = value.constant
        places = value.selections(shifted=not self._gating, several=True)
        if places is None:
            value, shift = self._materialised(operation, value), np.zeros(0)
            places = value.selections()
        groups = operation.groups
        if groups is None and sum(len(rows) for rows, _ in places) > value.size:
            groups = np.arange(value.size)  # of all neurons of a unit
        masks = []
        for term, (rows, columns) in zip(value.terms, places):
            mask = Mask(rows, columns, term.source.size, self._n_masks)
            if groups is not None:
                # one number, and so one seed: a group may have units of several
                mask.number -= len(masks)
                mask.groups = np.zeros(mask.size_in, dtype=np.int64)
                mask.groups[columns] = groups[rows]
            masks.append(mask)
            self._n_masks += 1
        dropout = Dropout(
            operation.path,
            rate,
            value.size,
            self.network.redraw,
            masks,
            operation.kind,
        )
        self.dropouts.append(dropout)
        masked = value.masked([(dropout, mask) for mask in masks])
        if shift.any():
            shifts = [self._shift(dropout, mask, shift) for mask in masks]
            masked = Value(masked.shape, (*masked.terms, *shifts), np.zeros(value.size))
        return masked

    def _shift(self, dropout, mask, shift):
        """What is added to the elements of a mask, which drops it with them."""
        # of several elements that a unit has, it comes with one
        rows, first = np.unique(mask.rows, return_index=True)
        columns = mask.columns[first]
        constant = np.zeros(mask.size_in)
        constant[columns] = shift[rows]
        node = nengo.Node(constant, label=f"{dropout.path}.shift")
        source = Source(node, mask.size_in, filtered=False, constant=True, shift=True)
        shape = shift.size, mask.size_in
        selected = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
        return Term(source, selected, (dropout, mask))

    def layer_objects(self):
        """The Nengo object of each layer, by path."""
        objects = {}
        for operation in reversed(self.graph.operations):
            value = self._values[operation.output]
            obj = self._objects.get(operation.output)
            if obj is None and len(value.terms) == 1 and _hands_on(value):
                obj = value.terms[0].source.obj
            if obj is None:
                obj = self._consumers.get(operation.output)
            for index in operation.inputs:
                self._consumers.setdefault(index, obj)
            objects.setdefault(operation.path, obj)
        return dict(reversed(list(objects.items())))

    def _neuron_type(self, operation, rate_type, driven, constant):
        if self.network.neurons == "rate":
            return rate_type
        try:
            if self.network.first_layer == "exact" and constant:
                return self.target.exact_neurons(rate_type)
            return self.target.spiking_neurons(rate_type, driven)
        except ValidationError as error:
            raise ConversionError(
                str(operation),
                f"has no spiking neurons on target {self.target.name!r} ({error})",
                "Use relu or SoftLIF",
            ) from error

    def _materialised(self, operation, value):
        """A value's elements as those of a passthrough Node."""
        self.target.check_passthrough_dropout(str(operation))
        node = nengo.Node(size_in=value.size, label=operation.path)
        self._connect(value, node, operation.path)
        add_constant(value.constant, node)
        constant = all(term.source.constant for term in value.terms)
        source = Source(node, value.size, filtered=False, constant=constant)
        return Value.of(source, value.shape)

    def _output(self, name, index):
        value = self._values[index]
        node = self.target.output_node(value.size, value.constant, name)
        self._connect(value, node, name)
        self._consumers.setdefault(index, node)
        return node

    def _connect(self, value, post, path):
        for term in value.terms:
            weights = stored(term.matrix, self.target.sparse_weights)
            dropout, mask = (None, None) if term.mask is None else term.mask
            if mask is None:
                transform = plain_transform(weights)
            elif self._gating:
                # dropped units are silent; those that are kept are scaled here
                transform = plain_transform(weights / (1.0 - dropout.rate))
            else:
                transform = PermanentDropout(
                    weights.shape,
                    init=weights,
                    rate=dropout.rate,
                    redraw=dropout.redraw,
                    groups=mask.groups,
                    noise=dropout.noise,
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

    def _build_gates(self):
        for source, used in self._used_masks.items():
            dropouts = [dropout for dropout, _ in used.values() if dropout is not None]
            if not dropouts:
                continue
            where = f"permanent dropout '{dropouts[0].path}'"
            if not source.filtered:
                raise ConversionError(
                    where,
                    "drops inputs, and there masks are redrawn by silencing neurons",
                    f"Drop the outputs of neurons only. {_NO_GATES}",
                )
            if len(used) > 1:
                raise ConversionError(
                    where,
                    "drops units of neurons that are also used with other masks or "
                    "without dropout, and there masks are redrawn by silencing them "
                    "for all that they connect to",
                    f"Use the dropout's output wherever its input is used. {_NO_GATES}",
                )
            ((dropout, mask),) = used.values()
            mask.gate = DropoutGate(
                source.obj,
                rate=dropout.rate,
                redraw=dropout.redraw,
                seed=0,  # the converter's reseed gives it the mask's
                synapse=self.network.synapse,
                label=f"{dropout.path} gate",
                groups=mask.groups,
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
