"""
Fitting the weights of a spiking network to the answers of the classical one.

Correcting the mean current of each neuron leaves what no line can correct: LIF neurons
are silent below their threshold, where SoftLIF still answers a little. All weights and
biases together can make more of that good, with connections from all layers past the
last one to the outputs (`nengo_permadrop.calibration.bypass`). They are fitted by
gradients through the mean-field model of the spiking network
(`nengo_permadrop.converter.meanfield`), that is through the rates that its neurons have
at the noise that they get, to the classical network's answers for the same rows and
masks. No targets are needed.
"""

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.calibration.bypass import (
    add_bypass,
    remove_bypass,
    with_weights,
)
from nengo_permadrop.converter.meanfield.fittable import why_not_weights
from nengo_permadrop.converter.meanfield.model import MeanField
from nengo_permadrop.converter.twins import rate_twin
from nengo_permadrop.dropout.nodes import Shift
from nengo_permadrop.dropout.weights import is_sparse
from nengo_permadrop.support.isolation import outside_networks, own_network

# One row of so many isn't fitted but judged by, at the most so many, with as many masks
_JUDGED, _ROWS, _MASKS = 4, 64, 32

_STEPS, _BATCH = 400, 512
_LEARNING_RATE = 1e-3  # relative to the weights' root mean square, at the beginning
_DECAY_1, _DECAY_2 = 0.9, 0.99  # of Adam's moments
_CHECKED = 20  # steps between two judgements


def check_weights(conv):
    """Raise a ValidationError if a converter's weights can't be fitted."""
    reason = why_not_weights(conv)
    if reason is not None:
        raise ValidationError(reason, attr="method", obj=conv)


def fit_weights(conv, X, seed, dt):
    """
    Fit a spiking network's weights and biases, in place.

    Connections are added, see `nengo_permadrop.calibration.bypass`; not if no fit is
    better than none.

    Parameters
    ----------
    conv : `.Converter`
        Of spiking neurons, without gates.
    X : list of (n, size) ndarray
        Rows. If there are enough, every fourth isn't fitted: the fit that is kept is
        the one with which the bias of the answers is least for these, by the mean-field
        model.
    seed : int
        Decides masks and the order of rows.
    dt : float
        Time step, in seconds.
    """
    with own_network(0):
        classical = MeanField(rate_twin(conv), dt)
    add_bypass(conv)
    model = MeanField(conv, dt)
    rng = np.random.RandomState(seed)
    fitted, others = _split(len(X[0]))
    judged = _Pairs(model, classical, X, np.repeat(others, _MASKS), rng)
    scales = [_inverse_spread(answers) for answers in judged.answers]

    best = _bias(model, judged, scales)
    first = kept = _parameters(model)
    adam = _Adam(model)
    for step in range(_STEPS):
        pairs = _Pairs(model, classical, X, rng.choice(fitted, size=_BATCH), rng)
        slopes = {}
        means = model.forward(pairs.inputs, pairs.masks, slopes)
        gradients = {
            node: (means[node] - answer) * scale**2 / _BATCH
            for node, answer, scale in zip(model.outputs, pairs.answers, scales)
        }
        found = model.backward(means, slopes, gradients, pairs.masks)
        adam.step(*found, _LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / _STEPS)))
        if (step + 1) % _CHECKED == 0:
            bias = _bias(model, judged, scales)
            if bias < best:
                best, kept = bias, _parameters(model)
    _write(model, kept, conv)
    if kept is first:
        remove_bypass(conv)


def _split(n):
    """Rows to fit, and rows to judge by; of few rows all are both."""
    rows = np.arange(n)
    if n < 2 * _JUDGED:
        return rows, rows
    judged = rows % _JUDGED == _JUDGED - 1
    return rows[~judged], rows[judged][:_ROWS]


def _inverse_spread(answers):
    """Of each element, over rows and masks; 0 for those that are always the same."""
    std = answers.std(axis=0)
    varies = std > 1e-9 * np.abs(answers).max(axis=0)
    return np.where(varies, 1.0 / np.where(varies, std, 1.0), 0.0)


