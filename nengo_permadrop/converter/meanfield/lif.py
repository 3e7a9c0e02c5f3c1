"""The mean rates of LIF neurons under noise, compiled."""

import math

import numba
import numpy as np

# Noise (in units of the current) below which the slope is taken by differences
_LITTLE = 0.02


@numba.njit(fastmath=True, inline="always")
def _rate(current, tau_rc, tau_ref):
    if current <= 1.0:
        return 0.0
    return 1.0 / (tau_ref + tau_rc * math.log1p(1.0 / (current - 1.0)))


@numba.njit(cache=True, nogil=True, fastmath=True)
def lif_means(current, std, tau_rc, tau_ref, points, weights, rates, slopes):
    """
    Mean rates of LIF neurons whose current is normally distributed, and their slopes.

    Parameters
    ----------
    current, std : (n, size) ndarray
        Means and standard deviations.
    tau_rc, tau_ref : float
        In seconds.
    points, weights : (n_points,) ndarray
        Of a quadrature for the standard normal distribution.
    rates, slopes : (n, size) ndarray
        Filled: in Hz, and in Hz per unit of current.
    """
    reach = points[-1]
    for i in range(current.shape[0]):
        for j in range(current.shape[1]):
            mean, spread = current[i, j], std[i, j]
            rate, slope = 0.0, 0.0
            if mean + reach * spread + _LITTLE > 1.0:
                for k in range(points.size):
                    value = _rate(mean + points[k] * spread, tau_rc, tau_ref)
                    rate += weights[k] * value
                    slope += weights[k] * points[k] * value
                if spread > _LITTLE:
                    slope /= spread  # Stein's identity
                else:
                    above = _rate(mean + _LITTLE, tau_rc, tau_ref)
                    below = _rate(mean - _LITTLE, tau_rc, tau_ref)
                    slope = (above - below) / (2 * _LITTLE)
            rates[i, j] = rate
            slopes[i, j] = slope


def lif_mean(current, std, neuron_type, points, weights):
    """
    As `lif_means`, with new arrays, and the neurons' amplitude.

    Returns
    -------
    output, slope : (n, size) ndarray
    """
    output, slope = np.empty_like(current), np.empty_like(current)
    constants = float(neuron_type.tau_rc), float(neuron_type.tau_ref)
    lif_means(
        np.ascontiguousarray(current),
        np.ascontiguousarray(std),
        *constants,
        points,
        weights,
        output,
        slope,
    )
    amplitude = float(neuron_type.amplitude)
    return amplitude * output, amplitude * slope
