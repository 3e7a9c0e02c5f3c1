"""
How large the noise is that the spikes of neurons leave behind a synapse.

Neurons that fire ``r`` times a second at regular intervals, in time steps of ``dt``,
send the floor of a phase that grows by ``r dt`` a step. Its steps, over ``dt``, have
the mean ``r`` and a line at each multiple ``m r`` of the rate, with the variance
``2 (sin(pi m r dt) / (pi m dt))^2``; those beyond ``1 / dt`` come back at lower
frequencies. A synapse multiplies each line by its squared response there. Where the
neurons fire so seldom that responses to two spikes don't meet, the lines add up to
those of Poisson's spikes: ``r`` times the integral of the squared response, less
``r^2``.
"""

import functools

import numpy as np

_MOST = 2e3  # Hz; above, the noise is nothing beside the mean
_POINTS = 1000  # of a table, from the rate on at which responses meet
_LINES = 4, 400  # up to so many times 1 / dt, and so many at the least
_LONGEST = 2**15  # time steps of a response, at the most
_TAIL = 1e-9  # of a response's energy, where it is cut
_FINER = 8  # points of a spectrum for each time step of the response


class SpikeNoise:
    """
    The noise of neurons that fire regularly, behind a synapse.

    Parameters
    ----------
    synapse : `nengo.synapses.Synapse` or None
    dt : float, optional
        Time step, in seconds.
    """

    def __init__(self, synapse, dt=0.001):
        self.dt = dt
        self._table = None
        if synapse is not None:
            self._table = _table(_response(synapse, dt).tobytes(), dt)

    def variance(self, rates):
        """
        Variance of the filtered spikes of neurons.

        Parameters
        ----------
        rates : ndarray
            In Hz.

        Returns
        -------
        variance : ndarray
            In Hz^2, for spikes of amplitude 1; the same shape.
        """
        rates = np.abs(rates)
        if self._table is None:
            part = (rates * self.dt) % 1.0  # of the steps with a spike more
            return part * (1.0 - part) / self.dt**2
        known, variances, energy = self._table
        seldom = np.maximum(rates * energy - rates**2, 0.0)
        return np.where(rates < known[0], seldom, np.interp(rates, known, variances))


def _response(synapse, dt):
    """What a synapse makes of one spike, step by step, to its end."""
    n = 64
    while True:
        impulse = np.zeros((n, 1))
        impulse[0] = 1.0 / dt
        response = synapse.filt(impulse, dt=dt, y0=0)[:, 0]
        energy = np.cumsum(response**2)
        if energy[n // 2] >= (1.0 - _TAIL) * energy[-1] or n >= _LONGEST:
            return response
        n *= 2


@functools.lru_cache(maxsize=64)
def _table(response, dt):
    """
    Variances at some rates, for the response to a spike of amplitude 1.

    Returns
    -------
    rates, variances : (n,) ndarray
        In Hz, and Hz^2.
    energy : float
        Of the response, in Hz.
    """
    response = np.frombuffer(response)
    n = response.size
    squared = np.abs(np.fft.rfft(response, _FINER * n) * dt) ** 2
    frequencies = np.fft.rfftfreq(_FINER * n, dt)
    rates = np.geomspace(1.0 / (n * dt), _MOST, _POINTS)
    variances = np.empty(_POINTS)
    for i, rate in enumerate(rates):
        m = np.arange(1, max(int(_LINES[0] / (rate * dt)), _LINES[1]) + 1)
        at = np.abs((m * rate + 0.5 / dt) % (1.0 / dt) - 0.5 / dt)
        lines = 2 * (np.sin(np.pi * m * rate * dt) / (np.pi * m * dt)) ** 2
        variances[i] = lines @ np.interp(at, frequencies, squared)
    return rates, variances, float(np.sum(response**2) * dt)
