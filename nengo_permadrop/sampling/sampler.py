"""Draws from the predictive distribution, on any backend."""

import contextlib
import time

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.backends.base import Replicas, get_backend
from nengo_permadrop.backends.problems import make_problem
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.execution.checkpoint import Checkpoint
from nengo_permadrop.execution.chunks import compute
from nengo_permadrop.samples.samples import MASKS, PredictiveSamples
from nengo_permadrop.sampling.single_run import run_on
from nengo_permadrop.sources.registry import read_model
from nengo_permadrop.support.digest import digest
from nengo_permadrop.support.isolation import outside_networks
from nengo_permadrop.support.validation import (
    check_choice,
    check_execution,
    check_integer,
    check_mapping,
    check_seconds,
    check_seed,
    check_times,
)
from nengo_permadrop.version import version

RUNS = ("restart", "single")


def sample(
    model,
    X,
    n_draws=100,
    backend="batched",
    presentation_time=0.1,
    settle=0.04,
    seed=0,
    masks="observation",
    executor=None,
    progress=True,
    checkpoint=None,
    max_memory=None,
    run="restart",
    *,
    output=None,
    dt=0.001,
    dropout=None,
    backend_options=None,
    first_observation=0,
):
    """
    Draw from the predictive distribution of a model with permanent dropout.

    An observation is presented to the network afresh for each draw, or once for all
    draws (see ``run``); an answer is the mean of the output from ``settle`` to the end
    of the presentation.

    Parameters
    ----------
    model : `.Converter`, `nengo.Network` or `keras.Model`
        A Keras model for ``backend="keras"``, a network for all others.
    X : array_like, list of array_like or dict
        Observations: ``(n_observations, ...)`` for a model of one input; a list of
        such arrays, or a dictionary by name, for several. For a plain network,
        ``{node: array}``.
    n_draws : int, optional
        Draws of each observation.
    backend : str, optional
        "batched" (many simulations at once, on `.Simulator`), "nengo" (one after the
        other, on the reference simulator), "nengo_dl" (many at once on NengoDL),
        "nengo_loihi" (one after the other, on Loihi or its emulator) or "keras" (the
        classical forward pass). The first three give the same samples, to rounding.
        (NengoDL sets TensorFlow's global seed, and while it builds a network, Nengo's
        precision for the whole process.)
    presentation_time : float, optional
        Seconds of simulated time that an observation is shown. Not used by Keras.
    settle : float, optional
        Seconds at the beginning of a presentation that are not read; for networks of
        more than two hidden layers more than the default (see
        ``Converter.settling_time``).
    seed : int, optional
        Fixes all that is random; from 0 to 2**32 - 1. Draw ``i`` doesn't depend on
        ``n_draws``, nor an observation's answers on the other observations. The masks
        of the Keras backend are independent of those of the networks, also for the same
        seed.
    masks : {"observation", "draw"}, optional
        "observation": new masks for every draw of every observation, as Keras does.
        "draw": one set of masks for all observations of a draw; tests that need
        independent observations are then not valid.
    executor : `concurrent.futures.Executor`, optional
        Where chunks of the work are computed; by default in this process. The samples
        are the same. Processes should be spawned, not forked, where TensorFlow has
        been imported.
    progress : bool, optional
        Show a progress bar.
    checkpoint : str or path-like, optional
        Folder for finished chunks. A run that was ended in any way, and is started
        again with the same arguments, goes on from them, and gives the samples that it
        would have given. The executor and ``max_memory`` may differ, and so may
        ``n_draws``, as a run of more draws begins with the same ones. The folder stays
        when the run is done.
    max_memory : int, optional
        Bytes that the state of the replicas in work may take together; they are
        computed in chunks that fit (the log says how many). By default what suits the
        backend.
    run : {"restart", "single"}, optional
        "restart": every presentation starts afresh. "single": an observation's run goes
        on; new masks are drawn after every ``presentation_time`` seconds, and each of
        these windows gives a draw (see `nengo_permadrop.sampling.single_run`). Windows
        that are too short for the network give draws that are correlated, and spread
        too little: see ``samples.effective_size()`` and `.tune_window`. With
        nengo_loihi, convert with ``redraw``. The dropouts of a plain network must
        redraw so themselves. The checkpoint of a single run can't be gone on from with
        more draws.
    output : Nengo object, str or None, optional
        What the answer is read from: of a plain network, the object to probe; of a
        converter or Keras model with several outputs, the name of one (by default the
        first).
    dt : float, optional
        Time step, in seconds.
    dropout : {"permanent", "off"}, optional
        For a Keras model: what a plain ``Dropout`` layer is, as in `.Converter`
        (default "permanent"). A converter has been told already.
    backend_options : dict, optional
        Options of one backend. "nengo_dl" takes ``minibatch_size`` and ``dtype``;
        "nengo_loihi" takes ``target`` ("sim" or "loihi") and ``hardware_options``, as
        `nengo_loihi.Simulator` does, and ``n_chips``, how many there are (default 1).
    first_observation : int, optional
        Number of the first row of ``X`` in a longer table, of which ``X`` is a part:
        the rows then have the masks and initial states that they have when the whole
        table is sampled at once.

    Returns
    -------
    samples : `.PredictiveSamples`
        Values of shape ``(n_draws, n_observations, n_outputs)``. Their ``meta`` holds
        the times, and in ``simulated_time`` the seconds for which each observation was
        simulated (of all its presentations; 0 for Keras).

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument is out of range, an input is missing, of the wrong shape or not
        finite, or the model has no permanent dropout; or if the checkpoint is of
        something else, in use, or not a checkpoint. Nothing has been simulated then.
    ImportError
        If the backend is not installed.
    OSError
        If there is no room for the checkpoint. What is finished is kept.

    Warns
    -----
    UserWarning
        If ``settle`` is shorter than the delay of the synapses of a converted network;
        if a chunk of the checkpoint is damaged (it is computed again).
    """
    return draw_samples(
        model,
        X,
        n_draws=n_draws,
        backend=backend,
        presentation_time=presentation_time,
        settle=settle,
        seed=seed,
        masks=masks,
        executor=executor,
        progress=progress,
        checkpoint=checkpoint,
        max_memory=max_memory,
        run=run,
        output=output,
        dt=dt,
        dropout=dropout,
        backend_options=backend_options,
        first_observation=first_observation,
    )


