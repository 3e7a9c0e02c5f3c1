"""
All draws of an observation from one run of a network, which is never reset.

The observation is shown on and on, and the masks are redrawn after every *window* of
``presentation_time`` seconds; each window gives one draw, the mean of the output from
``settle`` to its end. The masks change layer by layer: those of a layer when what the
earlier layers have made of their new masks arrives there, by the delays of the
synapses (``redraw_delay`` of `.PermanentDropout`). So a new set of masks goes through
the network like a new observation, the next one can follow before it has come out, and
the window at the output lags behind that of the first dropout by the delay between
them, less what puts the part that is read into the middle of the masks' time. What lies
before the first dropout doesn't change between windows, and isn't waited for.

Only the beginning of a run is lost: as many windows as it takes the network to settle
from its initial state. Draw ``i`` has the masks of the redraw with number ``i`` plus
that many.

The masks of a run are not those that ``run="restart"`` draws from the same seed, but
for those it begins with, which are lost: samples of the two are independent.
"""

import math
import warnings
from dataclasses import replace

import nengo
from nengo.exceptions import ValidationError

from nengo_permadrop.converter.timing import arrivals, holder, path_delay, settling_time
from nengo_permadrop.dropout.gates import DropoutGate
from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.support.validation import check_whole_steps, same_time


def run_on(engine, problem, n_windows):
    """
    A problem whose runs give one draw per window.

    Parameters
    ----------
    engine : `.Backend`
    problem : `.Problem`
        Its network is changed, if it is a converter's copy: its dropouts redraw masks
        at the end of each window.
    n_windows : int
        Windows that are read.

    Returns
    -------
    problem : `.Problem`

    Raises
    ------
    nengo.exceptions.ValidationError
        If the backend has no such runs, the window isn't a whole number of time steps,
        or the network can't redraw its masks so.

    Warns
    -----
    UserWarning
        If constants are dropped with neurons: draws may then spread too little.
    """
    if not engine.windows:
        raise ValidationError(
            f"backend {engine.name!r} has no runs that go on from draw to draw; use "
            "run='restart', or backend 'batched', 'nengo', 'nengo_dl' or 'nengo_loihi'",
            attr="run",
        )
    window = problem.n_steps * problem.dt
    check_whole_steps(problem.presentation_time, problem.dt, "presentation_time")
    model = problem.model
    if hasattr(model, "dropouts"):  # a converter, of which a problem has its own copy
        if engine.fixed_weights:
            _check_gates(model)
        let_masks_travel(model, window, problem.dt)
    else:
        _check_redraws(model, window, problem.dt)
    if _shifts(model):
        warnings.warn(
            f"{model} drops constants with its neurons (a BatchNormalization before a "
            "dropout, or alpha dropout). Draws of one run may then spread too little: "
            "in a network of five alpha dropouts 0.85 times as far as with "
            "run='restart', which is to be compared with",
            stacklevel=3,
        )
    lag = output_lag(model, problem.settle)
    settled = settling_time(model)
    n_lost = math.ceil((settled - lag - problem.settle) / window - 1e-9)
    begin = max(0, n_lost) * window + round(lag / problem.dt) * problem.dt
    return replace(problem, n_windows=n_windows, begin=begin)


def let_masks_travel(network, window, dt=0.001):
    """
    Redraw all masks of a network after each window, every layer in its turn.

    Parameters
    ----------
    network : `nengo.Network`
        Changed in place.
    window : float
        Seconds.
    dt : float, optional
        Delays are rounded to a multiple of it, in seconds.
    """
    delays = {obj: mean for obj, (mean, _) in arrivals(network).items()}
    shifts = _shifts(network)
    sources = [conn.pre_obj for conn in _dropouts(network) if conn not in shifts]
    sources += [gate.neurons for gate in _gates(network)]
    first = min(delays.get(holder(source), 0.0) for source in sources)

    def after_first(source):
        return round((delays.get(holder(source), 0.0) - first) / dt) * dt

    for conn in _dropouts(network):
        # constants come at once, with what has been filtered of neurons with their mask
        source = conn.post_obj if conn in shifts else conn.pre_obj
        conn.transform = conn.transform.replaced(
            redraw=window, redraw_delay=after_first(source)
        )
    for gate in _gates(network):
        gate.redraw_every(window, after_first(gate.neurons))


def output_lag(network, settle=0.0):
    """
    Seconds from the beginning of a window until the output's window begins.

    The output answers to a window's masks from when what they change has arrived there,
    on average over the synapses' responses, until the next masks' change has. What is
    read, from ``settle`` to the end of the output's window, is the middle of that time:
    there is least of the masks before and after in it.

    Parameters
    ----------
    network : `nengo.Network`
    settle : float, optional
        Seconds of each window that aren't read.

    Returns
    -------
    lag : float
    """
    delays = arrivals(network)
    total, _ = path_delay(network)
    arriving = [
        redraw_delay + total - delays.get(holder(source), (0.0, 0.0))[0]
        for source, redraw_delay in _redrawn(network)
    ]
    # in a network by hand, masks may change in all layers at once, and arrive apart
    return max(0.0, (min(arriving) + max(arriving) - settle) / 2)


def _redrawn(network):
    """What drops units, and its ``redraw_delay``."""
    for conn in _dropouts(network):
        yield conn.pre_obj, conn.transform.redraw_delay
    for gate in _gates(network):  # which silences at once, whatever its synapse
        yield gate.neurons, gate.node.output.redraw_delay


def _dropouts(network):
    return [
        conn
        for conn in network.all_connections
        if isinstance(conn.transform, PermanentDropout) and conn.transform.rate > 0
    ]


def _shifts(network):
    """Connections of constants that are dropped with the neurons they are added to."""
    moving = {
        (conn.seed, conn.post_obj)
        for conn in _dropouts(network)
        if not _is_constant(conn.pre_obj)
    }
    return {
        conn
        for conn in _dropouts(network)
        if conn.seed is not None
        and _is_constant(conn.pre_obj)
        and (conn.seed, conn.post_obj) in moving
    }


def _is_constant(obj):
    return isinstance(obj, nengo.Node) and obj.size_in == 0


def _gates(network):
    return [net for net in network.all_networks if isinstance(net, DropoutGate)]


def _check_gates(conv):
    if _dropouts(conv):
        raise ValidationError(
            f"{conv} drops units by weights, which can't change while the chip runs; "
            "build gates by Converter(kmodel, target='loihi', "
            "redraw=presentation_time)",
            attr="model",
        )


def _check_redraws(network, window, dt):
    found = {conn.transform.redraw for conn in _dropouts(network)}
    found |= {gate.node.output.redraw for gate in _gates(network)}
    wrong = [
        redraw
        for redraw in found
        if redraw is None or not same_time(redraw, window, dt)
    ]
    if wrong:
        raise ValidationError(
            f"with run='single' all dropouts of {network} must redraw after windows "
            f"of {window} s, got redraw={wrong[0]}; make them with redraw={window}",
            attr="model",
        )
