"""Draws from the predictive distribution, on any backend."""

import contextlib
import inspect
import time

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.backends.base import Replicas, get_backend, output_name
from nengo_permadrop.backends.problems import as_taken, make_problem
from nengo_permadrop.converter.checks import warn_if_unlikely
from nengo_permadrop.converter.network import Converter
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.execution.checkpoint import Checkpoint
from nengo_permadrop.execution.chunks import Opened, compute
from nengo_permadrop.samples.samples import MASKS, PredictiveSamples
from nengo_permadrop.sampling.single_run import run_on
from nengo_permadrop.support.digest import digest
from nengo_permadrop.support.inputs import match_inputs
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
    *,
    backend="batched",
    presentation_time=None,
    settle=None,
    seed=0,
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
):
    """
    Draw from the predictive distribution of a model with permanent dropout.

    An observation is presented to the network afresh for each draw, or once for all
    draws (see ``run``); an answer is the mean of the output from ``settle`` to the end
    of the presentation.

    Parameters
    ----------
    model : `.Converter`, `nengo.Network`, `keras.Model`, or path of a model's file
        A Keras model for ``backend="keras"``, a `torch.nn.Module` for "torch", the path
        of an ONNX file for "onnx", anything that can be called for "function"; a
        network for all others. These convert a Keras model with `.Converter`'s
        defaults, for the backend's target.
    X : array_like, list of array_like or dict
        Observations: ``(n_observations, ...)`` for a model of one input; a list of
        such arrays, or a dictionary by name, for several. For a plain network,
        ``{node: array}``.
    n_draws : int, optional
        Draws of each observation.
    backend : str, optional
        "batched" (many simulations at once, on `.Simulator`), "nengo" (one after the
        other, on the reference simulator), "nengo_dl" (many at once on NengoDL),
        "nengo_loihi" (one after the other, on Loihi or its emulator); "keras", "torch"
        or "onnx" (the classical forward pass, with all dropouts on); or "function" (one
        call a draw, and no seed). The first three give the same samples, to rounding.
        (NengoDL sets TensorFlow's global seed, and while it builds a network, Nengo's
        precision for the whole process.)
    presentation_time : float, optional
        Seconds of simulated time that an observation is shown. By default 0.06 more
        than ``settle``. Not used by Keras.
    settle : float, optional
        Seconds at the beginning of a presentation that are not read. By default what
        the network needs: its settling time, in full hundredths (see
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
        redraw so on their own. The checkpoint of a single run can't be gone on from
        with more draws.
    output : Nengo object, str or None, optional
        What the answer is read from: of a plain network, the object to probe; of a
        converter or Keras model with several outputs, the name of one (by default the
        first).
    dt : float, optional
        Time step, in seconds.
    dropout : {"permanent", "off", "all-off"} or {str: str}, optional
        For a Keras model: which dropouts are on, as in `.Converter` (default
        "permanent"). A converter has been told already.
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
        Values of shape ``(n_draws, n_observations, n_outputs)``. If the model ends with
        a link, such as a softmax, they are what that makes of the means that were read,
        which are in ``logits``. Their ``meta`` holds the times, in ``simulated_time``
        the seconds for which each observation was simulated (of all its presentations;
        0 for Keras), and in ``warnings`` what was warned of, if anything.

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
    AgreementWarning
        If theory says that a converted network of spiking neurons may not agree
        with the classical one for these observations, and why: how often its neurons
        fire, or a ``settle`` before the answer has come through the synapses.
    UserWarning
        If a chunk of the checkpoint is damaged (it is computed again).
    """
    options = {
        "presentation_time": presentation_time,
        "settle": settle,
        "output": output,
        "dt": dt,
        "dropout": dropout,
        "backend_options": backend_options,
    }
    with Sampler(
        model, n_draws, backend=backend, seed=seed, masks=masks, run=run, **options
    ) as sampler:
        return sampler.draw(
            X,
            first_observation=first_observation,
            executor=executor,
            progress=progress,
            checkpoint=checkpoint,
            max_memory=max_memory,
        )


def sample_unchecked(model, X, n_draws, **options):
    """
    As `sample` draws, but without a warning of what the draws are made to find out.

    Parameters
    ----------
    model, X, n_draws
        As in `sample`.
    **options
        Others of `sample`.

    Returns
    -------
    samples : `.PredictiveSamples`
    """
    where = {
        name: options.pop(name)
        for name in inspect.signature(Sampler.draw).parameters
        if name in options
    }
    with Sampler(model, n_draws, from_onset=True, compared=False, **options) as sampler:
        return sampler.draw(X, **where)


