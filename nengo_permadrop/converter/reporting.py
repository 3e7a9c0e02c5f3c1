"""Making a `.ConversionReport` of a converter."""

import math

import nengo
from nengo.exceptions import ValidationError

from nengo_permadrop.converter.checks import largest, some, unlikely
from nengo_permadrop.converter.expected import expect
from nengo_permadrop.converter.rates import made_up, rows_of
from nengo_permadrop.converter.report import (
    ConversionReport,
    DropoutReport,
    LayerReport,
)
from nengo_permadrop.converter.timing import presentation_times
from nengo_permadrop.graph.dropouts import ALWAYS
from nengo_permadrop.graph.graph import Activation, Drop
from nengo_permadrop.graph.replaced import replaced_words
from nengo_permadrop.targets.registry import get_target


def conversion_report(conv, X=None, certificate=None):
    """
    What became of a model; see `.Converter.report`.

    Parameters
    ----------
    conv : `.Converter`
    X, certificate
        As there.

    Returns
    -------
    report : `.ConversionReport`
    """
    rows = _made_up(conv.graph) if X is None else rows_of(conv.graph, X)
    expectation = expect(conv, rows)
    try:
        times = presentation_times(conv)
        settling_time = conv.settling_time
    except ValidationError:
        times, settling_time = (None, None), None
    layers = _layers(conv, expectation)
    spikes = None
    if expectation is not None and times[0] is not None:
        copies = len(conv.copies)
        rate = sum(layer.n_neurons * layer.mean_rate for layer in layers)
        spikes = copies * times[0] * rate
    return ConversionReport(
        target=conv.target,
        neurons=conv.neurons,
        layers=layers,
        dropouts=tuple(_dropout(conv, dropout) for dropout in conv.dropouts),
        off=_dropouts_off(conv),
        n_rows=len(rows[0]),
        rows_given=X is not None,
        approximations=tuple(_approximations(conv)),
        settling_time=settling_time,
        presentation_time=times[0],
        settle=times[1],
        spikes=spikes,
        bias=None if expectation is None else largest(expectation.bias),
        spread=None if expectation is None else largest(expectation.spread),
        calibration=None if conv.calibration is None else str(conv.calibration),
        warnings=unlikely(conv, expectation, fitted=X is not None),
        certificate=certificate,
    )


def _made_up(graph):
    """Rows as the model has seen them, as far as it knows."""
    rows = made_up(graph)
    for place, index in enumerate(graph.inputs.values()):
        if index in graph.statistics:
            mean, std = graph.statistics[index]
            rows[place] = mean + std * rows[place]
    return rows


def _layers(conv, expectation):
    """The `.LayerReport` of each layer of neurons."""
    activity = {}
    if expectation is not None:
        activity = {layer.path: layer for layer in expectation.layers}
    found = []
    for operation in _activations(conv):
        path = operation.path
        ensemble = conv.layers[path].ensemble
        done = activity.get(path)
        unit_rate = conv.firing_rates.get(path) if done is None else done.unit_rate
        found.append(
            LayerReport(
                path=path,
                kind=operation.kind,
                n_neurons=ensemble.n_neurons,
                neuron_type=type(ensemble.neuron_type).__name__,
                unit_rate=unit_rate,
                rates_from=conv.rates_from.get(path, "training"),
                mean_rate=None if done is None else done.mean_rate,
                high_rate=None if done is None else done.high_rate,
                silent=None if done is None else done.silent,
            )
        )
    return tuple(found)


def _dropout(conv, dropout):
    operations = conv.graph.by_path()[dropout.path]
    drop = next(each for each in operations if isinstance(each, Drop))
    return DropoutReport(
        dropout.path,
        dropout.size,
        dropout.rate,
        drop.label,
        drop.when == ALWAYS,
        dropout.kind,
        dropout.n_groups,
    )


def _dropouts_off(conv):
    on = {dropout.path for dropout in conv.dropouts}
    return tuple(path for path in conv.graph.dropout_paths if path not in on)


def _activations(conv):
    return [each for each in conv.graph.operations if isinstance(each, Activation)]


def rounded_up(bound):
    """A bound with few digits that still is one, a float."""
    return math.ceil(bound * 1e4) / 1e4


def _approximations(conv):
    """What the network has other than the model, in words."""
    by_kind = {}
    for operation in _activations(conv):
        if operation.path in conv.approximations:
            by_kind.setdefault(operation.kind, []).append(operation)
    for kind, operations in by_kind.items():
        error = rounded_up(max(conv.approximations[each.path] for each in operations))
        yield (
            f"The {kind} of {some(operations)} is a sum of rectified neurons, which is "
            f"off by at most {error:g} for any input."
        )
    for words in replaced_words(conv.graph):
        yield f"{words[0].upper()}{words[1:]}."
    if conv.neurons == "rate":
        return
    tails, regular, quantised = [], [], []
    for operation in _activations(conv):
        neuron_type = conv.layers[operation.path].ensemble.neuron_type
        if isinstance(neuron_type, nengo.RegularSpiking):
            regular.append(operation)
        elif get_target(conv.target).whole_steps:
            quantised.append(operation)
        elif operation.kind == "softlif":
            tails.append(operation)
    yield (
        "Spikes stand for activations: what neurons get from others fluctuates, and a "
        "curved rate answers to that otherwise than to its mean."
    )
    if tails:
        fix = "; first_layer='exact' takes that away from the first layer"
        yield (
            f"LIF neurons of {some(tails)} are silent under the threshold, where "
            "SoftLIF still answers a little"
            f"{fix if conv.first_layer == 'converted' else ''}."
        )
    if regular:
        yield (
            f"Neurons of {some(regular)} send regular spikes at exactly the "
            "activation's rates, which what computes their current computes, too."
        )
    if quantised:
        yield (
            f"Neurons of {some(quantised)} fire every so many whole time steps: their "
            "rates are quantised, and at most one spike a step. The chip also rounds "
            "weights."
        )
    if any(dropout.gated for dropout in conv.dropouts):
        yield (
            "Masks are redrawn by gates: units are dropped by inhibition, which takes "
            "a few milliseconds to come and to end."
        )
