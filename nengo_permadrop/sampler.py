"""Draws from the predictive distribution, on any backend."""

import logging
import pickle
import time
import warnings
from concurrent.futures import FIRST_COMPLETED, wait

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.backends import Problem, Replicas, get_backend
from nengo_permadrop.converter.settling import path_delay
from nengo_permadrop.inputs import match_inputs
from nengo_permadrop.masks import derive_seed
from nengo_permadrop.networks import mask_processes
from nengo_permadrop.parcel import Parcel
from nengo_permadrop.samples import MASKS, PredictiveSamples
from nengo_permadrop.transforms import PermanentDropout
from nengo_permadrop.version import version

logger = logging.getLogger(__name__)


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
):
    """
    Draw from the predictive distribution of a model with permanent dropout.

    An observation is presented to the network afresh for each draw; the answer is the
    mean of the output from ``settle`` to the end of the presentation.

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
    presentation_time : float, optional
        Seconds of simulated time that an observation is shown. Not used by Keras.
    settle : float, optional
        Seconds at the beginning of a presentation that are not read; for networks of
        more than two hidden layers more than the default (see
        ``Converter.settling_time``).
    seed : int, optional
        Fixes all that is random. Draw ``i`` doesn't depend on ``n_draws``, nor an
        observation's answers on the other observations. The masks of the Keras backend
        are independent of those of the networks, also for the same seed.
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
    checkpoint : None
        Not available yet.
    max_memory : int, optional
        Bytes that the state of the replicas in work may take together; they are
        computed in chunks that fit (the log says how many). By default what suits the
        backend.
    run : {"restart"}, optional
        Every presentation starts afresh; the only way yet.
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

    Returns
    -------
    samples : `.PredictiveSamples`
        Values of shape ``(n_draws, n_observations, n_outputs)``.

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument is out of range, an input is missing, of the wrong shape or not
        finite, or the model has no permanent dropout. Nothing has been simulated then.
    ImportError
        If the backend is not installed.

    Warns
    -----
    UserWarning
        If ``settle`` is shorter than the delay of the synapses of a converted network.
    """
    for attr, value, only in (
        ("checkpoint", checkpoint, None),
        ("run", run, "restart"),
    ):
        if value != only:
            raise ValidationError(
                f"must be {only!r} in this version, got {value!r}", attr=attr
            )
    if max_memory is not None and not max_memory > 0:
        raise ValidationError(
            f"must be > 0 (bytes) or None, got {max_memory}", attr="max_memory"
        )
    engine = get_backend(backend)
    _check_numbers(n_draws, presentation_time, settle, dt, seed, masks)
    problem = make_problem(engine, model, X, output, dropout, settle)
    problem.presentation_time, problem.settle = presentation_time, settle
    problem.dt, problem.seed = dt, int(seed)
    problem.options.update(_options(engine, backend_options))
    facts = engine.check(problem)

    n_observations = len(problem.X[0])
    replicas = _replicas(int(seed), n_draws, n_observations, masks)
    start = time.perf_counter()
    answers = _answers(engine, problem, replicas, executor, progress, max_memory)
    return PredictiveSamples(
        answers.reshape(n_draws, n_observations, -1),
        backend=backend,
        seed=int(seed),
        masks=masks,
        meta={
            "version": version,
            "backend_version": engine.version(),
            "presentation_time": presentation_time,
            "settle": settle,
            "dt": dt,
            "seconds": time.perf_counter() - start,
            **(facts or {}),
        },
    )


def _replicas(seed, n_draws, n_observations, masks):
    """All (draw, observation) pairs, draw by draw."""
    draws = np.repeat(np.arange(n_draws), n_observations)
    observations = np.tile(np.arange(n_observations), n_draws)
    state_seeds = derive_seed(seed, draws, observations)
    mask_seeds = state_seeds if masks == "observation" else derive_seed(seed, draws)
    return Replicas(observations, mask_seeds, state_seeds)


def _answers(engine, problem, replicas, executor, progress, max_memory):
    """Answers of all replicas, ``(n_replicas, n_outputs)``, chunk by chunk."""
    from tqdm.auto import tqdm

    size = engine.chunk_size(problem, max_memory)
    chunks = [replicas[start : start + size] for start in range(0, len(replicas), size)]
    logger.info(
        "%d replicas on backend %s, in %d chunks of at most %d",
        len(replicas),
        engine.name,
        len(chunks),
        size,
    )
    answers = [None] * len(chunks)
    with tqdm(
        total=len(replicas), desc=f"Sampling ({engine.name})", disable=not progress
    ) as bar:
        done = (
            _in_this_process(engine, problem, chunks)
            if executor is None
            else _in_executor(engine, problem, chunks, executor)
        )
        for number, answer in done:
            answers[number] = answer
            bar.update(len(chunks[number]))
    return np.concatenate(answers)


def _in_this_process(engine, problem, chunks):
    """Yield (number, answers) of chunks."""
    with engine.session(problem) as answer:
        for number, chunk in enumerate(chunks):
            yield number, answer(chunk)


def _in_executor(engine, problem, chunks, executor):
    """Yield (number, answers) of chunks as they are done."""
    parcel = Parcel(problem)
    futures = {
        executor.submit(_run_parcel, engine.name, parcel, chunk): number
        for number, chunk in enumerate(chunks)
    }
    pending = set(futures)
    try:
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield futures[future], future.result()
    finally:  # an error or Ctrl-C: don't start what has not been started
        for future in pending:
            future.cancel()


def _run_parcel(backend, parcel, replicas):
    # a function of the module, with the backend by name, so that processes can call it
    return get_backend(backend).run(parcel.content, replicas)


