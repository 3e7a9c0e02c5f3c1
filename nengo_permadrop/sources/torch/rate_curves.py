"""
The curves of SoftLIF layers in PyTorch, and the noise that spikes make of them.

Importing this module makes the operator ``nengo_permadrop::softlif`` known to PyTorch.
"""

import math

from nengo_permadrop.neurons.loihi import discretised_constants
from nengo_permadrop.support.optional import require

torch = require("torch")
_softplus = torch.nn.functional.softplus

_LOIHI_DT = 0.001  # a time step of the chip, which Nengo takes as one millisecond

TARGETS = ("nengo", "loihi")
NOISES = (None, "lowpass", "alpha", "alpharc")


def softlif_rate(current, gamma, tau_rc, tau_ref):
    """
    Rate of a SoftLIF neuron, differentiable everywhere.

    Parameters
    ----------
    current : `torch.Tensor`
        Input current above the threshold (0 is the threshold of a LIF neuron).
    gamma : float
        Width of the smoothing, in units of the current.
    tau_rc, tau_ref : float
        Time constants, in seconds.

    Returns
    -------
    rate : `torch.Tensor`
        In Hz, same shape as ``current``.
    """
    z = current / gamma
    # softplus underflows for very negative z, where log(softplus(z)) is z; the inner
    # where keeps the branch that is not taken from sending a NaN into the gradient
    tail = z < -20.0
    safe = torch.where(tail, torch.zeros_like(z), z)
    log_rho = math.log(gamma) + torch.where(tail, z, torch.log(_softplus(safe)))
    return 1.0 / (tau_ref + tau_rc * _softplus(-log_rho))


def _loihi_rate(current, tau_rc, tau_ref):
    """Loihi's rates: periods of whole time steps, time constants that it can hold."""
    tau_rc, tau_ref = discretised_constants(tau_rc, tau_ref, _LOIHI_DT)
    fires = current > 0
    safe = torch.where(fires, current, torch.ones_like(current))
    period = tau_ref + tau_rc * _softplus(-torch.log(safe))
    steps = torch.ceil(period / _LOIHI_DT)
    return torch.where(fires, 1.0 / (_LOIHI_DT * steps), torch.zeros_like(current))


def rates(x, gamma, tau_rc, tau_ref, gain, target):
    """
    Rates of a SoftLIF layer's neurons.

    Parameters
    ----------
    x : `torch.Tensor`
        Inputs of the layer.
    gamma, tau_rc, tau_ref, gain, target
        As of `~nengo_permadrop.sources.torch.layers.SoftLIF`.

    Returns
    -------
    rate : `torch.Tensor`
        In Hz, that which has a gradient.
    forward : `torch.Tensor`
        That of the forward pass; the same tensor where they don't differ.
    """
    current = gain * x
    rate = softlif_rate(current, gamma, tau_rc, tau_ref)
    if target == TARGETS[0]:
        return rate, rate
    return rate, _loihi_rate(current, tau_rc, tau_ref)


def straight_through(rate, forward):
    """
    The values of one tensor with the gradient of another.

    Parameters
    ----------
    rate : `torch.Tensor`
        What has the gradient.
    forward : `torch.Tensor`
        What has the values.

    Returns
    -------
    both : `torch.Tensor`
    """
    return rate if forward is rate else rate + (forward - rate).detach()


def activation(x, gamma, tau_rc, tau_ref, amplitude, gain, target):
    """
    Activations of a SoftLIF layer, of PyTorch's own operators.

    Parameters
    ----------
    x : `torch.Tensor`
    gamma, tau_rc, tau_ref, amplitude, gain, target
        As of `~nengo_permadrop.sources.torch.layers.SoftLIF`.

    Returns
    -------
    y : `torch.Tensor`
        Same shape as ``x``.
    """
    both = rates(x, gamma, tau_rc, tau_ref, gain, target)
    return amplitude * straight_through(*both)


_LIBRARY = torch.library.Library("nengo_permadrop", "DEF")
_LIBRARY.define(
    "softlif(Tensor x, float gamma, float tau_rc, float tau_ref, float amplitude, "
    "float gain, str target) -> Tensor"
)
# made of others: PyTorch finds its gradient, its shapes and its decomposition by itself
_LIBRARY.impl("softlif", activation, "CompositeImplicitAutograd")


def filtered_spikes(period, phase, noise, tau_s, tau_rc):
    """
    A regular spike train of unit spikes through a synapse, at some phase.

    With ``h`` the impulse response, ``sum_k h(t + k * period)`` for ``t`` uniform in
    ``[0, period)``: its mean over ``t`` is the rate, ``1 / period``.

    Parameters
    ----------
    period : `torch.Tensor`
        In seconds.
    phase : `torch.Tensor`
        In [0, 1), of a period.
    noise : {"lowpass", "alpha", "alpharc"}
    tau_s, tau_rc : float
        Time constants of the synapse and of the membrane after it, in seconds.

    Returns
    -------
    filtered : `torch.Tensor`
        In Hz.
    """
    t = phase * period

    def exp_sum(tau):  # of exp(-(t + k p) / tau)
        return torch.exp(-t / tau) / -torch.expm1(-period / tau)

    def ramp_sum(tau):  # of (t + k p) exp(-(t + k p) / tau)
        decayed = torch.exp(-period / tau)
        return exp_sum(tau) * (t + period * decayed / (1.0 - decayed))

    if noise == "lowpass":
        return exp_sum(tau_s) / tau_s
    if noise == "alpha":
        return ramp_sum(tau_s) / tau_s**2
    difference = tau_rc - tau_s
    return (tau_rc / difference**2) * (exp_sum(tau_rc) - exp_sum(tau_s)) - ramp_sum(
        tau_s
    ) / (tau_s * difference)
