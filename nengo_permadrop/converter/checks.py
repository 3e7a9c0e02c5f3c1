"""
Whether a converted network can be expected to agree with its classical network.

What is checked is what theory knows beforehand (`nengo_permadrop.converter.expected`),
for a few rows, in a small part of the time that drawing takes. That nothing is found
doesn't show that the distributions are equal; `.ks_agreement` tests that.
"""

import warnings

import numpy as np
from nengo.exceptions import ValidationError
from scipy.special import ndtr

from nengo_permadrop.converter.expected import SILENT, expect
from nengo_permadrop.converter.meanfield.fittable import why_not_weights
from nengo_permadrop.converter.timing import READ_TIME, path_delay
from nengo_permadrop.graph.naming import some
from nengo_permadrop.neurons.softlif import GAMMA, LAYER_AMPLITUDE, LAYER_GAIN
from nengo_permadrop.targets.registry import get_target

# Bias, in standard deviations of the classical draws, at which 7% of the tests between
# 100 and 100 draws have a p-value under 0.05, and one set of 60 tests in seven has more
# than 10% such (without any bias, it is 3.5%; at 0.15, 11% and two sets in three)
LIMIT = 0.1

# Spread, relative to that of the classical draws, at which 10% of such tests do; its
# inverse is as bad
SPREAD_LIMIT = 1.3

# How many times the target's firing rate the 99th percentile of a layer is, where its
# rates fit what it gets
_FITTING = 0.2, 10.0

# Of fewer rows that percentile says nothing of what a layer gets from others
_LEAST_ROWS = 10

# A layer has lost its signal where its neurons fire less than this part of what the
# classical activations stand for
_LOST = 0.5

# Percent by which classical activations may be above what neurons can fire
_ABOVE = 1.02


class AgreementWarning(UserWarning):
    """
    A spiking network can't be expected to agree with its classical network.

    Given by `.sample` and by ``Converter(X=...)``: it says what was found, in which
    layers, and what to change. `.Converter.report` shows it, and more.
    """


def warn_if_unlikely(conv, X, dt=0.001, output=None, times=None):
    """
    Warn, once, of all that keeps a network from agreeing with its classical network.

    Parameters
    ----------
    conv : `.Converter`
    X : list of (n_observations, size) ndarray
        Rows of each input.
    dt : float, optional
        Time step, in seconds.
    output : str, optional
        The only output that matters.
    times : (float, float), optional
        Presentation time and settle, in seconds, that an answer is read with.

    Returns
    -------
    found : tuple of str
        As `unlikely` gives it.

    Warns
    -----
    AgreementWarning
        If there is anything.
    """
    if times is not None and _certified(conv, *times):
        return ()
    read_time = READ_TIME if times is None else times[0] - times[1]
    expectation = expect(conv, X, dt, quick=True, read_time=read_time)
    enough = len(X) > 0 and len(X[0]) >= _LEAST_ROWS
    found = unlikely(conv, expectation, output, times, fitted=enough)
    if found:
        name = "This network" if conv.label is None else f"Network {conv.label!r}"
        words = "".join(f"\n- {each}" for each in found)
        warnings.warn(
            f"{name} may not agree with its classical network:{words}",
            AgreementWarning,
            stacklevel=2,
        )
    return found


def _certified(conv, presentation_time, settle):
    """Whether simulations with these times have shown what else is only expected."""
    if conv.certificate is None:
        return False
    options = conv.certificate.options
    shown = options["presentation_time"], options["settle"]
    return bool(np.allclose(shown, (presentation_time, settle)))


