"""
How often the neurons of each layer fire.

A layer whose activations have no scale of their own (relu, sigmoid, tanh) can be built
of neurons that fire at any rate: it only decides how many spikes a second an activation
of 1 is. Too few, and the noise of the spikes is as large as the signal, which the next
layer's threshold turns into a bias; too many cost time and energy. One number for a
whole network doesn't fit, as activations grow or shrink from layer to layer; so, as in
[1]_, each layer's is chosen by a high quantile of its own activations.

References
----------
.. [1] Rueckauer, B., Lungu, I.-A., Hu, Y., Pfeiffer, M., & Liu, S.-C. (2017).
   Conversion of continuous-valued deep networks to efficient event-driven networks for
   image classification. Frontiers in Neuroscience, 11, 682.
"""

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.graph.dropouts import BERNOULLI, drop_terms, random_mask
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.graph.evaluation import evaluate
from nengo_permadrop.graph.graph import Activation
from nengo_permadrop.neurons.activations import (
    activate,
    activation_neurons,
    neuron_activity,
)
from nengo_permadrop.support.inputs import evenly_spaced, match_inputs
from nengo_permadrop.support.validation import check_number

# The quantile of a layer's activations, over units, rows and masks, that has the
# target's firing rate
QUANTILE = 0.99

N_ROWS = 256  # looked at, at the most; and made up, if there are none
_SEED = 0  # of made-up rows, and of masks


def firing_rates(graph, target, given=None, X=None, dropout="permanent", multiple=1.0):
    """
    Firing rates of the layers of a model that can have any.

    Parameters
    ----------
    graph : `.ModelGraph`
    target : `.Target`
    given : float or {str: float}, optional
        As ``scale_firing_rates`` of `.Converter`.
    X : list of (n, size) ndarray, optional
        Rows that the activations are measured on. By default they follow from the
        weights, for inputs of mean 0 and variance 1 (see `made_up`).
    dropout : optional
        As in `.Converter`.
    multiple : float, optional
        Of the target's firing rate, which those that aren't given are chosen by.

    Returns
    -------
    rates : {str: float}
        By path of the layer: the rate, in Hz, of an activation of 1.

    Raises
    ------
    ConversionError
        If a rate is given for layers that can't have any, or activations aren't finite.
    nengo.exceptions.ValidationError
        If one is given for a layer that isn't there, or is out of range.
    """
    scalable, fixed = _layers(graph)
    if given is not None and not isinstance(given, dict):
        rate = check_number(given, "scale_firing_rates", 0, low_open=True, unit="Hz")
        if not scalable:
            raise ConversionError(
                "scale_firing_rates",
                "no layer of the model has rates that can be chosen, as relu has",
                _FIXED,
            )
        return dict.fromkeys(scalable, rate)
    if given == {}:
        raise ValidationError(
            "names no layer; give None for rates that are chosen for each",
            attr="scale_firing_rates",
        )
    named = _named(given or {}, scalable, fixed)
    if len(named) == len(scalable):
        return named
    activations = activity(graph, X, dropout)
    wanted = multiple * target.firing_rate
    return {
        path: named.get(path) or wanted / _high(path, activations[path])
        for path in scalable
    }


def rates_from(graph, given=None, X=None):
    """
    Where the rates of `firing_rates` come from.

    Parameters
    ----------
    graph, given, X
        As in `firing_rates`, which has checked them.

    Returns
    -------
    sources : {str: {"given", "rows", "weights"}}
        By path of the layer.
    """
    scalable, fixed = _layers(graph)
    if given is not None and not isinstance(given, dict):
        return dict.fromkeys(scalable, "given")
    found = "weights" if X is None else "rows"
    named = _named(given or {}, scalable, fixed)
    return {path: "given" if path in named else found for path in scalable}


_FIXED = (
    "The rates of SoftLIF layers are learned with their weights: set amplitude and "
    "gain before training"
)


def _high(path, activations):
    """The activation of a layer that has the target's firing rate."""
    if not np.abs(activations).max() <= np.finfo(np.float32).max:
        raise ConversionError(
            f"layer '{path}'",
            "has activations that are infinite or NaN in single precision, so no "
            "firing rate fits them",
            "Look for such values in the rows, and in its weights and those of the "
            "layers before it",
        )
    high = float(np.quantile(np.abs(activations), QUANTILE))
    # hardly any unit, or none, is ever active
    return high or float(np.abs(activations).max()) or 1.0


