"""
A mean-field model of a converted network: its mean answers, without simulating it.

Each ensemble's mean output follows from the mean current that it gets and the size of
the noise on it (`.curves`), each current from the mean outputs before it: one pass
through the layers, for any rows and masks. The same pass through a network of rate
neurons gives the classical answers. The passes can be differentiated, by weights and
biases.
"""

from dataclasses import dataclass, field
from typing import Any

import nengo
import numpy as np
from nengo.exceptions import ValidationError
from scipy import sparse

from nengo_permadrop.converter.meanfield.curves import Curve
from nengo_permadrop.converter.meanfield.noise import SpikeNoise
from nengo_permadrop.converter.meanfield.products import sampled_product
from nengo_permadrop.converter.timing import holder
from nengo_permadrop.dropout.masks import BERNOULLI, scale_factors
from nengo_permadrop.dropout.nodes import Shift
from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.dropout.weights import is_sparse, squared, with_data


@dataclass(eq=False)
class Edge:
    """
    A connection.

    Attributes
    ----------
    conn : `nengo.Connection`
    pre : Nengo object
        Ensemble or Node.
    weights : (size_out, size_in) ndarray or csr_matrix
        Without dropout.
    mask : int or None
        Place among the masks.
    """

    conn: nengo.Connection
    pre: object
    weights: Any
    mask: int = None

    @property
    def values(self):
        """The weights that can be others: all, or those of a sparse matrix."""
        return self.weights.data if is_sparse(self.weights) else self.weights

    @values.setter
    def values(self, values):
        if is_sparse(self.weights):
            values = with_data(self.weights, values)
        self.weights = values

    def gradient(self, received, sent):
        """
        The derivative of a loss by `values`.

        Parameters
        ----------
        received : (n, size_out) ndarray
            Its derivative by what is received.
        sent : (n, size_in) ndarray
            What is sent.

        Returns
        -------
        gradient : ndarray
            Of the shape of `values`.
        """
        if not is_sparse(self.weights):
            return received.T @ sent
        places = self.weights.indptr, self.weights.indices
        return sampled_product(received.T.copy(), sent.T.copy(), *places)


@dataclass(eq=False)
class Layer:
    """
    An ensemble, or a Node that adds up what it gets.

    Attributes
    ----------
    obj : `nengo.Ensemble` or `nengo.Node`
    edges : list of `Edge`
    gain, bias : (size,) ndarray
        From the sum of what it gets to its current; 1 and a constant for Nodes.
    curve : `.Curve` or None
        None for Nodes.
    constant : `nengo.Node` or None
        What adds ``bias`` to a Node.
    """

    obj: object
    edges: list = field(default_factory=list)
    gain: np.ndarray = None
    bias: np.ndarray = None
    curve: Curve = None
    constant: nengo.Node = None