def unlikely(conv, expectation, output=None, times=None, fitted=True):
    """
    What keeps a network from agreeing with its classical network at 100 draws.

    Parameters
    ----------
    conv : `.Converter`
    expectation : `.Expectation` or None
    output : str, optional
        The only output that matters.
    times : (float, float), optional
        Presentation time and settle, in seconds.
    fitted : bool, optional
        Whether the expectation is for rows of data, which the firing rates must fit.

    Returns
    -------
    found : tuple of str
        Each says what was found, in which layers, and what to do.
    """
    found = []
    if times is not None:
        found += not_settled(conv, *times, expectation, output)
    if expectation is None:
        return tuple(found)
    layers = expectation.layers
    found += _misfits(conv, layers) if fitted else []
    found += _lost(conv, layers) + _saturated(conv, layers)
    bias = largest(expectation.bias, output)
    if bias is not None and bias > LIMIT:
        found.append(
            f"Its mean answers are expected to be {bias:.2f} standard deviations off, "
            f"and more than {LIMIT} shows in 100 draws. {_fix(conv, layers)}"
        )
    spread = largest(expectation.spread, output)
    if spread is not None and not 1 / SPREAD_LIMIT < spread < SPREAD_LIMIT:
        found.append(
            f"Its draws are expected to spread {spread:.2f} times as far as the "
            f"classical ones. {_fix_of_spread(conv, layers, spread)}"
        )
    return tuple(found)


def not_settled(conv, presentation_time, settle, expectation=None, output=None):
    """
    Of answers that are read before they have come through the synapses.

    Parameters
    ----------
    conv : `.Converter`
    presentation_time, settle : float
        In seconds.
    expectation, output : optional
        As in `unlikely`; without, only times that are far too short are found.

    Returns
    -------
    found : list of str
        One or none.
    """
    try:
        delay, spread = path_delay(conv)
    except ValidationError:  # of a network that has been changed by hand
        return []
    early = settle < delay
    distance = None if expectation is None else largest(expectation.distance, output)
    if not early and distance is not None and spread > 0:
        # what is missing at a time is about a normal distribution's tail
        t = np.linspace(settle, presentation_time, 200)
        early = ndtr((delay - t) / spread).mean() * distance > LIMIT
    if not early:
        return []
    needed = f"settle={conv.settling_time:.3f} (the converter's settling_time)"
    if settle < delay:
        why = f"it takes the answer {delay:.3f} s to come through"
    else:
        why = "a good part of the answer takes longer to come through"
    return [
        f"settle is {settle:g} s, but {why} the synapses of this network: what is read "
        f"before is still of its initial state. Take at least {needed}."
    ]


def _misfits(conv, layers):
    """Of layers whose rates don't fit the activations that they get."""
    wanted = get_target(conv.target).firing_rate
    low, high = (limit * wanted for limit in _FITTING)
    found = []
    for given in (True, False):
        misfits = [
            layer
            for layer in layers
            if layer.path in conv.rates_from
            and (conv.rates_from[layer.path] == "given") is given
            and not (0.0 if given else low) <= layer.classical_high <= high
        ]
        if not misfits:
            continue
        rates = [f"{layer.classical_high:.3g}" for layer in misfits]
        span = min(rates, key=float), max(rates, key=float)
        span = span[0] if len(set(span)) == 1 else " to ".join(span)
        what = "by scale_firing_rates" if given else "for other inputs"
        fix = "Leave scale_firing_rates out, and convert" if given else "Convert"
        found.append(
            f"Rates of {some(misfits)} were chosen {what}: for these rows their 99th "
            f"percentile is {span} Hz, which should be about {wanted:g} Hz. {fix} with "
            "Converter(X=rows), some rows like these."
        )
    return found


def _lost(conv, layers):
    """Of layers that are nearly silent where the classical ones aren't."""
    shares = {
        layer: layer.mean_rate / layer.classical_mean
        for layer in layers
        if layer.classical_mean > SILENT
    }
    lost = [layer for layer, share in shares.items() if share < _LOST]
    if not lost:
        return []
    return [
        f"The neurons of {some(lost)} are nearly silent: they fire "
        f"{min(shares.values()):.0%} of what the model's activations stand for. "
        f"{_fix(conv, lost)}"
    ]


