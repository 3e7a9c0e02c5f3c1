"""
Which neurons compute which activation.

To add an activation, add a function here: it takes the firing rate in Hz that an
activation of 1 shall have, and the activation's parameters, and says how neurons
compute it. Packages add theirs as entry points in the group
"nengo_permadrop.activations".
"""

from dataclasses import dataclass

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.neurons.loihi import LoihiLIFRate
from nengo_permadrop.neurons.softlif import (
    GAMMA,
    LAYER_AMPLITUDE,
    LAYER_GAIN,
    TAU_RC,
    TAU_REF,
    SoftLIF,
)
from nengo_permadrop.support.registry import Registry


@dataclass(frozen=True)
class ActivationNeurons:
    """Neurons that compute ``f(x) = scale * neuron_type(gain * x + bias)``.

    Attributes
    ----------
    neuron_type : `nengo.neurons.NeuronType`
        A rate type.
    gain, bias : float
        From the layer's input to the neurons' input current.
    scale : float
        From the neurons' output to the layer's.
    scalable : bool
        Whether its firing rates follow ``scale_firing_rates``.
    """

    neuron_type: nengo.neurons.NeuronType
    gain: float
    bias: float
    scale: float
    scalable: bool


_ACTIVATIONS = Registry("activation", "nengo_permadrop.activations")

# Rate neurons of SoftLIF layers, by the target whose curve they have learned
_CURVES = {}


def register_activation(kind):
    """Register the neurons of an activation.

    Parameters
    ----------
    kind : str
        As in `.Activation`: the field's name for it, in lower case.

    Returns
    -------
    decorator : callable
        For a function of a firing rate (float, Hz) and the activation's parameters, by
        keyword, that returns `ActivationNeurons`.
    """

    def decorator(function):
        _ACTIVATIONS.register(kind, function)
        return function

    return decorator


def register_curve(target):
    """Register the rate neurons that SoftLIF layers of a target compute.

    Parameters
    ----------
    target : str

    Returns
    -------
    decorator : callable
        For a function of ``gamma``, ``tau_rc``, ``tau_ref`` and ``amplitude`` that
        returns a `nengo.neurons.NeuronType`.
    """

    def decorator(function):
        _CURVES[target] = function
        return function

    return decorator


def curve_names():
    """The targets whose rate curves SoftLIF layers can have, a list of str."""
    return list(_CURVES)


def activation_names():
    """The kinds of activations that there are neurons for, a list of str."""
    return sorted(_ACTIVATIONS.names())


def activation_neurons(kind, rate, **parameters):
    """
    The neurons of an activation.

    Parameters
    ----------
    kind : str
    rate : float or None
        Firing rate, in Hz, of an activation of 1; None for those that have their own,
        which don't ask for it.
    **parameters
        As in `.Activation`.

    Returns
    -------
    neurons : `ActivationNeurons`

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is no such activation.
    """
    return _ACTIVATIONS.get(kind)(rate, **parameters)


def activate(operation, x):
    """
    What an `.Activation` makes of its input, as `.evaluate` wants it.

    It is computed by the rate neurons that stand for the activation.
    """
    neurons = activation_neurons(operation.kind, 1.0, **operation.parameters)
    size = x.shape[1]
    gain, bias = np.full(size, neurons.gain), np.full(size, neurons.bias)
    with np.errstate(over="ignore"):  # nengo.Sigmoid's exponentials may; it is right
        return neurons.scale * neurons.neuron_type.rates(x, gain, bias)


@register_curve("nengo")
def _smooth_curve(gamma, **constants):
    return SoftLIF(gamma=gamma, **constants)


@register_curve("loihi")
def _loihi_curve(gamma, **constants):
    return LoihiLIFRate(**constants)


@register_activation("softlif")
def _softlif(
    rate,
    gain=LAYER_GAIN,
    gamma=GAMMA,
    tau_rc=TAU_RC,
    tau_ref=TAU_REF,
    amplitude=LAYER_AMPLITUDE,
    curve="nengo",
):
    # the rate at an activation of 1 is the layer's: a LIF curve can't be scaled
    if curve not in _CURVES:
        raise ValidationError(
            f"no target has the rate curve {curve!r}; there are those of "
            f"{', '.join(sorted(_CURVES))}",
            attr="curve",
        )
    return ActivationNeurons(
        neuron_type=_CURVES[curve](
            gamma=gamma, tau_rc=tau_rc, tau_ref=tau_ref, amplitude=amplitude
        ),
        gain=gain,
        bias=1.0,
        scale=1.0,
        scalable=False,
    )


@register_activation("relu")
def _relu(rate):
    return ActivationNeurons(
        neuron_type=nengo.RectifiedLinear(amplitude=1.0 / rate),
        gain=rate,
        bias=0.0,
        scale=1.0,
        scalable=True,
    )


@register_activation("sigmoid")
def _sigmoid(rate):
    return ActivationNeurons(
        neuron_type=nengo.Sigmoid(tau_ref=1.0 / rate),
        gain=1.0,
        bias=0.0,
        scale=1.0 / rate,
        scalable=True,
    )


@register_activation("tanh")
def _tanh(rate):
    return ActivationNeurons(
        neuron_type=nengo.Tanh(tau_ref=1.0 / rate),
        gain=1.0,
        bias=0.0,
        scale=1.0 / rate,
        scalable=True,
    )