class MeanField:
    """
    The mean answers of a `.Converter`.

    Parameters
    ----------
    conv : `.Converter`
        As it is now: later corrections of it are not seen. Its own copies aren't part
        of the model.
    dt : float, optional
        Time step, in seconds.
    gates : bool, optional
        Take networks whose masks are redrawn by gates, too: as if these silenced at
        once what they drop. The weights of edges are then not those of connections.

    Attributes
    ----------
    layers : list of `Layer`
        In the order in which values flow.
    mask_sizes : list of (int, float)
        Size and dropout rate of each mask.
    mask_kinds : list of (str, ndarray or None, int)
        Noise, groups and number of each mask: those of one number share groups.
    constants : {`nengo.Node`: ndarray}
        What Nodes give that always give the same, and whose elements are dropped.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the network has Nodes or connections that a Converter doesn't make, or gates.
    """

    def __init__(self, conv, dt=0.001, gates=False):
        self.dt = dt
        self.inputs = list(conv.inputs.values())
        self.outputs = list(conv.outputs.values())
        self.constants = {}
        numbers, self.mask_sizes = {}, []  # masks of connections, and weights' factors
        self.mask_kinds = []
        for dropout in conv.dropouts:
            for mask in dropout.masks:
                if mask.gate is not None and not gates:
                    raise ValidationError(
                        f"the masks of '{dropout.path}' are redrawn by gates, whose "
                        "means aren't known; convert without redraw",
                        attr="conv",
                    )
                # where gates silence what is dropped, weights have the scale already
                kept = 1.0 if mask.gate is None else 1.0 - dropout.rate
                for conn in mask.connections:
                    numbers[conn] = len(self.mask_sizes), kept
                self.mask_sizes.append((mask.size_in, dropout.rate))
                self.mask_kinds.append((dropout.noise, mask.groups, mask.number))
        self.layers = self._layers(conv, numbers)
        self._curves = {layer.obj: layer.curve for layer in self.layers}
        self._synapses = {}  # their `SpikeNoise`, by id, as equal ones may differ

    def _layers(self, conv, numbers):
        """The layers of a converter's own objects, not those of copies and gates in it.

        They, and the edges of each, are in the order in which they were made: the same
        for all conversions of a graph, calibrated or not.
        """
        own = {*conv.nodes, *conv.ensembles}
        layers = {}
        for conn in conv.connections:
            pre, post = holder(conn.pre_obj), holder(conn.post_obj)
            if post not in own:  # but a copy's
                continue
            if post in self.inputs:
                raise ValidationError(f"{post} gets something already", attr="conv")
            if post not in layers:
                layers[post] = _empty(post)
            mask, kept = numbers.get(conn, (None, 1.0))
            if isinstance(pre, nengo.Node) and pre.size_in == 0:
                constant = _constant(conn)
                if mask is None:
                    layers[post].bias = layers[post].bias + constant
                    layers[post].constant = pre
                    continue
                self.constants[pre] = pre.output
            weights = _weights(conn) if kept == 1.0 else kept * _weights(conn)
            layers[post].edges.append(Edge(conn, pre, weights, mask))
        for ensemble in conv.ensembles:  # nothing is connected to some
            if ensemble not in layers:
                layers[ensemble] = _empty(ensemble)
        return _sorted(list(layers.values()), [*self.inputs, *self.constants])

    def draw_masks(self, n, rng):
        """
        Masks, scaled: 0 where a unit is dropped, otherwise ``1 / (1 - rate)``; or
        what units are multiplied by.

        Parameters
        ----------
        n : int
            Of each.
        rng : `numpy.random.RandomState`

        Returns
        -------
        masks : list of (n, size) ndarray
        """
        masks, keys = [], {}
        for (size, rate), kind in zip(self.mask_sizes, self.mask_kinds):
            noise, groups, number = kind
            if noise == BERNOULLI and groups is None:
                masks.append((rng.random_sample((n, size)) >= rate) / (1.0 - rate))
                continue
            if number not in keys:
                keys[number] = rng.randint(2**63, size=n, dtype=np.uint64)
            masks.append(
                scale_factors(keys[number], size, rate, groups=groups, noise=noise)
            )
        return masks

    def forward(self, inputs, masks=None, slopes=None):
        """
        Mean outputs of every object.

        Parameters
        ----------
        inputs : list of (n, size) ndarray
        masks : list of (n, size) ndarray, optional
            From `draw_masks`; by default nothing is dropped.
        slopes : dict, optional
            Filled with what `backward` needs.

        Returns
        -------
        means : {Nengo object: (n, size) ndarray}
            Currents of Nodes, outputs of ensembles.
        """
        n = len(inputs[0])
        means = dict(zip(self.inputs, inputs))
        for node, constant in self.constants.items():
            means[node] = np.tile(constant, (n, 1))
        noise = {}  # variance of what an object sends, for synapses by id
        for layer in self.layers:
            total, variance = 0.0, 0.0
            for edge in layer.edges:
                mean, var = means[edge.pre], self._noise(edge, means, noise)
                if edge.mask is not None and masks is not None:
                    mean, var = mean * masks[edge.mask], var * masks[edge.mask] ** 2
                total = total + mean @ edge.weights.T
                if np.ndim(var):
                    variance = variance + var @ squared(edge.weights).T
            current = np.zeros((n, layer.bias.size)) + layer.gain * total + layer.bias
            variance = np.zeros_like(current) + layer.gain**2 * variance
            if layer.curve is None:
                means[layer.obj] = current
                noise[layer.obj] = variance
            elif slopes is None:
                means[layer.obj] = layer.curve.mean(current, np.sqrt(variance))
            else:
                means[layer.obj], slopes[layer.obj] = layer.curve.mean(
                    current, np.sqrt(variance), slope=True
                )
        return means

    def spikes(self, means):
        """
        Spikes a second of the whole network, on average over rows.

        Parameters
        ----------
        means : dict
            From `forward`.

        Returns
        -------
        rate : float
            In Hz.
        """
        return sum(
            float(np.abs(means[layer.obj]).sum(axis=1).mean()) / layer.curve.amplitude
            for layer in self.layers
            if layer.curve is not None and layer.curve.amplitude > 0
        )

    def _noise(self, edge, means, noise):
        """Variance of what comes through a connection's synapse."""
        curve = self._curves.get(edge.pre)
        if curve is None:
            return noise.get(edge.pre, 0.0)
        if curve.amplitude == 0.0:
            return 0.0
        key = edge.pre, id(edge.conn.synapse)
        if key not in noise:
            rates = means[edge.pre] / curve.amplitude
            if key[1] not in self._synapses:
                self._synapses[key[1]] = SpikeNoise(edge.conn.synapse, self.dt)
            spikes = self._synapses[key[1]].variance(rates)
            noise[key] = curve.amplitude**2 * spikes
        return noise[key]

    def backward(self, means, slopes, gradients, masks=None):
        """
        Derivatives by weights and biases, with the noise as it is.

        Parameters
        ----------
        means, slopes : dict
            From `forward`.
        gradients : {Nengo object: (n, size) ndarray}
            Of the loss by the mean output of objects.
        masks : list of (n, size) ndarray, optional
            As given to `forward`.

        Returns
        -------
        by_weights : {`Edge`: ndarray}
            By their ``values``.
        by_bias : {`Layer`: (size,) ndarray}
        """
        gradients = dict(gradients)
        by_weights, by_bias = {}, {}
        for layer in reversed(self.layers):
            gradient = gradients.pop(layer.obj, None)
            if gradient is None:
                continue
            if layer.curve is not None:
                gradient = gradient * slopes[layer.obj]
            by_bias[layer] = gradient.sum(axis=0)
            gradient = gradient * layer.gain
            for edge in layer.edges:
                mean = means[edge.pre]
                mask = 1.0
                if edge.mask is not None and masks is not None:
                    mask = masks[edge.mask]
                by_weights[edge] = edge.gradient(gradient, mean * mask)
                if edge.pre not in self.inputs:
                    sent = (gradient @ edge.weights) * mask
                    gradients[edge.pre] = gradients.get(edge.pre, 0.0) + sent
        return by_weights, by_bias


