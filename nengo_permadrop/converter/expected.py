"""
What a converted network is expected to do, before anything is simulated.

The mean-field model (`nengo_permadrop.converter.meanfield`) says how often the neurons
of each layer fire, and what the network answers on average, for some rows and masks;
the model itself says what the classical network answers under the same masks. The
difference is the bias that a test of agreement would see.
"""

from dataclasses import dataclass

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.converter.meanfield.model import MeanField
from nengo_permadrop.converter.timing import READ_TIME
from nengo_permadrop.dropout.weights import squared
from nengo_permadrop.graph.dropouts import ALPHA, drop_terms
from nengo_permadrop.graph.evaluation import evaluate
from nengo_permadrop.graph.graph import Activation
from nengo_permadrop.neurons.activations import (
    activate,
    activation_neurons,
    neuron_activity,
)
from nengo_permadrop.support.inputs import evenly_spaced

# (row, masks) pairs that are looked at where it must be quick, and rows of them
N_PAIRS, N_QUICK_ROWS = 128, 16

# Masks of a row, at the least: of fewer, the spread can't be told
_N_MASKS = 8

# Most values of all neurons in all pairs, 160 MB: fewer rows are looked at otherwise
_MOST_VALUES = 2 * 10**7

# Neurons that fire less often are silent, in Hz
SILENT = 1.0

_SEED = 0  # of masks

# Variance of the number of regular spikes in a time that has several of them
_MANY = 1 / 6

# A current that no network has, for the highest rate that neurons can have
_HUGE = 1e9


@dataclass(frozen=True, eq=False)
class LayerActivity:
    """
    What the neurons of a layer do, over units, rows and masks.

    Attributes
    ----------
    path : str
        Of the layer.
    kind : str
        Of its activation.
    parameters : dict
        Of its activation.
    neuron_type : `nengo.neurons.NeuronType`
    n_neurons : int
    unit_rate : float
        Rate of an activation of 1, in Hz.
    mean_rate, high_rate : float
        Mean rate, and its 99th percentile, in Hz.
    silent : float
        Share of (unit, row) pairs that fire less than once a second.
    classical_mean, classical_high : float
        Mean and 99th percentile of the rates that the classical activations stand for,
        in Hz.
    most : float
        The highest rate that such neurons can have, in Hz; infinite if there is none.
    """

    path: str
    kind: str
    parameters: dict
    neuron_type: nengo.neurons.NeuronType
    n_neurons: int
    unit_rate: float
    mean_rate: float
    high_rate: float
    silent: float
    classical_mean: float
    classical_high: float
    most: float


@dataclass(frozen=True, eq=False)
class Expectation:
    """
    What a network is expected to do; made by `expect`.

    Attributes
    ----------
    layers : list of `LayerActivity`
        In the model's order.
    bias : {str: float or None}
        By output: root mean square, over rows and the output's elements, of the
        difference between the mean answers of the spiking and the classical network, in
        standard deviations of the classical draws. None where draws don't vary.
    spread : {str: float or None}
        By output: root mean square, over rows, of the standard deviation of the spiking
        network's draws, relative to the classical ones'.
    distance : {str: float or None}
        As ``bias``, of the difference between the classical network's mean answers and
        what the spiking network gives before anything has arrived at its output.
    """

    layers: list
    bias: dict
    spread: dict
    distance: dict