def draw_samples(
    model,
    X,
    *,
    n_draws,
    backend,
    presentation_time,
    settle,
    seed,
    masks="observation",
    executor=None,
    progress=True,
    checkpoint=None,
    max_memory=None,
    run="restart",
    output=None,
    dt=0.001,
    dropout=None,
    backend_options=None,
    first_observation=0,
    from_onset=False,
):
    """`sample`; with ``from_onset``, what is read before the network has settled is
    read on purpose, and isn't warned of."""
    check_choice(run, "run", RUNS)
    check_execution(executor, checkpoint, max_memory)
    engine = get_backend(backend)
    n_draws, presentation_time, settle, dt, seed = _check_numbers(
        n_draws, presentation_time, settle, dt, seed, masks
    )
    first_observation = check_integer(first_observation, "first_observation", 0)
    options = _options(engine, backend_options)
    # shorter than the delay is no fault there
    unsettled = np.inf if run == "single" or from_onset else settle
    with outside_networks():  # of the caller's, for backends that make networks too
        problem = make_problem(engine, model, X, output, dropout, unsettled)
        problem.presentation_time, problem.settle = presentation_time, settle
        problem.dt, problem.seed = dt, seed
        problem.options.update(options)
        n_runs = -(-n_draws // problem.n_copies)
        if run == "single":
            run_on(engine, problem, n_windows=n_runs)
            n_runs = 1
        store = None
        if checkpoint is not None:  # before a backend prepares the network for itself
            identity = _identity(engine, problem, masks, first_observation)
            store = Checkpoint(checkpoint, identity)
        facts = engine.check(problem)

        n_observations = len(problem.X[0])
        replicas = _replicas(seed, n_runs, n_observations, masks, first_observation)
        start = time.perf_counter()
        with contextlib.nullcontext() if store is None else store:
            answers = compute(
                engine, problem, replicas, executor, progress, max_memory, store
            )
    parts = (n_runs, n_observations, problem.n_windows, problem.n_copies, -1)
    values = answers.reshape(parts).transpose(0, 2, 3, 1, 4)
    return PredictiveSamples(
        values.reshape(-1, n_observations, values.shape[-1])[:n_draws],
        backend=backend,
        seed=seed,
        masks=masks,
        meta={
            "version": version,
            "backend_version": engine.version(),
            "presentation_time": presentation_time,
            "settle": settle,
            "dt": dt,
            "run": run,
            "simulated_time": _simulated_time(engine, problem, n_runs),
            "first_observation": first_observation,
            "seconds": time.perf_counter() - start,
            **(facts or {}),
        },
    )


def _simulated_time(engine, problem, n_runs):
    return 0.0 if engine.takes == "model" else n_runs * problem.n_run_steps * problem.dt


def _identity(engine, problem, masks, first_observation):
    """All that the answer of a draw and observation depends on."""
    model = problem.model
    if engine.takes == "model":
        model = read_model(model)
    return {
        "model": digest([model, problem.inputs, problem.output]),
        "X": digest(problem.X),
        "first_observation": first_observation,
        "masks": masks,
        "seed": problem.seed,
        "presentation_time": float(problem.presentation_time),
        "settle": float(problem.settle),
        "dt": float(problem.dt),
        "windows": [problem.n_windows, float(problem.begin), problem.n_copies],
        "options": digest(problem.options),
        "backend": engine.name,
        "backend version": engine.version(),
        "nengo version": nengo.__version__,
        "nengo-permadrop version": version,
    }


def _replicas(seed, n_draws, n_observations, masks, first_observation=0):
    """All (draw, observation) pairs, draw by draw."""
    draws = np.repeat(np.arange(n_draws), n_observations)
    observations = np.tile(np.arange(n_observations), n_draws)
    state_seeds = derive_seed(seed, draws, first_observation + observations)
    mask_seeds = state_seeds if masks == "observation" else derive_seed(seed, draws)
    return Replicas(observations, mask_seeds, state_seeds)


def _options(engine, options):
    options = dict(check_mapping(options, "backend_options"))
    unknown = sorted(map(str, set(options) - set(engine.options)))
    if unknown:
        raise ValidationError(
            f"backend {engine.name!r} has no option {', '.join(unknown)}; it has "
            f"{', '.join(engine.options) or 'none'}",
            attr="backend_options",
        )
    return options


def _check_numbers(n_draws, presentation_time, settle, dt, seed, masks):
    """The numbers as Python's own, so that samples keep no others."""
    n_draws = check_integer(n_draws, "n_draws", 1)
    seed = check_seed(seed)
    for attr, value in (
        ("presentation_time", presentation_time),
        ("settle", settle),
        ("dt", dt),
    ):
        check_seconds(value, attr, zero=attr == "settle")
    presentation_time, settle, dt = check_times(presentation_time, settle, dt)
    if not settle < presentation_time:
        raise ValidationError(
            f"must be at least 0 and less than presentation_time ({presentation_time} "
            f"s), got {settle}",
            attr="settle",
        )
    if int(round(settle / dt)) >= int(round(presentation_time / dt)):
        raise ValidationError(
            f"no time step of {dt} s lies between settle ({settle} s) and "
            f"presentation_time ({presentation_time} s)",
            attr="dt",
        )
    check_choice(masks, "masks", MASKS)
    return n_draws, presentation_time, settle, dt, seed