def _empty(obj):
    if isinstance(obj, nengo.Ensemble):
        return Layer(
            obj,
            gain=np.asarray(obj.gain, float),
            bias=np.asarray(obj.bias, float),
            curve=Curve(obj.neuron_type),
        )
    constant = obj.output.constant if isinstance(obj.output, Shift) else 0.0
    if obj.output is not None and not isinstance(obj.output, Shift):
        raise ValidationError(f"what {obj} computes isn't known", attr="conv")
    return Layer(obj, gain=np.ones(obj.size_in), bias=np.zeros(obj.size_in) + constant)


def _weights(conn):
    """A connection's weights; ValidationError where they aren't a whole matrix."""
    transform = conn.transform
    if isinstance(transform, PermanentDropout):
        weights = transform.init.base
    elif isinstance(transform, nengo.transforms.NoTransform):
        weights = np.eye(conn.size_out, conn.size_in)
    else:
        weights = getattr(transform, "init", None)
    sizes = _size(conn.post_obj), _size(conn.pre_obj)
    known = isinstance(weights, np.ndarray) or is_sparse(weights)
    if not known or weights.shape != sizes:
        raise ValidationError(f"what comes through {conn} isn't known", attr="conv")
    if is_sparse(weights):
        return sparse.csr_matrix(weights, dtype=float)
    return np.asarray(weights, float)


def _constant(conn):
    """What comes through a connection from a Node that always gives the same."""
    output = conn.pre_obj.output
    if not isinstance(output, np.ndarray):
        raise ValidationError(f"what {conn.pre_obj} gives isn't known", attr="conv")
    return _weights(conn) @ output


def _size(obj):
    """Number of elements of neurons or a Node; None for what is decoded or encoded."""
    if isinstance(obj, (nengo.Node, nengo.ensemble.Neurons)):
        return obj.size_out
    return None


def _sorted(layers, inputs):
    """Each after those that it gets something from."""
    by_object = {layer.obj: layer for layer in layers}
    missing = {
        layer.obj: {edge.pre for edge in layer.edges} - set(inputs) for layer in layers
    }
    after = {}
    for obj, pres in missing.items():
        for pre in pres:
            after.setdefault(pre, []).append(obj)
    ready = [obj for obj, pres in missing.items() if not pres]
    order = []
    for obj in ready:  # which grows
        order.append(by_object[obj])
        for post in after.get(obj, ()):
            missing[post].discard(obj)
            if not missing[post]:
                ready.append(post)
    if len(order) < len(layers):
        waiting = ", ".join(str(obj) for obj in missing if missing[obj])
        raise ValidationError(
            f"{waiting} get something from outside of the network, or from a loop of "
            "connections",
            attr="conv",
        )
    return order