def _saturated(conv, layers):
    """Of layers that can't fire as often as they should."""
    saturated = [
        layer for layer in layers if layer.classical_high > _ABOVE * layer.most
    ]
    if not saturated:
        return []
    most = min(layer.most for layer in saturated)
    high = max(layer.classical_high for layer in saturated)
    given = any(conv.rates_from.get(layer.path) == "given" for layer in saturated)
    fix = "Give lower scale_firing_rates, or leave it out and c" if given else "C"
    return [
        f"Neurons of {some(saturated)} would have to fire at {high:.0f} Hz, and can't "
        f"at more than {most:.0f} Hz. {fix}onvert with Converter(X=rows), some rows "
        "like these."
    ]


def _fix(conv, layers):
    """What makes the neurons of some layers answer as the model does."""
    target = get_target(conv.target)
    slow = [
        layer
        for layer in layers
        if conv.rates_from.get(layer.path) == "given"
        and layer.classical_high < target.firing_rate / 2
    ]
    if slow:
        fastest = max(layer.classical_high for layer in slow)
        return (
            f"Too few spikes stand for the activations of {some(slow)}: "
            f"scale_firing_rates lets 99% of them have at most {fastest:.0f} Hz. Leave "
            "it out, and convert with Converter(X=rows)."
        )
    others = [
        layer
        for layer in layers
        if layer.parameters.get("curve", "nengo") != target.curve
    ]
    if others:
        words = target.other_curve.format(some(others))
        return f"{words[0].upper()}{words[1:]}."
    hard = [layer for layer in layers if _is_hard(layer)]
    if hard:
        return (
            f"With the gain, amplitude and gamma of {some(hard)}, LIF neurons answer "
            "otherwise than SoftLIF does. Train with the defaults, "
            f"SoftLIF(gain={LAYER_GAIN:g}, amplitude={LAYER_AMPLITUDE:g}, "
            f"gamma={GAMMA:g}), or {_correction(conv)}."
        )
    fix = _correction(conv)
    softlif = any(layer.kind == "softlif" for layer in layers)
    # where the first layer is computed by a host it is exact already
    if conv.first_layer == "converted" and softlif and not conv.off_chip:
        fix = f"convert with first_layer='exact', or {fix}"
    return f"{fix[0].upper()}{fix[1:]}."


def _correction(conv):
    """How to calibrate, and more than has been done."""
    method = ", method='weights'" if why_not_weights(conv) is None else ""
    how = f"npd.calibrate(conv, rows{method})"
    if conv.calibration is None:
        return f"correct it with {how}"
    return f"convert it again, and correct it with {how}, from rows such as these"


def _fix_of_spread(conv, layers, spread):
    """What makes draws spread as far as the classical ones."""
    given = any(conv.rates_from.get(layer.path) == "given" for layer in layers)
    if spread < 1 or given:
        return _fix(conv, layers)
    return (
        "The noise of single spikes adds to the spread of the masks: read for longer, "
        "by a longer presentation_time."
    )


def _is_hard(layer):
    """Whether LIF neurons lack more of a SoftLIF layer's answers than by default."""
    parameters = layer.parameters
    return layer.kind == "softlif" and (
        parameters.get("gain", LAYER_GAIN) < LAYER_GAIN
        or parameters.get("amplitude", LAYER_AMPLITUDE) > LAYER_AMPLITUDE
        or parameters.get("gamma", GAMMA) > GAMMA
    )


def largest(by_output, output=None):
    """
    The largest of the numbers of some outputs.

    Parameters
    ----------
    by_output : {str: float or None}
    output : str, optional
        The only one that matters.

    Returns
    -------
    value : float or None
        None if there is none.
    """
    chosen = by_output.values() if output is None else [by_output.get(output)]
    return max((value for value in chosen if value is not None), default=None)
