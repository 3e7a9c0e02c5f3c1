"""
Calibrating a converted network: its mean currents made those of the rate network.

A spiking network answers a little beside the rate network that it was converted from:
LIF neurons lack SoftLIF's tail under the threshold, and answer to a current that
fluctuates otherwise than to its mean. The error of one layer is an error in the input
of the next. `calibrate` measures these, layer by layer, and takes them back by a gain
and a bias for each neuron.
"""

import warnings

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.calibration.parts import correct, find_levels, mean_currents
from nengo_permadrop.calibration.records import Calibration, Correction
from nengo_permadrop.calibration.weights import check_weights, copy_weights, fit_weights
from nengo_permadrop.converter.timing import presentation_times
from nengo_permadrop.converter.twins import rate_twin
from nengo_permadrop.support.inputs import match_inputs
from nengo_permadrop.support.isolation import own_network
from nengo_permadrop.support.validation import (
    check_choice,
    check_integer,
    check_seconds,
    check_seed,
    check_times,
)

METHODS = ("currents", "weights")

# One observation of so many is not fitted, but kept to measure the error with
HOLD_OUT = 4

# Of the rows that weights are fitted to, so many are simulated at the most
_MEASURED = 192

# Gains that are further off than this say that something else is wrong
_MOST_GAIN = 1.25


def calibrate(
    conv,
    X_calibration,
    n_draws=16,
    *,
    presentation_time=None,
    settle=None,
    seed=0,
    gains=True,
    method="currents",
    dt=0.001,
):
    """
    Bring a spiking network's answers to those of the rate network.

    Both networks are given the same observations and masks; targets aren't needed.

    With ``method="currents"``, from the first layer to the outputs, the currents that
    each layer of neurons receives, averaged over what is read of a presentation, are
    compared; a line is fitted for each neuron to how the spiking network's follow the
    rate network's, over all observations and masks; and the neuron's gain and bias are
    changed to undo it. What is done to a layer is in force when the next one is
    measured. It follows the layer-wise calibration of [1]_, with masks and with gains.

    With ``method="weights"``, all weights and biases are fitted to the rate network's
    answers, by gradients through the rate curves that the neurons have at the noise
    that they get (see `nengo_permadrop.calibration.weights`); then the outputs are
    corrected as above. It takes longer. Where the first layer is exact (see
    `.Converter`), it leaves less than the lines do; elsewhere, about as much.

    The converter is changed in place, and keeps the `.Calibration` as ``calibration``;
    it can be sampled, pickled and sent to workers as before. ``conv.verify`` still
    verifies the conversion, which comes before the calibration.

    Parameters
    ----------
    conv : `.Converter`
        Of spiking neurons, not calibrated yet. All its copies get the same
        corrections. For Loihi, the network must be trained for it, too. What is
        measured there are Loihi's neurons in `nengo_permadrop.Simulator`: the chip
        also rounds weights, which isn't corrected.
    X_calibration : array_like, list of array_like or {str: array_like}
        Observations to fit to, ``(n_observations, ...)`` an input; at least
        `HOLD_OUT`. Never those that you test agreement with. Every `HOLD_OUT`-th isn't
        fitted to: the errors in the report are of these.
    n_draws : int, optional
        Masks of each observation.
    presentation_time, settle : float, optional
        As you will give them to `.sample`; by default what the network needs, by the
        rule of `.sample`.
    seed : int, optional
        Decides masks and initial states; the same seed gives the same corrections.
    gains : bool, optional
        Correct gains too, or biases only. Corrections of gains are kept between 0.8
        and 1.25.
    method : {"currents", "weights"}, optional
        What is corrected; see above. "weights" is not for Loihi, whose neurons have
        rates in steps, nor for masks that gates redraw.
    dt : float, optional
        Time step, in seconds.

    Returns
    -------
    calibration : `.Calibration`

    Raises
    ------
    nengo.exceptions.ValidationError
        If the converter can't be calibrated, or an argument is out of range. The
        converter is as it was then.

    Warns
    -----
    UserWarning
        If gains would have needed larger corrections; the errors in the report tell
        what is left.

    References
    ----------
    .. [1] Li, Y., Deng, S., Dong, X., Gong, R., & Gu, S. (2021). A free lunch from ANN:
       Towards efficient, accurate spiking neural networks calibration. ICML.

    Examples
    --------
    ::

        conv = npd.Converter(kmodel)
        print(npd.calibrate(conv, X_validation, presentation_time=0.2, settle=0.1))
        samples = npd.sample(conv, X_test, presentation_time=0.2, settle=0.1)
    """
    calibration = calibrate_quietly(
        conv,
        X_calibration,
        n_draws,
        presentation_time=presentation_time,
        settle=settle,
        seed=seed,
        gains=gains,
        method=method,
        dt=dt,
    )
    _warn_of_limits(calibration)
    return calibration