class Sampler:
    """
    Draws from one model, for one table of observations after the other.

    What takes long, like building a simulator or sending a network to workers, is done
    once, for the first table. A context manager.

    Parameters
    ----------
    model, n_draws, backend, presentation_time, settle, seed, masks, run
        As in `sample`.
    output, dt, dropout, backend_options
        As in `sample`.
    from_onset : bool, optional
        Don't warn where the network hasn't settled yet when it is read.
    compared : bool, optional
        Whether the draws are to be those of the classical network: warn, for the first
        table, if that is unlikely.

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument is out of range.
    ImportError
        If the backend is not installed.

    Examples
    --------
    ::

        with Sampler(conv, n_draws=20) as sampler:
            for start in range(0, len(X), 1000):
                rows = X[start : start + 1000]
                samples = sampler.draw(rows, first_observation=start)
    """

    def __init__(
        self,
        model,
        n_draws=100,
        *,
        backend="batched",
        presentation_time=None,
        settle=None,
        seed=0,
        masks="observation",
        run="restart",
        output=None,
        dt=0.001,
        dropout=None,
        backend_options=None,
        from_onset=False,
        compared=True,
    ):
        self.n_draws = check_integer(n_draws, "n_draws", 1)
        self.engine = get_backend(backend)
        self.model, dropout = as_taken(model, self.engine, dropout)
        self.seed = check_seed(seed)
        self.masks = check_choice(masks, "masks", MASKS)
        self.run = check_choice(run, "run", RUNS)
        presentation_time, settle, _ = check_times(presentation_time, settle)
        self._settings = {
            "presentation_time": presentation_time,
            "settle": settle,
            "dt": check_seconds(dt, "dt"),
            "seed": self.seed,
            "output": output,
            "dropout": dropout,
            "options": _options(self.engine, backend_options),
            # shorter than the delay is no fault in a single run
            "from_onset": from_onset or run == "single" or compared,
        }
        self._compared = compared
        self._opened = None
        self._facts = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        with outside_networks():
            return self._stack.__exit__(*exc_info)

    def draw(
        self,
        X,
        *,
        first_observation=0,
        executor=None,
        progress=True,
        checkpoint=None,
        max_memory=None,
    ):
        """
        Draw for some observations.

        Parameters
        ----------
        X, first_observation, executor, progress, checkpoint, max_memory
            As in `sample`.

        Returns
        -------
        samples : `.PredictiveSamples`
        """
        check_execution(executor, checkpoint, max_memory)
        first_observation = check_integer(first_observation, "first_observation", 0)
        start = time.perf_counter()
        with outside_networks():  # of the caller's, for backends that make networks too
            X, store = self._prepared(X, checkpoint, first_observation)
            replicas = self._replicas(X, first_observation)
            with contextlib.nullcontext() if store is None else store:
                answers = compute(
                    self._opened, replicas, executor, progress, max_memory, store
                )
        meta = {"first_observation": first_observation}
        meta["seconds"] = time.perf_counter() - start
        return self._samples(answers, len(X[0]), meta)

    def _prepared(self, X, checkpoint, first_observation):
        """The observations as arrays, and the checkpoint; all is checked then."""
        first = self._opened is None
        if first:
            problem = make_problem(self.engine, self.model, X, **self._settings)
            if self.run == "single":
                n_windows = self._n_runs(problem)
                problem = run_on(self.engine, problem, n_windows=n_windows)
            X = problem.X
        else:
            problem = self._opened.problem
            X = match_inputs(X, problem.shapes)
        store = None
        if checkpoint is not None:  # before a backend prepares the network for itself
            identity = _identity(self.engine, problem, X, self.masks, first_observation)
            store = Checkpoint(checkpoint, identity)
        if first:
            self._facts.update(self.engine.check(problem) or {})
            if self._compared and isinstance(self.model, Converter):
                self._warn(problem)
            self._opened = self._stack.enter_context(Opened(self.engine, problem))
        return X, store

    def _warn(self, problem):
        """Warn if the network may not agree with the classical one."""
        times = problem.presentation_time, problem.settle
        # windows of a single run may be shorter than the network takes to settle
        times = None if self.run == "single" else times
        output = output_name(self._settings["output"], self.model.outputs)
        found = warn_if_unlikely(self.model, problem.X, problem.dt, output, times)
        if found:
            self._facts["warnings"] = list(found)

    def _n_runs(self, problem):
        """Runs of an observation that give all draws by their copies."""
        return -(-self.n_draws // problem.n_copies)

    def _replicas(self, X, first_observation):
        """All (draw, observation) pairs, draw by draw."""
        problem, n_observations = self._opened.problem, len(X[0])
        n_runs = 1 if self.run == "single" else self._n_runs(problem)
        draws = np.repeat(np.arange(n_runs), n_observations)
        observations = np.tile(np.arange(n_observations), n_runs)
        numbers = first_observation + observations
        state_seeds = derive_seed(self.seed, draws, numbers)
        mask_seeds = state_seeds
        if self.masks == "draw":
            mask_seeds = derive_seed(self.seed, draws)
        return Replicas(observations, mask_seeds, state_seeds, X)

    def _samples(self, answers, n_observations, meta):
        problem = self._opened.problem
        n_runs = len(answers) // n_observations
        parts = (n_runs, n_observations, problem.n_windows, problem.n_copies, -1)
        values = answers.reshape(parts).transpose(0, 2, 3, 1, 4)
        simulated = self.engine.takes == "network"
        # of a model, which takes no time, what was said
        times = vars(problem) if simulated else self._settings
        values = values.reshape(-1, n_observations, values.shape[-1])[: self.n_draws]
        return PredictiveSamples(
            **problem.linked(values),
            backend=self.engine.name,
            seed=self.seed,
            masks=self.masks,
            meta={
                "version": version,
                "backend_version": self.engine.version_for(problem.model),
                "presentation_time": times["presentation_time"],
                "settle": times["settle"],
                "dt": problem.dt,
                "run": self.run,
                "simulated_time": n_runs * problem.n_run_steps * problem.dt * simulated,
                **meta,
                **self._facts,
            },
        )


def _identity(engine, problem, X, masks, first_observation):
    """All that the answer of a draw and observation depends on."""
    model = engine.content(problem.model)
    return {
        "model": digest([model, problem.inputs, problem.output]),
        "X": digest(X),
        "first_observation": first_observation,
        "masks": masks,
        "seed": problem.seed,
        "presentation_time": float(problem.presentation_time),
        "settle": float(problem.settle),
        "dt": float(problem.dt),
        "windows": [problem.n_windows, float(problem.begin), problem.n_copies],
        "options": digest(problem.options),
        "backend": engine.name,
        "backend version": engine.version_for(problem.model),
        "nengo version": nengo.__version__,
        "nengo-permadrop version": version,
    }


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
