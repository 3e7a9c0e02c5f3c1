"""Rates of Loihi's neurons, and the spiking neurons that its host computes."""

import nengo
import numpy as np
from nengo.neurons import LIFRate

from nengo_permadrop.neurons.softlif import SoftLIF
from nengo_permadrop.support.optional import require


class LoihiLIFRate(LIFRate):
    """
    A rate neuron with the rates of Loihi's LIF neurons at a constant current.

    Their periods are whole time steps, and their time constants those that the chip can
    hold. It is what ``SoftLIF(target="loihi")`` layers compute in Keras, and runs
    anywhere but on the chip. nengo-loihi, which says what the rates are, must be
    installed.

    Parameters
    ----------
    tau_rc : float, optional
        Membrane RC time constant, in seconds.
    tau_ref : float, optional
        Absolute refractory period, in seconds.
    amplitude : float, optional
        Scaling factor on the neuron output.
    initial_state : {str: Distribution or array_like}, optional
        As in `nengo.LIFRate`; it has no state.
    """

    def rates(self, x, gain, bias, dt=0.001):
        """
        Rates for represented values ``x``, as in `nengo.NeuronType`.

        They depend on the time step ``dt``, in seconds, which Nengo doesn't give.
        """
        current = self.current(x, gain, bias)
        output = np.zeros_like(current)
        self.step(dt, current, output)
        return output

    def step(self, dt, J, output):
        """Implement Loihi's tuning curve, for time steps of ``dt`` seconds."""
        loihi = require("nengo_loihi").neurons
        tau_rc = loihi.discretize_tau_rc(self.tau_rc, dt)
        tau_ref = loihi.discretize_tau_ref(self.tau_ref, dt)
        fires = J > 1
        period = tau_ref + tau_rc * np.log1p(1.0 / np.where(fires, J - 1.0, 1.0))
        rates = self.amplitude / (dt * np.ceil(period / dt))
        output[...] = np.where(fires, rates, 0.0)


def discretised_constants(tau_rc, tau_ref, dt=0.001):
    """
    The time constants that Loihi has in the place of others.

    A membrane's decay is a fraction of 4095 a time step, a refractory period is whole
    time steps [1]_. It needs no nengo-loihi, which new Pythons don't have.

    Parameters
    ----------
    tau_rc, tau_ref : float
        In seconds.
    dt : float, optional
        Time step, in seconds.

    Returns
    -------
    tau_rc, tau_ref : float

    References
    ----------
    .. [1] ``discretize_tau_rc`` and ``discretize_tau_ref`` of nengo_loihi 1.1.0.
    """
    decay = np.round(-np.expm1(-dt / tau_rc) * 4095) / 4095
    return float(-dt / np.log1p(-decay)), float(dt * np.round(tau_ref / dt))


def host_spiking(rate_type, dt=0.001):
    """
    Spiking neurons of a layer that Loihi's host computes, for its chip.

    Layers that are driven by Nodes are kept off the chip. There, neurons can have just
    the rate type's curve, and needn't be as slow as on the chip: theirs are
    `nengo.RegularSpiking`, and fire as many times faster as one spike a time step
    allows, each spike counting for less. With the usual refractory period of two steps
    that is twice as fast. The noise that their spikes leave in the currents of the next
    layer is what biases that layer's rates, and is then half as large.

    Parameters
    ----------
    rate_type : `nengo.neurons.NeuronType`
    dt : float, optional
        Time step, in seconds.

    Returns
    -------
    spiking_type : `nengo.RegularSpiking` or None
        None if the type is not a kind of LIF neuron, or may spike more than once a time
        step: the chip would take that for one spike.
    """
    if type(rate_type) not in _HOST_TYPES:
        return None
    faster = int(_shortest_period(rate_type, dt) / dt + 1e-6)
    if faster < 1:
        return None
    names = ("gamma", "tau_rc", "tau_ref")
    constants = {n: getattr(rate_type, n) for n in names if hasattr(rate_type, n)}
    base_type = type(rate_type)(**constants, amplitude=faster)
    return nengo.RegularSpiking(base_type, amplitude=rate_type.amplitude / faster)


def fires_twice_a_step(neuron_type, dt):
    """
    Whether neurons that `host_spiking` gave may, in steps other than it was asked for.

    Parameters
    ----------
    neuron_type : `nengo.neurons.NeuronType`
        Of any kind; it is False for others.
    dt : float
        Time step, in seconds.

    Returns
    -------
    twice : bool
    """
    base_type = getattr(neuron_type, "base_type", None)
    if type(base_type) not in _HOST_TYPES:
        return False
    return base_type.amplitude * dt > _shortest_period(base_type, dt) * (1 + 1e-6)


_HOST_TYPES = (SoftLIF, LoihiLIFRate, nengo.LIFRate)


def _shortest_period(rate_type, dt):
    """Seconds between two spikes of LIF neurons, at least."""
    if isinstance(rate_type, LoihiLIFRate):
        return require("nengo_loihi").neurons.discretize_tau_ref(rate_type.tau_ref, dt)
    return rate_type.tau_ref
