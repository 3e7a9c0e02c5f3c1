"""The SoftLIF rate neuron type."""

import numpy as np
from nengo.exceptions import ValidationError
from nengo.neurons import LIFRate

from nengo_permadrop.support.validation import FiniteNumberParam

# Of neurons and layers: the smoothing, and time constants in seconds
GAMMA, TAU_RC, TAU_REF = 0.02, 0.02, 0.002

# Of layers: input current per unit of input, and activation per Hz
LAYER_GAIN, LAYER_AMPLITUDE = 2.0, 0.01


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
        self,
        gamma=GAMMA,
        tau_rc=TAU_RC,
        tau_ref=TAU_REF,
        amplitude=1,
        initial_state=None,
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
