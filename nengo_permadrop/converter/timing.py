"""
How long a network takes to answer, by the synapses between its input and output.

A synapse spreads a change of its input over time, as its impulse response does: with a
mean delay and a variance, which add up along a path. (Of a response that changes its
sign it is the moments of the absolute value, as what comes late is not taken back by
what came before it.) A network has settled when the slowest of its paths has: after the
mean and two standard deviations, when 95% of a change have come through, about.
"""

import functools
import math

import nengo
import numpy as np
from nengo.exceptions import ValidationError
from nengo.synapses import LinearFilter
from nengo.utils.filter_design import cont2discrete, tf2ss

# Seconds of the output that an answer is averaged over, if nothing is said
READ_TIME = 0.06

# Standard deviations of a path's delay after which it has settled
_SPREADS = 2

# Time step in which synapses are taken, in seconds
_DT = 0.001

# Time steps of an impulse response, at the most
_MOST_STEPS = 2**17

# What is left of a response (of its second moment) where it is cut
_TAIL = 1e-10


def presentation_times(network, presentation_time=None, settle=None, dt=0.001):
    """
    The one rule for how long an observation is shown, and from when on it is read.

    Parameters
    ----------
    network : `nengo.Network`
    presentation_time, settle : float, optional
        In seconds; kept where they are given. By default what the network needs, as in
        `default_times`.
    dt : float, optional
        Time step, in seconds.

    Returns
    -------
    presentation_time, settle : float

    Raises
    ------
    nengo.exceptions.ValidationError
        If no time step is left to be read, or the network has no settling time.
    """
    needed = None
    if settle is None:
        try:
            needed = settling_time(network)
        except ValidationError as error:
            raise ValidationError(
                f"can't be chosen for {network}: {error}. Give presentation_time and "
                "settle",
                attr="settle",
            ) from error
    given = presentation_time
    presentation_time, settle = default_times(needed, presentation_time, settle)
    fix = "got {settle}"
    if needed is not None and given is not None:
        fix = f"and {network} needs {{settle}} s to settle; give more time, or settle"
    check_window(presentation_time, settle, dt, fix)
    return presentation_time, settle


def check_window(presentation_time, settle, dt, fix="got {settle}"):
    """Raise if no time step is left to be read; times in seconds."""
    if not settle < presentation_time:
        raise ValidationError(
            f"must be at least 0 and less than presentation_time ({presentation_time} "
            f"s), {fix.format(settle=settle)}",
            attr="settle",
        )
    if int(round(settle / dt)) >= int(round(presentation_time / dt)):
        raise ValidationError(
            f"no time step of {dt} s lies between settle ({settle} s) and "
            f"presentation_time ({presentation_time} s)",
            attr="dt",
        )


def default_times(settling_time, presentation_time=None, settle=None):
    """
    How long an observation is shown, and from when on it is read.

    Parameters
    ----------
    settling_time : float or None
        Of the network, in seconds; see `.Converter`. Not needed if ``settle`` is given.
    presentation_time, settle : float, optional
        In seconds; kept where they are given. By default ``settle`` is the settling
        time in full hundredths, and ``presentation_time`` is `READ_TIME` longer.

    Returns
    -------
    presentation_time, settle : float
    """
    if settle is None:
        # as written: 0.07 is a hundredth, although 0.07 * 100 is more than 7
        settle = math.ceil(settling_time * 100 - 1e-6) / 100
    if presentation_time is None:
        presentation_time = round(settle + READ_TIME, 9)
    return presentation_time, settle


def settling_time(network):
    """
    Seconds until the output of a network has settled, after a change of its input.

    Parameters
    ----------
    network : `nengo.Network`

    Returns
    -------
    seconds : float
        Mean and two standard deviations of the delay on the path that takes longest.
        That need not be the one with the largest mean.

    Raises
    ------
    nengo.exceptions.ValidationError
        As in `arrivals`.
    """

    def settled(delay):
        mean, variance = delay
        return mean + _SPREADS * float(np.sqrt(variance))

    fronts = {}
    for conn, moments in in_order(network):
        before = fronts.get(holder(conn.pre_obj), [(0.0, 0.0)])
        post = holder(conn.post_obj)
        after = [(m + moments[0], v + moments[1]) for m, v in before]
        fronts[post] = _slowest(fronts.get(post, []) + after)
    return max((settled(d) for front in fronts.values() for d in front), default=0.0)


def _slowest(delays):
    """Those of some (mean, variance) that aren't less than another one in both."""
    kept = []
    for mean, variance in sorted(set(delays), reverse=True):
        if not kept or variance > kept[-1][1] * (1 + 1e-12):
            kept.append((mean, variance))
    return kept


def path_delay(network):
    """
    What the synapses on the longest path through a network do to a change of its input.

    Parameters
    ----------
    network : `nengo.Network`

    Returns
    -------
    mean : float
        Seconds after which half of the change has come through, about.
    spread : float
        Standard deviation of the time over which it comes through, in seconds.

    Raises
    ------
    nengo.exceptions.ValidationError
        As in `arrivals`.
    """
    delays = arrivals(network).values()
    return max(delays, default=(0.0, 0.0))


def arrivals(network):
    """
    When a change of the input arrives at each ensemble and Node of a network.

    Parameters
    ----------
    network : `nengo.Network`

    Returns
    -------
    delays : {object: (mean, spread)}
        As `path_delay` has them, of the path with the largest mean to the object; only
        for objects that something is connected to.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the network has a loop, or a synapse whose response doesn't end.
    """
    longest = {}
    for conn, moments in in_order(network):
        before = longest.get(holder(conn.pre_obj), (0.0, 0.0))
        delay = tuple(a + b for a, b in zip(before, moments))
        post = holder(conn.post_obj)
        longest[post] = max(longest.get(post, (0.0, 0.0)), delay)
    return {obj: (mean, float(np.sqrt(v))) for obj, (mean, v) in longest.items()}


