"""The energy of a predictive distribution, from counts and published figures."""

from nengo.exceptions import ValidationError

from nengo_permadrop.accounting.classical import classical_counts
from nengo_permadrop.accounting.counting import CountingNetwork
from nengo_permadrop.accounting.devices import find_devices
from nengo_permadrop.accounting.result import Energy
from nengo_permadrop.backends.base import get_backend
from nengo_permadrop.converter.timing import presentation_times
from nengo_permadrop.support.validation import (
    check_execution,
    check_integer,
    check_seconds,
    check_seed,
    check_times,
)


def energy(
    conv,
    X,
    n_draws=100,
    *,
    presentation_time=None,
    settle=None,
    backend="batched",
    seed=0,
    devices=None,
    dt=0.001,
    executor=None,
    progress=True,
    max_memory=None,
    backend_options=None,
):
    """
    Estimate the energy of a predictive distribution, by counting in a run.

    The network is run as `.sample` runs it, with the same masks and spikes for the same
    seed. Spikes, the synaptic events that they cause (dropped units cause none) and
    neuron updates are counted, and multiplied by published figures of each device
    (`.devices`). Beside it stands what the classical network's multiply-accumulates
    would cost. What is assumed, and what is left out, is printed with the result; no
    energy is measured.

    Parameters
    ----------
    conv : `.Converter`
        With spiking neurons.
    X : array_like, list of array_like or {str: array_like}
        Observations, as in `.sample`. What is returned is the mean over them.
    n_draws : int, optional
        Draws of each observation that are counted, and that a distribution is of.
    presentation_time : float, optional
        Seconds that an observation is shown; by default 0.06 longer than ``settle``.
    settle : float, optional
        Seconds before the output is read; by default the settling time of ``conv``, in
        full hundredths.
    backend : str, optional
        What simulates the spiking network. "nengo_loihi" counts on Loihi's emulator.
    seed : int, optional
        Decides everything random.
    devices : sequence of str or `.Device`, optional
        By default all that are known, `.DEVICES`.
    dt : float, optional
        Time step, in seconds, of simulation and devices.
    executor, progress, max_memory, backend_options
        As in `.sample`.

    Returns
    -------
    energy : `.Energy`

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument is out of range, a device is unknown, or the network doesn't
        consist of spiking neurons with dropout of their outputs.

    Warns
    -----
    UserWarning
        If ``settle`` is shorter than the delay of the network's synapses.

    Examples
    --------
    ::

        estimate = npd.energy(conv, X, n_draws=100, presentation_time=0.16, settle=0.1)
        print(estimate)
        estimate.joules("loihi"), estimate.joules("gpu")
    """
    devices = find_devices(devices)
    n_draws, seed = check_integer(n_draws, "n_draws", 1), check_seed(seed)
    presentation_time, settle, dt = check_times(
        presentation_time, settle, check_seconds(dt, "dt")
    )
    check_execution(executor, None, max_memory)
    get_backend(backend)
    counting = CountingNetwork(conv, dt)
    presentation_time, settle = presentation_times(conv, presentation_time, settle, dt)
    if not 0 < int(round(settle / dt)) < int(round(presentation_time / dt)):
        raise ValidationError(
            f"must be at least a time step ({dt} s), and one less than "
            f"presentation_time ({presentation_time} s); got {settle}",
            attr="settle",
        )
    options = {
        "n_draws": n_draws,
        "backend": backend,
        "seed": seed,
        "executor": executor,
        "progress": progress,
        "max_memory": max_memory,
        "backend_options": backend_options,
    }
    # the second run repeats the beginning of the first one
    settled = counting.count(X, settle, presentation_time, **options)
    onset = counting.count(X, 0.0, settle, **options)
    activations = {layer.layer: layer.neurons for layer in settled}
    return Energy(
        layers=tuple(a.plus(b) for a, b in zip(onset, settled)),
        settled=tuple(settled),
        inputs=counting.input_counts,
        classical=classical_counts(conv.graph, conv.dropout, activations),
        devices=devices,
        n_draws=n_draws,
        presentation_time=presentation_time,
        settle=settle,
        dt=dt,
        backend=backend,
        seed=seed,
    )