def _layers(graph):
    """
    Layers that can have any rates, and those that can't.

    Returns
    -------
    scalable, fixed : {str: None}
        Their paths, in order. A layer with several activations has one rate for those
        that can have any.
    """
    scalable, fixed = {}, {}
    for operation in graph.operations:
        if isinstance(operation, Activation):
            neurons = activation_neurons(operation.kind, 1.0, **operation.parameters)
            (scalable if neurons.scalable else fixed)[operation.path] = None
    return scalable, {path: None for path in fixed if path not in scalable}


def _named(given, scalable, fixed):
    """Rates that were given by name, by path; a whole path says more than a name."""
    rates = {}
    known = [*scalable, *fixed]
    for name, rate in sorted(given.items(), key=lambda item: item[0] in known):
        paths = [name] if name in known else []
        paths = paths or [path for path in known if path.rpartition("/")[2] == name]
        if not paths:
            raise ValidationError(
                f"no layer '{name}' has neurons; there are "
                f"{', '.join(known) or 'none'}",
                attr="scale_firing_rates",
            )
        for path in paths:
            if path in fixed:
                raise ConversionError(
                    f"layer '{path}'", "can't have another rate", _FIXED
                )
            rates[path] = check_number(
                rate, f"scale_firing_rates['{name}']", 0, low_open=True, unit="Hz"
            )
    return rates


def made_up(graph):
    """
    Rows of normal inputs with mean 0 and variance 1, as those of standardised data.

    Returns
    -------
    X : list of (`N_ROWS`, size) ndarray
        The same ones each time.
    """
    rng = np.random.RandomState(_SEED)
    return [
        rng.standard_normal((N_ROWS, graph.size(index)))
        for index in graph.inputs.values()
    ]


def rows_of(graph, X):
    """Rows that a user gave, checked; `N_ROWS` of them, evenly spaced, at the most."""
    return evenly_spaced(match_inputs(X, graph.input_shapes), N_ROWS)


def activity(graph, X=None, dropout="permanent"):
    """
    The activations of each layer, for some rows and a mask for each.

    Parameters
    ----------
    graph : `.ModelGraph`
    X : list of (n, size) ndarray, optional
        By default `made_up` rows. What the model knows of the values that it was
        trained on (``statistics`` of the graph) then holds for them: what a batch
        normalisation is given has the mean and variance that it has seen.
    dropout : optional
        As in `.Converter`.

    Returns
    -------
    activations : {str: (n, size) ndarray}
        By path of the layer; of one with several activations, side by side. Where
        several neurons add up to an activation, what each of them stands for.
    """
    rng = np.random.RandomState(_SEED)

    def drop(operation, x):
        rate = operation.permanent_rate(dropout)
        if rate == 0:
            return x
        mask = random_mask(operation.kind, rate, x.shape, operation.groups, rng)
        if operation.kind == BERNOULLI:
            return x * mask / (1 - rate)
        scale, shift = drop_terms(operation.kind, rate, mask)
        return x * scale if shift is None else x * scale + shift

    def known(index, x):
        if index not in graph.statistics:
            return x
        mean, std = graph.statistics[index]
        varies = np.maximum(x.std(axis=0), 1e-12)
        return mean + std * (x - x.mean(axis=0)) / varies

    rows, seen = (made_up(graph), known) if X is None else (X, None)
    with np.errstate(over="ignore", invalid="ignore"):  # `_high` looks for that
        values = evaluate(graph, rows, activate, drop, seen)
    found = {}
    for operation in graph.operations:
        if isinstance(operation, Activation):
            found.setdefault(operation.path, []).append(_of_neurons(operation, values))
    return {
        path: each[0] if len(each) == 1 else np.concatenate(each, axis=1)
        for path, each in found.items()
    }


def _of_neurons(operation, values):
    """What the neurons of an activation stand for, ``(n, n_neurons)``."""
    neurons = activation_neurons(operation.kind, 1.0, **operation.parameters)
    if neurons.per_unit == 1:
        return values[operation.output]
    return neuron_activity(operation, values[operation.inputs[0]])
