"""What is sampled, and what a backend does with it."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.graph.links import apply_link
from nengo_permadrop.sources.registry import any_graph, opened
from nengo_permadrop.support.registry import Registry, instance

_BACKENDS = Registry(
    "backend",
    "nengo_permadrop.backends",
    own={
        "batched": "nengo_permadrop.backends.batched",
        "nengo": "nengo_permadrop.backends.nengo",
        "keras": "nengo_permadrop.backends.keras",
        "torch": "nengo_permadrop.backends.torch",
        "onnx": "nengo_permadrop.backends.onnx",
        "function": "nengo_permadrop.backends.function",
        "nengo_dl": "nengo_permadrop.backends.nengo_dl",
        "nengo_loihi": "nengo_permadrop.backends.nengo_loihi.backend",
    },
    prepare=instance,
)

# Those of our own that take a model, and not a network
CLASSICAL = ("keras", "torch", "onnx", "function")


@dataclass(frozen=True, eq=False)
class Problem:
    """What is sampled; made whole by `.problems.make_problem`.

    Attributes
    ----------
    model : `nengo.Network` or a source's model
    inputs : list
        The Nodes that take the observations (of a model, the inputs' names).
    output : Nengo object or str
        What the answer is read from.
    X : list of (n, size) ndarray
        Observations that the network can be tried with, one array per input; at least
        one. Those that are to be answered come with the `Replicas`.
    shapes : dict
        Shape of one observation of each input, by what users call it: a name, or a
        Node.
    presentation_time : float
        Seconds of a window, which gives one answer.
    settle : float
        Seconds at the beginning of a window that are not read.
    dt : float
        Time step, in seconds.
    seed : int
        Seed of what is random but neither a mask nor an initial state.
    n_windows : int
        Windows of a replica's run, one after the other; more than one in a single run.
    begin : float
        Seconds of a run before the first window.
    n_copies : int
        Copies of the network, each with masks of its own, whose answers are side by
        side in the output.
    link : (str, tuple of int) or None
        What answers are given to, and the shape of one; see `.apply_link`. Sessions
        give answers before it.
    options : dict
        Other options of the backend.
    chunk_size : int or None
        Most replicas that a session is asked for at once, where that is known; for
        backends that build for a number of replicas, which must not depend on the chunk
        that happens to come first.
    """

    model: Any
    inputs: list
    output: Any
    X: list
    shapes: dict = field(default_factory=dict)
    presentation_time: float = 0.1
    settle: float = 0.04
    dt: float = 0.001
    seed: int = 0
    n_windows: int = 1
    begin: float = 0.0
    n_copies: int = 1
    link: tuple | None = None
    options: dict = field(default_factory=dict)
    chunk_size: int | None = None

    @property
    def n_steps(self):
        return int(round(self.presentation_time / self.dt))

    @property
    def n_settle(self):
        return int(round(self.settle / self.dt))

    @property
    def n_begin(self):
        return int(round(self.begin / self.dt))

    @property
    def n_run_steps(self):
        """Time steps of the run of a replica."""
        return self.n_begin + self.n_windows * self.n_steps

    def linked(self, answers):
        """
        What the model makes of answers, as arguments of `.PredictiveSamples`.

        Parameters
        ----------
        answers : (..., n_outputs) ndarray
            As sessions give them.

        Returns
        -------
        arguments : dict
            "values"; if there is a link, "link" and "logits", too.
        """
        if self.link is None:
            return {"values": answers}
        kind, shape = self.link
        values = apply_link(kind, answers, shape)
        return {"values": values, "link": kind, "logits": answers}


@dataclass(frozen=True)
class Replicas:
    """Some (draw, observation) pairs of a problem.

    Attributes
    ----------
    observations : (n,) ndarray of int
        Rows of ``X``.
    mask_seeds : (n,) ndarray of int
        What the masks are derived from, together with each connection's own seed:
        a connection has the masks of ``derive_seed(connection seed, mask seed)``.
    state_seeds : (n,) ndarray of int
        The same for initial states, with each ensemble's seed, and for processes.
    X : list of (n_observations, size) ndarray
        Observations, one array per input.
    """

    observations: np.ndarray
    mask_seeds: np.ndarray
    state_seeds: np.ndarray
    X: list

    @property
    def inputs(self):
        """The observation of each replica, one ``(n, size)`` array per input."""
        return [x[self.observations] for x in self.X]

    def one_by_one(self):
        """Of each replica, its inputs ``[(size,) ndarray]``, mask and state seed."""
        rows = zip(self.observations, self.mask_seeds, self.state_seeds)
        for observation, mask_seed, state_seed in rows:
            yield [x[observation] for x in self.X], int(mask_seed), int(state_seed)

    def moved(self):
        """The same replicas with only those observations that they have."""
        rows, numbers = np.unique(self.observations, return_inverse=True)
        return replace(self, observations=numbers, X=[x[rows] for x in self.X])

    def __len__(self):
        return len(self.observations)

    def __getitem__(self, rows):
        return replace(
            self,
            observations=self.observations[rows],
            mask_seeds=self.mask_seeds[rows],
            state_seeds=self.state_seeds[rows],
        )


class Backend:
    """
    What a backend does; subclasses are registered with `register_backend`.

    Attributes
    ----------
    name : str
        As in ``sample(backend=...)``.
    takes : str
        "network" or "model": what is sampled, a network, or the model that it was
        converted from.
    source : str or None
        Of a backend that takes models, the source whose models it takes; None if it
        reads them by itself, in `problem`.
    target : str
        Of a backend that takes networks, the target that they are converted for.
    one_by_one : bool
        Whether it computes one draw after the other, so that more processes help.
    gates : bool
        Whether it gives each replica masks of its own in a `.networks.DropoutGate`.
    windows : bool
        Whether it reads several windows of one run, in which masks are redrawn.
    fixed_weights : bool
        Whether weights can't change within a run, so that only gates redraw masks.
    options : tuple of str
        What ``sample(backend_options=...)`` may hold.
    """

    name = None
    takes = "network"
    source = None
    target = "nengo"
    one_by_one = False
    gates = False
    windows = False
    fixed_weights = False
    options = ()

    def version(self):
        """
        Version of what computes, for reports.

        Raises
        ------
        ImportError
            If it isn't installed; the message says how to fix that.
        """
        raise NotImplementedError()

    def version_for(self, model):
        """
        Version of what computes a model, for reports.

        Parameters
        ----------
        model : object
            What the backend takes.

        Returns
        -------
        version : str

        Raises
        ------
        ImportError
            As for `version`.
        """
        return self.version()

    def opened(self, model):
        """
        A model as this backend takes it: loaded, if it is named by its file.

        Parameters
        ----------
        model : object

        Returns
        -------
        model : object
        """
        return opened(model)

    def problem(self, model, X, output, dropout, settings):
        """
        What is sampled, for a backend that takes models without a source's help.

        Parameters
        ----------
        model, X, output, dropout
            As in `.sample`.
        settings : dict
            Other fields of the problem.

        Returns
        -------
        problem : `Problem`
        """
        raise NotImplementedError()

    def content(self, model):
        """
        What answers depend on, for a digest.

        Parameters
        ----------
        model : object
            What the backend takes.

        Returns
        -------
        content : object
        """
        return any_graph(model) if self.takes == "model" else model

    def check(self, problem):
        """
        Raise what stands in the way of a problem, before anything is simulated.

        Returns
        -------
        facts : dict or None
            What is worth keeping with the samples, as strings and numbers.
        """

    def chunk_size(self, problem, max_memory=None, session=None):
        """
        How many replicas to compute at a time.

        Parameters
        ----------
        problem : `Problem`
        max_memory : int, optional
            Bytes that the replicas of a chunk may take together.
        session : callable, optional
            Gives what `session` gives; it is opened when it is first asked for, and
            then computes, too. For backends that must have built the network to tell.

        Returns
        -------
        n_replicas : int
        """
        # seconds of work one by one: few enough to report on
        return max(1, 250 // problem.n_windows)

    def session(self, problem):
        """
        What computes chunk after chunk of a problem, in one process.

        Parameters
        ----------
        problem : `Problem`

        Returns
        -------
        session : context manager
            Gives a callable that takes `Replicas` and returns their answers, an ndarray
            of shape ``(n_replicas, n_outputs)``. An answer depends on its own
            observation and seeds only. The session is kept for later chunks, of other
            observations too. A backend with ``windows`` returns the answers of a
            replica's windows one after the other, ``(n_replicas, n_windows *
            n_outputs)``.
        """
        raise NotImplementedError()

    def run(self, problem, replicas):
        """The answers of some replicas, in a session of their own."""
        with self.session(problem) as answer:
            return answer(replicas)


def register_backend(backend_class):
    """Register a subclass of `Backend` under its name (a class decorator)."""
    _BACKENDS.register(backend_class.name, backend_class())
    return backend_class


def backend_names():
    """Names of all backends, installed or not."""
    return _BACKENDS.names()


def get_backend(name):
    """
    A backend by name.

    Parameters
    ----------
    name : str

    Returns
    -------
    backend : `Backend`

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is no such backend.
    ImportError
        If what it needs is not installed.
    """
    return _BACKENDS.get(name)


NO_DROPOUT = (
    "{} has no permanent dropout, so all draws would be the same; add PermanentDropout "
    "layers (or dropout='permanent' for plain Dropout layers)"
)


def output_name(output, outputs):
    if output is None:
        return next(iter(outputs))
    names = {id(obj): name for name, obj in outputs.items() if not isinstance(obj, int)}
    name = output if isinstance(output, str) else names.get(id(output))
    if name not in outputs:
        raise ValidationError(
            f"unknown output {output!r}; there are {', '.join(outputs)}", attr="output"
        )
    return name
