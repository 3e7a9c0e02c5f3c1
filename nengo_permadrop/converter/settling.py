"""How long a converted network takes to answer."""

import math

import nengo
import numpy as np

# Seconds of the output that an answer is averaged over, if nothing is said
READ_TIME = 0.06


def default_times(settling_time, presentation_time=None, settle=None, read=READ_TIME):
    """
    How long an observation is shown, and from when on it is read.

    Parameters
    ----------
    settling_time : float or None
        Of the network, in seconds; see `.Converter`. Not needed if ``settle`` is given.
    presentation_time, settle : float, optional
        In seconds; kept where they are given. By default ``settle`` is the settling
        time in full hundredths, and ``presentation_time`` is ``read`` longer.
    read : float, optional
        Seconds that are read.

    Returns
    -------
    presentation_time, settle : float
    """
    if settle is None:
        settle = math.ceil(settling_time * 100) / 100
    if presentation_time is None:
        presentation_time = round(settle + read, 9)
    return presentation_time, settle


def path_delay(network):
    """
    What the synapses on the longest path through a network do to a change of its input.

    Parameters
    ----------
    network : `nengo.Network`
        Without loops.

    Returns
    -------
    mean : float
        Seconds after which half of the change has come through, about.
    spread : float
        Standard deviation of the time over which it comes through, in seconds.
    """
    delays = arrivals(network).values()
    return max(delays, default=(0.0, 0.0))


def arrivals(network):
    """
    When a change of the input arrives at each ensemble and Node of a network.

    Parameters
    ----------
    network : `nengo.Network`
        Without loops.

    Returns
    -------
    delays : {object: (mean, spread)}
        As `path_delay` has them, of the longest path to the object; only for objects
        that something is connected to.
    """
    longest = {}
    moments = {}
    for conn in _in_order(network):
        if conn.synapse not in moments:
            moments[conn.synapse] = _moments(conn.synapse)
        before = longest.get(holder(conn.pre_obj), (0.0, 0.0))
        delay = tuple(a + b for a, b in zip(before, moments[conn.synapse]))
        post = holder(conn.post_obj)
        longest[post] = max(longest.get(post, (0.0, 0.0)), delay)
    return {obj: (mean, float(np.sqrt(v))) for obj, (mean, v) in longest.items()}


def _in_order(network):
    """The connections, each after all that lead to where it starts."""
    incoming = {}
    for conn in network.all_connections:
        incoming.setdefault(holder(conn.post_obj), []).append(conn)
    ordered, done = [], set()

    def visit(obj):
        if obj not in done:
            done.add(obj)
            for conn in incoming.get(obj, ()):
                visit(holder(conn.pre_obj))
                ordered.append(conn)

    for obj in list(incoming):
        visit(obj)
    return ordered


def holder(obj):
    """The ensemble of some neurons; other objects themselves."""
    return obj.ensemble if isinstance(obj, nengo.ensemble.Neurons) else obj


def _moments(synapse, dt=0.001, time=1.0):
    """Mean and variance of a synapse's impulse response, in s and s^2."""
    if synapse is None:
        return 0.0, 0.0
    t = np.arange(0, time, dt)
    impulse = np.zeros((t.size, 1))
    impulse[0] = 1.0 / dt
    response = synapse.filt(impulse, dt=dt, y0=0)[:, 0]
    weights = response / response.sum()
    mean = weights @ t
    return float(mean), float(weights @ (t - mean) ** 2)