def expect(conv, X, dt=0.001, quick=False, read_time=READ_TIME):
    """
    What a network is expected to do.

    Parameters
    ----------
    conv : `.Converter`
        Of spiking neurons.
    X : list of (n_observations, size) ndarray
        Rows of each input. Of networks of more than ten thousand neurons, fewer are
        looked at, evenly spaced.
    dt : float, optional
        Time step, in seconds.
    quick : bool, optional
        Look at `N_QUICK_ROWS` of the rows only, evenly spaced, at the most.
    read_time : float, optional
        Seconds that an answer is averaged over.

    Returns
    -------
    expectation : `Expectation` or None
        None if the network's means aren't known: of rate neurons, of neuron types that
        are not kinds of LIF or rectified linear neurons or of
        `nengo.neurons.RatesToSpikesNeuronType`, or if the network has been changed by
        hand.
    """
    if conv.neurons != "spiking" or not all(map(_is_known, conv.all_ensembles)):
        return None
    try:
        model = MeanField(conv, dt, gates=True)
    except ValidationError:
        return None
    n_rows = len(X[0])
    if n_rows == 0:
        return None
    n_neurons = sum(ensemble.n_neurons for ensemble in conv.all_ensembles)
    most = max(1, _MOST_VALUES // (_N_MASKS * max(1, n_neurons)))
    X = evenly_spaced(X, min(most, N_QUICK_ROWS if quick else n_rows))
    n_rows = len(X[0])
    n_masks = max(_N_MASKS, N_PAIRS // n_rows)
    masks = model.draw_masks(n_masks * n_rows, np.random.RandomState(_SEED))
    rows = [np.tile(np.asarray(x, float), (n_masks, 1)) for x in X]
    slopes = {}
    means = model.forward(rows, masks, slopes)
    slow = _slow_noise(model, means, slopes, masks, read_time)
    classical = _classical(conv, rows, masks)
    shape = (n_masks, n_rows, -1)
    bias, spread, distance = {}, {}, {}
    resting = {layer.obj: layer.bias for layer in model.layers}
    for name, index in conv.graph.outputs.items():
        output = conv.outputs[name]
        reference = classical[index].reshape(shape)
        answers = means[output].reshape(shape)
        at_rest = np.broadcast_to(resting[output], classical[index].shape)
        predicted = _in_deviations(answers, reference)
        bias[name] = _corrected(conv, name, predicted, reference)
        noise = np.broadcast_to(slow[output], classical[index].shape).reshape(shape)
        spread[name] = _spread(answers, noise, reference)
        distance[name] = _in_deviations(at_rest.reshape(shape), reference)
    layers = _activity(conv, model, means, classical, shape)
    return Expectation(layers, bias, spread, distance)


def _is_known(ensemble):
    """Whether the mean-field model's assumptions hold for some neurons."""
    neuron_type = ensemble.neuron_type
    if isinstance(neuron_type, nengo.AdaptiveLIF):
        return False
    known = nengo.LIF, nengo.SpikingRectifiedLinear
    return isinstance(neuron_type, (*known, nengo.neurons.RatesToSpikesNeuronType))


def _classical(conv, rows, masks):
    """All values of the model under the masks of the network."""
    dropouts = {dropout.path: dropout for dropout in conv.dropouts}
    numbers = {}
    for dropout in conv.dropouts:
        for mask in dropout.masks:
            numbers[id(mask)] = len(numbers)

    def drop(operation, x):
        dropout = dropouts.get(operation.path)
        if dropout is None:
            return x
        factors = np.ones_like(x)
        for mask in dropout.masks:
            factors[:, mask.rows] = masks[numbers[id(mask)]][:, mask.columns]
        if dropout.kind != ALPHA:
            return x * factors
        kept = factors * (1.0 - dropout.rate)
        scale, shift = drop_terms(ALPHA, dropout.rate, kept)
        return x * scale + shift

    return evaluate(conv.graph, rows, activate, drop)


def _slow_noise(model, means, slopes, masks, read_time):
    """
    What is left of the noise of spikes when it is averaged over some time.

    The number of spikes in that time depends on when the first one comes, and what it
    differs by goes through the layers as any small change does. (Elements of a layer
    are taken to differ independently.)

    Returns
    -------
    variances : {Nengo object: (n, size) ndarray or float}
        Of the average of what each object sends.
    """
    variances = dict.fromkeys([*model.inputs, *model.constants], 0.0)
    for layer in model.layers:
        variance = 0.0
        for edge in layer.edges:
            sent = variances[edge.pre]
            if not np.ndim(sent):
                continue
            if edge.mask is not None:
                sent = sent * masks[edge.mask] ** 2
            variance = variance + sent @ squared(edge.weights).T
        if layer.curve is not None:
            variance = (slopes[layer.obj] * layer.gain) ** 2 * variance
            if layer.curve.amplitude > 0:
                n_spikes = np.abs(means[layer.obj]) / layer.curve.amplitude * read_time
                counts = np.where(n_spikes < 1, n_spikes * (1 - n_spikes), _MANY)
                variance = variance + (layer.curve.amplitude / read_time) ** 2 * counts
        variances[layer.obj] = variance
    return variances


def _spread(answers, noise, reference):
    """The spread of ``answers`` with some noise, relative to that of the reference."""
    of_reference = reference.var(axis=0, ddof=1).mean()
    if not of_reference > 1e-12 * np.square(reference).mean():
        return None
    ratio = (answers.var(axis=0, ddof=1).mean() + noise.mean()) / of_reference
    return float(np.sqrt(ratio))


def _in_deviations(answers, reference):
    """
    Root mean square of the difference of means, in the reference's standard deviations.

    Parameters
    ----------
    answers, reference : (n_masks, n_rows, size) ndarray
        Under the same masks.

    Returns
    -------
    rms : float or None
        Corrected for the few masks: the mean difference's own variance is taken off,
        and the inverse of an estimated variance is too large by a known factor, for
        normal draws. None if nothing varies.
    """
    n = len(answers)
    difference = answers - reference
    variance = reference.var(axis=0, ddof=1)
    scale = np.square(reference).mean(axis=0) + 1e-12
    varies = variance > 1e-12 * scale
    if not varies.any():
        return None
    squares = difference.mean(axis=0) ** 2 - difference.var(axis=0, ddof=1) / n
    ratio = (squares / np.where(varies, variance, 1.0))[varies].mean()
    return float(np.sqrt(max(0.0, ratio * (n - 3) / (n - 1))))


def _corrected(conv, name, predicted, reference):
    """
    The bias of a network that may have been calibrated.

    A calibration corrects what was simulated. The mean-field model's own error, which
    that leaves alone, can be larger than the bias that is left and was measured.
    """
    if conv.calibration is None or predicted is None:
        return predicted
    for correction in conv.calibration.corrections:
        if correction.layer == name:
            # from standard deviations over all rows and masks to those of each row
            total = reference.var(axis=(0, 1))
            ratio = total / np.maximum(reference.var(axis=0), 1e-12 * (total + 1e-300))
            return min(predicted, correction.after * float(np.sqrt(ratio.mean())))
    return predicted


def _activity(conv, model, means, classical, shape):
    """What the neurons of each layer do, a list of `LayerActivity`."""
    by_path = {layer.obj.label: layer for layer in model.layers if layer.curve}
    found = []
    for operation in conv.graph.operations:
        if not isinstance(operation, Activation):
            continue
        layer = by_path[operation.path]
        hz = conv.firing_rates.get(operation.path)
        neurons = activation_neurons(operation.kind, hz, **operation.parameters)
        rates = np.abs(means[layer.obj]) / layer.curve.amplitude
        unit_rate = 1.0 / (layer.curve.amplitude * neurons.unit_scale)
        wanted = neuron_activity(operation, classical[operation.inputs[0]])
        wanted = np.abs(wanted) * unit_rate
        most = np.abs(layer.curve.mean(np.full((1, 1), _HUGE), np.zeros((1, 1))))
        most = float(most[0, 0] / layer.curve.amplitude)
        found.append(
            LayerActivity(
                path=operation.path,
                kind=operation.kind,
                parameters=operation.parameters,
                neuron_type=layer.obj.neuron_type,
                n_neurons=layer.obj.n_neurons,
                unit_rate=float(unit_rate),
                mean_rate=float(rates.mean()),
                high_rate=float(np.quantile(rates, 0.99)),
                silent=float((rates.reshape(shape).mean(axis=0) < SILENT).mean()),
                classical_mean=float(wanted.mean()),
                classical_high=float(np.quantile(wanted, 0.99)),
                most=most if most < _HUGE / 2 else np.inf,
            )
        )
    return found
