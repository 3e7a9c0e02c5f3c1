"""
Which neurons stand for which activation.

To add an activation, add a function here: it takes the layer's configuration and the
firing rate in Hz that an activation of 1 shall have, and says how neurons compute it.
"""

from dataclasses import dataclass

import nengo

from nengo_permadrop.neurons.loihi import LoihiLIFRate
from nengo_permadrop.neurons.softlif import SoftLIF


@dataclass(frozen=True)
class Activation:
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


ACTIVATIONS = {}


def register_activation(name):
    """Register the neurons of a Keras activation.

    Parameters
    ----------
    name : str
        The activation's name in Keras.

    Returns
    -------
    decorator : callable
        For a function of a layer's ``config`` (dict) and a firing rate (float, Hz) that
        returns an `Activation`.
    """

    def decorator(function):
        ACTIVATIONS[name] = function
        return function

    return decorator


@register_activation("softlif")
def _softlif(config, rate):
    # the rate at an activation of 1 is the layer's: a LIF curve can't be scaled. As an
    # activation= of another layer it has the defaults of ours, which are SoftLIF's.
    if "sigma" in config:  # nengo-extras' layer of the same name
        config = {"gain": 1.0, "gamma": config["sigma"], **config}
    times = {
        "tau_rc": config.get("tau_rc", 0.02),
        "tau_ref": config.get("tau_ref", 0.002),
        "amplitude": config.get("amplitude", 0.01),
    }
    if config.get("target") == "loihi":
        neuron_type = LoihiLIFRate(**times)
    else:
        neuron_type = SoftLIF(gamma=config.get("gamma", 0.02), **times)
    return Activation(
        neuron_type=neuron_type,
        gain=config.get("gain", 2.0),
        bias=1.0,
        scale=1.0,
        scalable=False,
    )


@register_activation("relu")
def _relu(config, rate):
    return Activation(
        neuron_type=nengo.RectifiedLinear(amplitude=1.0 / rate),
        gain=rate,
        bias=0.0,
        scale=1.0,
        scalable=True,
    )


@register_activation("sigmoid")
def _sigmoid(config, rate):
    return Activation(
        neuron_type=nengo.Sigmoid(tau_ref=1.0 / rate),
        gain=1.0,
        bias=0.0,
        scale=1.0 / rate,
        scalable=True,
    )


@register_activation("tanh")
def _tanh(config, rate):
    return Activation(
        neuron_type=nengo.Tanh(tau_ref=1.0 / rate),
        gain=1.0,
        bias=0.0,
        scale=1.0 / rate,
        scalable=True,
    )