def make_problem(engine, model, X, output=None, dropout=None, settle=np.inf):
    """
    What `sample` hands to a backend; its numbers are still to be set.

    Parameters
    ----------
    engine : `.Backend`
    model, X, output, dropout, settle
        As in `sample`.

    Returns
    -------
    problem : `.Problem`
    """
    if engine.takes == "keras":
        return _keras_problem(model, X, output, dropout)
    if dropout is not None:
        raise ValidationError(
            "is for Keras models; a Converter takes it when it is made", attr="dropout"
        )
    if not isinstance(model, nengo.Network):
        raise ValidationError(
            f"backend {engine.name!r} takes a network, got {type(model).__name__}; "
            "convert a Keras model with nengo_permadrop.Converter",
            attr="model",
        )
    gated = bool(mask_processes(model))
    if not gated and not any(
        isinstance(conn.transform, PermanentDropout) and conn.transform.rate > 0
        for conn in model.all_connections
    ):
        raise ValidationError(_NO_DROPOUT.format(model), attr="model")
    if gated and not engine.gates:
        raise ValidationError(
            f"{model} drops units by gates (networks.DropoutGate), to which backend "
            f"{engine.name!r} can't give masks for each draw; use backend 'nengo' or "
            "'nengo_loihi', or no redraw with target='loihi'",
            attr="model",
        )
    if (
        hasattr(model, "inputs")
        and hasattr(model, "outputs")
        and hasattr(model, "graph")
    ):
        return _converter_problem(model, X, output, settle)
    return _network_problem(model, X, output)


_NO_DROPOUT = (
    "{} has no permanent dropout, so all draws would be the same; add PermanentDropout "
    "layers (or dropout='permanent' for plain Dropout layers)"
)


def _keras_problem(kmodel, X, output, dropout):
    from nengo_permadrop.converter.reference import KerasForward

    if isinstance(kmodel, nengo.Network):
        raise ValidationError(
            "backend 'keras' takes a Keras model, got a network; sample the model that "
            "it was converted from",
            attr="model",
        )
    options = {} if dropout is None else {"dropout": dropout}
    forward = KerasForward(kmodel, **options)
    if not forward.dropouts:
        raise ValidationError(
            _NO_DROPOUT.format(f"model '{kmodel.name}'"), attr="model"
        )
    graph = forward.graph
    shapes = {name: graph.shapes[index] for name, index in graph.inputs.items()}
    name = _output_name(output, graph.outputs)
    return Problem(kmodel, list(shapes), name, match_inputs(X, shapes), options=options)


def _converter_problem(conv, X, output, settle):
    shapes = {name: conv.graph.shapes[i] for name, i in conv.graph.inputs.items()}
    arrays = match_inputs(X, shapes)
    delay, _ = path_delay(conv)
    if settle < delay:
        warnings.warn(
            f"settle is {settle} s, but it takes the answer {delay:.3f} s to come "
            "through the synapses of this network: what is read before is still of its "
            f"initial state. Take at least settle={conv.settling_time:.3f} (the "
            "converter's settling_time)",
            stacklevel=4,
        )
    name = _output_name(output, conv.outputs)
    # a copy with seeds of its own: samples depend on sample()'s seed, not on the masks
    # that this converter happens to have
    conv = pickle.loads(pickle.dumps(Parcel(conv))).content
    conv.seed = None
    conv.reseed(0)
    return Problem(conv, list(conv.inputs.values()), conv.outputs[name], arrays)


def _network_problem(network, X, output):
    if not isinstance(X, dict) or not X:
        raise ValidationError(
            "a plain network takes its observations as {node: array}", attr="X"
        )
    nodes = network.all_nodes
    for node in X:
        if node not in nodes:
            raise ValidationError(f"{node} is not a Node of {network}", attr="X")
    if output is None:
        raise ValidationError(
            "a plain network needs output=, the object that the answer is read from",
            attr="output",
        )
    arrays = match_inputs(X, {node: (node.size_out,) for node in X})
    return Problem(network, list(X), output, arrays)


def _options(engine, options):
    options = {} if options is None else dict(options)
    unknown = sorted(set(options) - set(engine.options))
    if unknown:
        raise ValidationError(
            f"backend {engine.name!r} has no option {', '.join(unknown)}; it has "
            f"{', '.join(engine.options) or 'none'}",
            attr="backend_options",
        )
    return options


def _output_name(output, outputs):
    if output is None:
        return next(iter(outputs))
    names = {id(obj): name for name, obj in outputs.items() if not isinstance(obj, int)}
    name = output if isinstance(output, str) else names.get(id(output))
    if name not in outputs:
        raise ValidationError(
            f"unknown output {output!r}; there are {', '.join(outputs)}", attr="output"
        )
    return name


def _check_numbers(n_draws, presentation_time, settle, dt, seed, masks):
    if not _is_integer(n_draws) or n_draws < 1:
        raise ValidationError(f"must be an integer >= 1, got {n_draws}", attr="n_draws")
    if not _is_integer(seed) or seed < 0:
        raise ValidationError(f"must be an integer >= 0, got {seed}", attr="seed")
    if not dt > 0:
        raise ValidationError(f"must be > 0 (seconds), got {dt}", attr="dt")
    if not presentation_time > 0:
        raise ValidationError(
            f"must be > 0 (seconds), got {presentation_time}", attr="presentation_time"
        )
    if not 0 <= settle < presentation_time:
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
    if masks not in MASKS:
        raise ValidationError(
            f"must be one of {', '.join(map(repr, MASKS))}, got {masks!r}", attr="masks"
        )


def _is_integer(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
