"""SoftLIF, and the spiking twins of rate neuron types."""

import nengo
import numpy as np
from nengo.exceptions import ValidationError
from nengo.neurons import LIFRate

from nengo_permadrop.optional import require
from nengo_permadrop.validation import FiniteNumberParam


class SoftLIF(LIFRate):
    r"""
    A rate neuron with a smoothed LIF response, which gradient descent can train [1]_.

    The rate for an input current :math:`J` is

    .. math:: \frac{amplitude}{\tau_{ref} + \tau_{RC} \log(1 + 1 / \sigma(J - 1))},
       \qquad \sigma(x) = \gamma \log(1 + e^{x / \gamma}),

    the rate of a LIF neuron with the hard threshold :math:`\max(0, x)` replaced by the
    softplus :math:`\sigma`. It tends to `nengo.LIFRate` as ``gamma`` goes to 0.

    Parameters
    ----------
    gamma : float, optional
        Width of the smoothing, in units of the input current; greater than 0.
    tau_rc : float, optional
        Membrane RC time constant, in seconds.
    tau_ref : float, optional
        Absolute refractory period, in seconds.
    amplitude : float, optional
        Scaling factor on the neuron output.
    initial_state : {str: Distribution or array_like}, optional
        As in `nengo.LIFRate`; a SoftLIF has no state.

    References
    ----------
    .. [1] Hunsberger, E., & Eliasmith, C. (2015). Spiking deep networks with LIF
       neurons. arXiv:1510.08829.
    """

    gamma = FiniteNumberParam("gamma", low=0, low_open=True)
    tau_rc = FiniteNumberParam("tau_rc", low=0, low_open=True)
    tau_ref = FiniteNumberParam("tau_ref", low=0)
    amplitude = FiniteNumberParam("amplitude", low=0, low_open=True)

    def __init__(
        self, gamma=0.02, tau_rc=0.02, tau_ref=0.002, amplitude=1, initial_state=None
    ):
        super().__init__(
            tau_rc=tau_rc,
            tau_ref=tau_ref,
            amplitude=amplitude,
            initial_state=initial_state,
        )
        self.gamma = gamma

    def gain_bias(self, max_rates, intercepts):
        """
        Gain and bias for which the rate is ``max_rates`` at a represented value of 1.

        The intercept is where the smoothed threshold is (a current of 1), as for LIF.
        """
        max_rates = np.asarray(np.atleast_1d(max_rates), dtype=float)
        intercepts = np.asarray(np.atleast_1d(intercepts), dtype=float)
        j_max = self._threshold_distance(max_rates)
        if not np.all((j_max > 0) & np.isfinite(j_max)):
            lowest = self._rate(np.zeros(1))[0] / self.amplitude
            raise ValidationError(
                f"Max rates must be above the rate at the threshold ({lowest:0.3f} Hz) "
                f"and below 1 / tau_ref; got {max_rates.min():0.3f} to "
                f"{max_rates.max():0.3f}",
                attr="max_rates",
                obj=self,
            )
        gain = j_max / (1.0 - intercepts)
        return gain, 1.0 - gain * intercepts

    def max_rates_intercepts(self, gain, bias):
        """The inverse of `gain_bias`."""
        intercepts = (1.0 - np.asarray(bias)) / gain
        return self._rate(gain * (1.0 - intercepts)) / self.amplitude, intercepts

    def rates(self, x, gain, bias):
        """Steady-state rates for represented values ``x``, as in `nengo.NeuronType`."""
        return self._rate(self.current(x, gain, bias) - 1)

    def step(self, dt, J, output):
        """Implement the SoftLIF nonlinearity."""
        output[...] = self._rate(J - 1)

    def _rate(self, j):
        # log(1 / rho), without overflow where rho = softplus underflows
        z = j / self.gamma
        log_rho = np.log(self.gamma) + np.where(
            z < -30, z, np.log(np.maximum(np.logaddexp(0, z), np.finfo(z.dtype).tiny))
        )
        log1p_inv_rho = np.logaddexp(0, -log_rho)
        return self.amplitude / (self.tau_ref + self.tau_rc * log1p_inv_rho)

    def _threshold_distance(self, rates):
        """The current above threshold that gives a rate (without the amplitude)."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            rho = 1.0 / np.expm1((1.0 / rates - self.tau_ref) / self.tau_rc)
            ratio = rho / self.gamma
            j = np.where(ratio > 30, rho, self.gamma * np.log(np.expm1(ratio)))
        return np.where(rho > 0, j, np.nan)


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


_TWINS = {}


def register_spiking(rate_type, target="nengo"):
    """
    Register how a rate neuron type becomes a spiking one.

    Parameters
    ----------
    rate_type : type
        The `nengo.neurons.NeuronType` subclass; subclasses need their own entry,
        because a twin of the parent could be silently wrong for them.
    target : {"nengo", "loihi"}, optional
        Where the spiking network will run.

    Returns
    -------
    decorator : callable
        For a function that takes the rate neuron instance and returns the spiking one.
    """

    def decorator(function):
        _TWINS[rate_type, target] = function
        return function

    return decorator


def spiking(neuron_type, target="nengo"):
    """
    The spiking neuron type whose mean rate is a rate neuron's, or nearly so.

    Parameters
    ----------
    neuron_type : `nengo.neurons.NeuronType`
        A rate type; or a spiking type of the target, which is returned as it is.
    target : {"nengo", "loihi"}, optional
        "loihi" gives nengo-loihi's types (and imports it), whose rates are those of the
        chip, quantised to whole time steps.

    Returns
    -------
    spiking_type : `nengo.neurons.NeuronType`

    Raises
    ------
    nengo.exceptions.ValidationError
        If the target is unknown, or the type has no twin there.

    Examples
    --------
    >>> import nengo_permadrop as npd
    >>> npd.spiking(npd.SoftLIF(gamma=0.02, amplitude=0.01))
    LIF(amplitude=0.01)
    """
    if target not in TARGETS:
        raise ValidationError(
            f"unknown target {target!r}; use one of {', '.join(TARGETS)}",
            attr="target",
        )
    twin = _TWINS.get((type(neuron_type), target))
    if twin is not None:
        return twin(neuron_type)
    known = sorted(cls.__name__ for cls, where in _TWINS if where == target)
    raise ValidationError(
        f"{neuron_type} has no spiking twin for target {target!r}; known there: "
        f"{', '.join(known)}. Register one with nengo_permadrop.neurons."
        "register_spiking",
        attr="neuron_type",
    )


TARGETS = ("nengo", "loihi")


def _same(neuron_type):
    return neuron_type


for _spiking_type in (
    nengo.LIF,
    nengo.AdaptiveLIF,
    nengo.SpikingRectifiedLinear,
    nengo.Izhikevich,
    nengo.RegularSpiking,
    nengo.StochasticSpiking,
    nengo.PoissonSpiking,
):
    register_spiking(_spiking_type)(_same)


@register_spiking(SoftLIF)
@register_spiking(LoihiLIFRate)
@register_spiking(nengo.LIFRate)
def _lif(neuron_type):
    return nengo.LIF(
        tau_rc=neuron_type.tau_rc,
        tau_ref=neuron_type.tau_ref,
        amplitude=neuron_type.amplitude,
    )


@register_spiking(nengo.AdaptiveLIFRate)
def _adaptive_lif(neuron_type):
    return nengo.AdaptiveLIF(
        tau_n=neuron_type.tau_n,
        inc_n=neuron_type.inc_n,
        tau_rc=neuron_type.tau_rc,
        tau_ref=neuron_type.tau_ref,
        amplitude=neuron_type.amplitude,
    )


@register_spiking(nengo.RectifiedLinear)
def _spiking_relu(neuron_type):
    return nengo.SpikingRectifiedLinear(amplitude=neuron_type.amplitude)


@register_spiking(nengo.Sigmoid)
@register_spiking(nengo.Tanh)
def _regular(neuron_type):
    return nengo.RegularSpiking(neuron_type)


@register_spiking(SoftLIF, target="loihi")
@register_spiking(LoihiLIFRate, target="loihi")
@register_spiking(nengo.LIFRate, target="loihi")
@register_spiking(nengo.LIF, target="loihi")
def _loihi_lif(neuron_type):
    return require("nengo_loihi").neurons.LoihiLIF(
        tau_rc=neuron_type.tau_rc,
        tau_ref=neuron_type.tau_ref,
        amplitude=neuron_type.amplitude,
    )


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


@register_spiking(nengo.RectifiedLinear, target="loihi")
@register_spiking(nengo.SpikingRectifiedLinear, target="loihi")
def _loihi_relu(neuron_type):
    return require("nengo_loihi").neurons.LoihiSpikingRectifiedLinear(
        amplitude=neuron_type.amplitude
    )
