"""
Which neuron types the kernels and the vectorised steps know.

A type is known by its ``step``, so that a subclass that has one of its own isn't taken
for its parent; and those of nengo-loihi by the name of it, so that the package needn't
be imported.
"""

from dataclasses import dataclass

import nengo

from nengo_permadrop.support.optional import require

_LOIHI_LIF = ("nengo_loihi.neurons", "LoihiLIF.step")
# steps that are elementwise, of types that are not imported for it
_ELEMENTWISE = (
    _LOIHI_LIF,
    ("nengo_loihi.neurons", "LoihiSpikingRectifiedLinear.step"),
)


@dataclass(frozen=True)
class LIFTimes:
    """
    The constants of LIF neurons, in seconds.

    Attributes
    ----------
    tau_rc, tau_ref : float
    tau_spike : float
        Of the time between the crossing of the threshold and the end of its step, by
        which the refractory period begins earlier: ``tau_rc``, or 0 if it begins with
        the next step.
    """

    tau_rc: float
    tau_ref: float
    tau_spike: float


def has_kernel(neuron_type):
    """Whether the kernels can step such neurons."""
    return is_lif(neuron_type) or is_rectified(neuron_type) or is_regular(neuron_type)


def is_rectified(neuron_type):
    """Whether neurons are stepped as spiking rectified linear ones."""
    return type(neuron_type).step is nengo.SpikingRectifiedLinear.step


def is_regular(neuron_type):
    """
    Whether neurons are spikes of a rate type's curve, at regular intervals.

    With a constant current, for which the rates are known, they are rectified linear.
    """
    return type(neuron_type).step is nengo.RegularSpiking.step


def is_lif(neuron_type):
    """Whether neurons are stepped as LIF neurons, Nengo's or Loihi's."""
    return type(neuron_type).step is nengo.LIF.step or _name(neuron_type) == _LOIHI_LIF


def lif_times(neuron_type, dt):
    """
    The constants of LIF neurons.

    Parameters
    ----------
    neuron_type : `nengo.neurons.NeuronType`
        For which `is_lif`.
    dt : float
        Time step, in seconds.

    Returns
    -------
    times : `LIFTimes`
    """
    tau_rc, tau_ref = neuron_type.tau_rc, neuron_type.tau_ref
    if _name(neuron_type) != _LOIHI_LIF:
        return LIFTimes(tau_rc, tau_ref, tau_rc)
    loihi = require("nengo_loihi").neurons
    return LIFTimes(
        loihi.discretize_tau_rc(tau_rc, dt), loihi.discretize_tau_ref(tau_ref, dt), 0.0
    )


def is_known_elementwise(neuron_type):
    """Whether the step of a type from another package is known to be elementwise."""
    return _name(neuron_type) in _ELEMENTWISE


def _name(neuron_type):
    step = type(neuron_type).step
    return step.__module__, step.__qualname__
