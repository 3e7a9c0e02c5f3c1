"""
The mean rates of spiking neurons whose input current fluctuates.

What a neuron gets from other neurons' spikes isn't a constant current but a mean with
noise on it, and a curved rate function takes the noise for signal: the mean of its
rates is not the rate of the mean. How large the noise is follows from the rates of the
neurons that it comes from and from the synapse
(`nengo_permadrop.converter.meanfield.noise`); here it is Gaussian.
"""

import nengo
import numpy as np
from scipy.special import ndtr

from nengo_permadrop.converter.meanfield.lif import lif_mean

# Points of the Gauss-Hermite rule for means over the noise
_POINTS, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()

# Standard deviation of the membrane's noise, relative to the current's: a leaky neuron
# averages it over its time constant
_LEAKY = 0.7


class Curve:
    """
    What a neuron type answers, on average, to a noisy current.

    Parameters
    ----------
    neuron_type : `nengo.neurons.NeuronType`
        Spiking, or a rate type, which is its own mean.

    Attributes
    ----------
    amplitude : float
        Of one spike; 0 for rate neurons, which have no noise.
    """

    def __init__(self, neuron_type):
        self.neuron_type = neuron_type
        self.amplitude = 0.0
        self._share = 0.0  # of the noise that gets through
        # not subclasses: those for Loihi lose a part of each period
        self._rectifies = type(neuron_type) is nengo.SpikingRectifiedLinear
        if neuron_type.spiking:
            self.amplitude = float(getattr(neuron_type, "amplitude", 1.0))
            self._share = _LEAKY if isinstance(neuron_type, nengo.LIF) else 1.0
        self._smooth = _smooth(neuron_type)

    def mean(self, current, std, slope=False):
        """
        Mean output for a mean current and the standard deviation of its noise.

        Parameters
        ----------
        current, std : (n, size) ndarray
        slope : bool, optional
            Give the derivative by the current, too.

        Returns
        -------
        output : (n, size) ndarray
            In the neuron's own units, with its amplitude.
        derivative : (n, size) ndarray
            If ``slope``.
        """
        if self._rectifies:
            return self._rectified(current, std, slope)
        if slope and self._smooth is not None:
            return self.mean(current, std), self._smooth.mean(current, std, True)[1]
        std = self._share * std
        if type(self.neuron_type) is nengo.LIF:
            found = lif_mean(current, std, self.neuron_type, _POINTS, _WEIGHTS)
            return found if slope else found[0]
        if not np.any(std):
            output = self._rates(current)
            return (output, self._slope(current)) if slope else output
        output, derivative = 0.0, 0.0
        for point, weight in zip(_POINTS, _WEIGHTS):
            shifted = current + point * std
            output = output + weight * self._rates(shifted)
            if slope:
                derivative = derivative + weight * self._slope(shifted)
        return (output, derivative) if slope else output

    def _rectified(self, current, std, slope):
        """The mean of max(0, current + noise), in closed form."""
        std = np.maximum(std, 1e-12)
        z = np.clip(current / std, -30, 30)
        above = ndtr(z)
        density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
        output = self.amplitude * (current * above + std * density)
        return (output, self.amplitude * above) if slope else output

    def _rates(self, current):
        size = current.shape[1]
        with np.errstate(over="ignore"):  # nengo.Sigmoid's exponentials may
            rates = self.neuron_type.rates(current, np.ones(size), np.zeros(size))
        if isinstance(self.neuron_type, nengo.neurons.RatesToSpikesNeuronType):
            rates = self.amplitude * rates  # Nengo leaves it out of these alone
        return rates

    def _slope(self, current, width=0.01):
        """By differences: the true one is infinite at a LIF neuron's threshold."""
        above, below = self._rates(current + width), self._rates(current - width)
        return (above - below) / (2 * width)


def _smooth(neuron_type):
    """
    The curve whose slope stands for that of quantised rates, which are flat or jump.

    Returns
    -------
    curve : `Curve` or None
        None for neurons whose own slope will do.
    """
    kinds = nengo.LIF, nengo.SpikingRectifiedLinear
    for kind, names in zip(kinds, (("tau_rc", "tau_ref", "amplitude"), ("amplitude",))):
        if isinstance(neuron_type, kind) and type(neuron_type) is not kind:
            return Curve(kind(**{name: getattr(neuron_type, name) for name in names}))
    return None