class _Pairs:
    """Rows, a mask for each, and the classical answers for them."""

    def __init__(self, model, classical, X, rows, rng):
        self.inputs = [x[rows] for x in X]
        self.masks = model.draw_masks(len(rows), rng)
        means = classical.forward(self.inputs, self.masks)
        self.answers = [means[node] for node in classical.outputs]


class _Adam:
    """
    Adam [Kingma & Ba 2015], its steps relative to the size of what they change.

    Weights that are all 0 at the beginning take steps of the size that the largest
    others of their layer do.
    """

    def __init__(self, model):
        self._layers = model.layers
        self._n = 0
        self._moments = {}
        self._new = [
            edge
            for layer in model.layers
            for edge in layer.edges
            if not edge.values.any()
        ]

    def step(self, by_weights, by_bias, rate):
        self._n += 1
        for layer in self._layers:
            sizes = [_rms(e.weights) for e in layer.edges]
            largest = max(sizes, default=0.0)
            for edge, size in zip(layer.edges, sizes):
                if edge in self._new:
                    size = largest
                if edge in by_weights:
                    change = self._direction(edge, by_weights[edge])
                    edge.values = edge.values - rate * size * change
            if layer in by_bias:
                size = layer.gain if layer.curve is not None else 1.0
                layer.bias = layer.bias - rate * size * self._direction(
                    layer, by_bias[layer]
                )

    def _direction(self, parameter, gradient):
        first, second = self._moments.get(parameter, (0.0, 0.0))
        first = _DECAY_1 * first + (1 - _DECAY_1) * gradient
        second = _DECAY_2 * second + (1 - _DECAY_2) * gradient**2
        self._moments[parameter] = first, second
        mean = first / (1 - _DECAY_1**self._n)
        return mean / (np.sqrt(second / (1 - _DECAY_2**self._n)) + 1e-12)


def _bias(model, pairs, scales):
    """In standard deviations; the pairs are `_MASKS` masks for each of some rows."""
    means = model.forward(pairs.inputs, pairs.masks)
    squares = []
    for node, answers, scale in zip(model.outputs, pairs.answers, scales):
        errors = ((means[node] - answers) * scale).reshape(-1, _MASKS, scale.size)
        squares.append(np.mean(errors.mean(axis=1) ** 2))
    return float(np.sqrt(np.mean(squares)))


def _parameters(model):
    return [
        ([edge.weights for edge in layer.edges], layer.bias) for layer in model.layers
    ]


def _rms(weights):
    """Root mean square of weights; of a sparse matrix, of those that it has."""
    values = weights.data if is_sparse(weights) else weights
    return np.sqrt(np.mean(values**2)) if values.size else 0.0


def copy_weights(conv, other):
    """
    Give a conversion the weights and biases of another one of the same graph.

    Parameters
    ----------
    conv, other : `.Converter`
        Without gates; ``other`` is changed.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it is of another graph; it is as it was then.
    """
    theirs, model = MeanField(other), MeanField(conv)
    if _shapes(theirs, other.bypass) != _shapes(model, conv.bypass):
        raise ValidationError(
            f"{other} is of another model than {conv}, or has been changed",
            attr="other",
            obj=other,
        )
    if conv.bypass and not other.bypass:
        add_bypass(other)
        theirs = MeanField(other)
    _write(theirs, _parameters(model), other)


def _shapes(model, bypass):
    """Labels, sizes and weights' shapes by layer, without a bypass."""
    return [
        (
            layer.obj.label,
            layer.bias.size,
            [e.weights.shape for e in layer.edges if e.conn not in bypass],
        )
        for layer in model.layers
    ]


def _write(model, parameters, network):
    """Give a network the weights and biases of a model of another one of its graph."""
    for layer, (weights, bias) in zip(model.layers, parameters, strict=True):
        for edge, values in zip(layer.edges, weights, strict=True):
            edge.conn.transform = with_weights(edge.conn.transform, values)
        if layer.curve is not None:
            layer.obj.bias = bias
        elif isinstance(layer.obj.output, Shift):
            layer.obj.output = Shift(bias)
        elif layer.constant is not None:
            layer.constant.output = bias
        elif np.any(bias):
            with outside_networks(), network:
                constant = nengo.Node(bias, label=f"{layer.obj.label}.bias")
                nengo.Connection(constant, layer.obj, synapse=None)