def in_order(network):
    """
    The connections, each after all that lead to where it starts.

    Yields
    ------
    conn : `nengo.Connection`
    moments : (float, float)
        Mean and variance of its synapse's response.
    """
    outgoing, waiting = {}, {}
    for conn in network.all_connections:
        pre, post = holder(conn.pre_obj), holder(conn.post_obj)
        outgoing.setdefault(pre, []).append(conn)
        waiting.setdefault(pre, 0)
        waiting[post] = waiting.get(post, 0) + 1
    moments = {}
    ready = [obj for obj, n in waiting.items() if n == 0]
    while ready:
        for conn in outgoing.get(ready.pop(), ()):
            # by identity: synapses may be equal to Nengo that have other attributes
            if id(conn.synapse) not in moments:
                moments[id(conn.synapse)] = _moments(conn)
            yield conn, moments[id(conn.synapse)]
            post = holder(conn.post_obj)
            waiting[post] -= 1
            if waiting[post] == 0:
                ready.append(post)
    if any(waiting.values()):
        loop = _loop(outgoing, {obj for obj, n in waiting.items() if n})
        raise ValidationError(
            f"{network} has a loop of connections ({' -> '.join(map(str, loop))}), so "
            "that its synapses don't say when it has settled. Sample it with "
            "run='restart' and a settle that you have found by simulating it",
            attr="model",
            obj=network,
        )


def _loop(outgoing, left):
    """Objects of a loop, the first one at both ends, among those in or after loops."""
    incoming = {}
    for obj in left:
        for conn in outgoing.get(obj, ()):
            incoming[holder(conn.post_obj)] = obj
    path = [next(iter(left))]
    while path[-1] not in path[:-1]:  # all that are left wait for another one of them
        path.append(incoming[path[-1]])
    return path[path.index(path[-1]) :][::-1]


def holder(obj):
    """The ensemble of some neurons; other objects themselves."""
    return obj.ensemble if isinstance(obj, nengo.ensemble.Neurons) else obj


def _moments(conn):
    """
    Mean and variance of the impulse response of a connection's synapse.

    Returns
    -------
    mean, variance : float
        Of its absolute value, in s and s^2.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the response doesn't end, or there is none.
    """
    synapse = conn.synapse
    if synapse is None:
        return 0.0, 0.0
    try:
        if isinstance(synapse, LinearFilter):
            num, den = tuple(synapse.num.tolist()), tuple(synapse.den.tolist())
            return _linear_moments(num, den, synapse.analog, synapse.method)
        return _moments_of(_simulated_response(synapse), _DT)
    except _NeverSettles as error:
        raise ValidationError(
            f"{synapse} of {conn} has no settling time: {error}. Use a filter that "
            "decays, such as nengo.Lowpass or nengo.Alpha",
            attr="synapse",
            obj=conn,
        ) from error


class _NeverSettles(Exception):
    """Why a synapse has no settling time."""


def _moments_of(respond, dt):
    """Mean and variance of ``respond(n_steps)``, a response, followed to its end."""
    n_steps = 1024
    while True:
        response = np.abs(respond(n_steps))
        t = dt * np.arange(n_steps)
        second = response * t**2
        ended = second[n_steps // 2 :].sum() <= _TAIL * second.sum()
        if ended and response.any():
            break
        if n_steps >= _MOST_STEPS:
            what = "goes on" if response.any() else "is zero"
            raise _NeverSettles(f"its impulse response {what} for {n_steps * dt:g} s")
        n_steps *= 2
    weights = response / response.sum()
    mean = float(weights @ t)
    return mean, float(weights @ (t - mean) ** 2)


def _simulated_response(synapse):
    """The response of a synapse of which nothing is known."""

    def respond(n_steps):
        impulse = np.zeros((n_steps, 1))
        impulse[0] = 1.0
        return synapse.filt(impulse, dt=_DT, y0=0)[:, 0]

    return respond


@functools.lru_cache(maxsize=256)
def _linear_moments(num, den, analog, method):
    """
    Mean and variance of the impulse response of a linear filter, as Nengo simulates it.

    Parameters
    ----------
    num, den : tuple of float
    analog : bool
    method : str
        As in `nengo.synapses.LinearFilter`.
    """
    dt = _DT
    A, B, C, D = tf2ss(num, den)
    if len(A) == 0:
        if not D.any():
            raise _NeverSettles("its impulse response is zero")
        return 0.0, 0.0
    if analog:
        slowest = -np.linalg.eigvals(A).real.max()
        # a response in all its time steps would be long; and of several equal poles,
        # too, little is left after 100 time constants
        while slowest > 0 and 100 / slowest > _MOST_STEPS * dt:
            dt, method = 2 * dt, "zoh"  # others may not be stable in longer steps
        A, B, C, D, _ = cont2discrete((A, B, C, D), dt, method=method)
    if not np.abs(np.linalg.eigvals(A)).max() < 1 - 1e-9:
        raise _NeverSettles("it doesn't forget its input")

    def respond(n_steps):
        states, power = B, A  # of all steps so far, and A to their number
        while states.shape[1] < n_steps:
            states = np.hstack([states, power @ states])
            power = power @ power
        response = (C @ states[:, :n_steps])[0]
        if np.any(D != 0):  # Nengo leaves out the step of delay that others have
            return np.r_[D.ravel(), response[:-1]]
        return response

    return _moments_of(respond, dt)
