"""
Draws of a spiking network and of the classical one, with the same masks draw by draw.

What a converted network's masks are follows from the number of each mask in the network
and from the seed, draw and observation; not from what the neurons are. So the network
of rate neurons that is made from the same graph, which answers as the classical one,
has the same masks as the spiking network where both are sampled with one seed. The
difference of two such answers is what spikes do, and little of it is chance: it takes
far fewer of them to know a difference of the means than it takes independent draws.
"""

from nengo.exceptions import ValidationError

from nengo_permadrop.converter.network import Converter
from nengo_permadrop.converter.timing import presentation_times
from nengo_permadrop.converter.twins import rate_twin
from nengo_permadrop.sampling.sampler import sample_unchecked
from nengo_permadrop.support.isolation import own_network
from nengo_permadrop.support.validation import check_seconds, check_times


def paired_samples(
    conv,
    X,
    n_draws=200,
    *,
    presentation_time=None,
    settle=None,
    seed=0,
    backend="batched",
    output=None,
    dt=0.001,
    executor=None,
    progress=False,
    max_memory=None,
    backend_options=None,
):
    """
    Draws of a spiking network, and the classical network's draws of the same masks.

    Parameters
    ----------
    conv : `.Converter`
        Of spiking neurons; it is sampled as it is: calibrated or not, with its target,
        synapse, gates and copies.
    X, n_draws, presentation_time, settle, seed, output, dt
        As in `.sample`.
    backend : str, optional
        What simulates the spiking network, as in `.sample`. The classical network is
        the network of rate neurons, on "batched".
    executor, progress, max_memory, backend_options
        As in `.sample`; the last one is for the spiking network.

    Returns
    -------
    spiking, classical : `.PredictiveSamples`
        Draw ``i`` of an observation has the same masks in both.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``conv`` isn't a converter of spiking neurons, its masks would change during
        a presentation, or an argument is out of its range, as in `.sample`.

    Notes
    -----
    These are not independent, and `.ks_agreement` refuses to judge them. `.certify`
    says what they tell.
    """
    check_spiking(conv)
    presentation_time, settle, dt = check_times(
        presentation_time, settle, check_seconds(dt, "dt")
    )
    presentation_time, settle = presentation_times(conv, presentation_time, settle, dt)
    if conv.redraw is not None and conv.redraw < presentation_time - dt / 2:
        raise ValidationError(
            f"{conv} takes new masks after {conv.redraw} s, before a presentation of "
            f"{presentation_time} s ends, so that its answer belongs to no masks. Show "
            "observations for at most as long, or convert with another redraw",
            attr="presentation_time",
        )
    common = {"output": output, "dt": dt, "executor": executor}
    common.update(progress=progress, max_memory=max_memory)
    spiking = sample_unchecked(
        conv,
        X,
        n_draws,
        presentation_time=presentation_time,
        settle=settle,
        seed=seed,
        backend=backend,
        backend_options=backend_options,
        **common,
    )
    return spiking, classical_samples(conv, X, n_draws, seed=seed, **common)


def classical_samples(conv, X, n_draws=200, *, seed=0, dt=0.001, **options):
    """
    Draws of the classical network that a network was converted from.

    Of the same network of rate neurons, which answers at once, and needs no model.

    Parameters
    ----------
    conv : `.Converter`
    X, n_draws, seed, dt
        As in `.sample`.
    **options
        Others of `.sample`, but for those of times and backends.

    Returns
    -------
    samples : `.PredictiveSamples`
        With the masks that ``conv`` has for the same seed, draw by draw.
    """
    with own_network(0):
        twin = rate_twin(conv, copies=len(conv.copies))
    times = {"presentation_time": 2 * dt, "settle": dt}
    return sample_unchecked(twin, X, n_draws, seed=seed, dt=dt, **times, **options)


def check_spiking(conv):
    """Raise a `nengo.exceptions.ValidationError` if it isn't a spiking converter."""
    if isinstance(conv, Converter) and conv.neurons == "spiking":
        return
    found = f"one of {conv.neurons} neurons" if isinstance(conv, Converter) else conv
    raise ValidationError(
        f"must be a Converter of spiking neurons, got {found}; convert with "
        "neurons='spiking'",
        attr="conv",
    )