def calibrate_quietly(
    conv,
    X_calibration,
    n_draws,
    *,
    presentation_time=None,
    settle=None,
    seed=0,
    gains=True,
    method="currents",
    dt=0.001,
):
    """As `calibrate`, without its warning: for those that judge what comes of it."""
    _check_converter(conv)
    if check_choice(method, "method", METHODS) == "weights":
        check_weights(conv)
    n_draws, seed = check_integer(n_draws, "n_draws", 1), check_seed(seed)
    presentation_time, settle, dt = check_times(
        presentation_time, settle, check_seconds(dt, "dt")
    )
    X = match_inputs(X_calibration, conv.graph.input_shapes)
    presentation_time, settle = presentation_times(conv, presentation_time, settle, dt)
    options = {
        "presentation_time": presentation_time,
        "settle": settle,
        "n_draws": n_draws,
        "seed": seed,
        "gains": gains,
        "method": method,
        "dt": dt,
    }
    _check_options(options, len(X[0]))

    # Both from the graph: with masks that depend on the seed alone, and don't change
    # during a presentation
    with own_network(0):
        spiking, rate = _spiking_twin(conv), rate_twin(conv)
    levels = find_levels(spiking)
    parts = [part for level in levels for part in level]
    held_out = np.arange(len(X[0])) % HOLD_OUT == HOLD_OUT - 1
    fitted = [x[~held_out] for x in X]
    if method == "weights":
        X, held_out = _fewer(X, held_out)
    reference = mean_currents(rate, parts, X, options, dt, 0.0)

    def measured(chosen):
        return mean_currents(spiking, chosen, X, options, presentation_time, settle)

    before = _errors(measured(parts), reference, held_out)
    if method == "weights":
        fit_weights(spiking, fitted, seed, dt)
    corrections = {}
    for level in levels if method == "currents" else levels[-1:]:
        for part, current in measured(level).items():
            line = _line(current[:, ~held_out], reference[part][:, ~held_out], gains)
            corrections[part] = line
            correct(spiking, part, *line)
    after = _errors(measured(parts), reference, held_out)

    calibration = Calibration(
        tuple(
            Correction(
                part.name,
                *corrections.get(part, (None, None)),
                before[part],
                after[part],
            )
            for part in parts
        ),
        n_observations=len(fitted[0]),
        n_held_out=int(np.count_nonzero(held_out)),
        options=options,
    )
    for copy in conv.copies:
        _change(copy, corrections, spiking if method == "weights" else None)
        copy.calibration = calibration
    return calibration


def _check_converter(conv):
    from nengo_permadrop.converter.network import Converter

    if not isinstance(conv, Converter):
        found, fix = type(conv).__name__, "give a Converter"
    elif conv.neurons != "spiking":
        found, fix = "rate neurons", "they have no error; convert to spiking neurons"
    elif conv.calibration is not None:
        found, fix = "a calibrated network", "convert the model again"
    else:
        return
    raise ValidationError(f"got {found}: {fix}", attr="conv")


def _check_options(options, n_observations):
    if n_observations < HOLD_OUT:
        raise ValidationError(
            f"at least {HOLD_OUT} observations are needed, got {n_observations}",
            attr="X_calibration",
        )
    if not 0 <= options["settle"] <= options["presentation_time"] - options["dt"] / 2:
        raise ValidationError(
            "must be at least 0 and less than the presentation time "
            f"({options['presentation_time']} s), got {options['settle']} s",
            attr="settle",
        )


def _change(conv, corrections, fitted):
    """Correct a converter, or give it all that was fitted, corrected outputs too."""
    if fitted is not None:
        copy_weights(fitted, conv)
        return
    for part, (gain, bias) in corrections.items():
        correct(conv, part, gain, bias)


def _fewer(X, held_out):
    """Some rows to measure outputs with, evenly spaced, and which aren't fitted."""
    chosen = [
        np.flatnonzero(rows)[np.linspace(0, rows.sum() - 1, most).astype(int)]
        for rows, n in ((~held_out, _MEASURED), (held_out, _MEASURED // (HOLD_OUT - 1)))
        for most in [min(n, rows.sum())]
    ]
    rows = np.sort(np.concatenate(chosen))
    return [x[rows] for x in X], held_out[rows]


def _spiking_twin(conv):
    return type(conv)(
        conv.graph,
        target=conv.target,
        synapse=conv.synapse,
        dropout=conv.dropout,
        scale_firing_rates=conv.firing_rates or None,
        first_layer=conv.first_layer,
        seed=0,
    )


def _line(spiking, rate, gains):
    """
    Gain and bias that take the spiking network's currents to the rate network's.

    The spiking currents are regressed on the rate currents, which have no noise of
    spikes; the other way round, the noise would make the slope too small.
    """
    spiking = spiking.reshape(-1, spiking.shape[-1])
    rate = rate.reshape(-1, rate.shape[-1])
    mean_spiking, mean_rate = spiking.mean(axis=0), rate.mean(axis=0)
    gain = np.ones_like(mean_rate)
    if gains:
        variance = ((rate - mean_rate) ** 2).mean(axis=0)
        covariance = ((rate - mean_rate) * (spiking - mean_spiking)).mean(axis=0)
        follows = (covariance > 0) & (variance > 1e-12)
        gain[follows] = variance[follows] / covariance[follows]
        gain = np.clip(gain, 1 / _MOST_GAIN, _MOST_GAIN)
    return gain, mean_rate - gain * mean_spiking


def _warn_of_limits(calibration):
    beyond = []
    for correction in calibration.corrections:
        gain = np.ones(0) if correction.gain is None else correction.gain
        n = np.count_nonzero((gain <= 1 / _MOST_GAIN) | (gain >= _MOST_GAIN))
        if n > 0:
            beyond.append(f"'{correction.layer}' ({n} of {gain.size})")
    if beyond:
        warnings.warn(
            f"gains of {', '.join(beyond)} would have to be corrected by more than "
            f"{1 / _MOST_GAIN:g} to {_MOST_GAIN:g}, and are corrected by as much. Show "
            "observations for longer (presentation_time, settle), or use "
            "gains=False",
            stacklevel=3,
        )


def _errors(spiking, rate, rows):
    """See `Correction`; by part."""
    errors = {}
    for part, current in spiking.items():
        reference = rate[part]
        error = (current - reference)[:, rows].mean(axis=0)
        spread = reference.std(axis=(0, 1))
        scale = np.sqrt(np.mean(spread**2))
        errors[part] = float(np.sqrt(np.mean(error**2)) / scale) if scale > 0 else 0.0
    return errors
