"""Draws on NengoDL: a minibatch carries one replica an item."""

import contextlib
import threading

import nengo
import numpy as np
from nengo.builder import Signal
from nengo.dists import Distribution
from nengo.exceptions import ValidationError

from nengo_permadrop import dl
from nengo_permadrop.backends.base import Backend, register_backend
from nengo_permadrop.backends.precision import precision_changes
from nengo_permadrop.backends.presentation import presentation
from nengo_permadrop.dropout.seeds import derive_seed, initial_state
from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.support.isolation import building
from nengo_permadrop.support.optional import require

_DEFAULTS = {"minibatch_size": 250, "dtype": "float32"}
_DETERMINISTIC = (
    nengo.processes.Piecewise,
    nengo.processes.PresentInput,
    nengo.synapses.LinearFilter,
    nengo.synapses.Triangle,
)


# TensorFlow's and Nengo's settings, which NengoDL changes, are those of the process
_LOCK = threading.Lock()


@register_backend
class NengoDLBackend(Backend):
    """
    Many replicas at once, as the items of a NengoDL minibatch.

    Each item has the masks and initial states that the reference gives its replica, so
    answers differ by float32's rounding alone. The simulator is built once a session,
    for inference only.

    A problem's options are ``minibatch_size``, the most replicas that are simulated at
    once (by default 250), and ``dtype``, "float32" (the default) or "float64".

    Attributes
    ----------
    max_elements : int
        How many numbers the inputs and outputs of one run may be, because NengoDL keeps
        those of all time steps on the device. Presentations for which they would be
        more are simulated in several runs.
    """

    name = "nengo_dl"
    windows = True
    options = tuple(_DEFAULTS)
    max_elements = 2**24

    def version(self):
        return require("nengo_dl").__version__

    def check(self, problem):
        """
        Raise what stands in the way of a problem.

        Raises
        ------
        nengo.exceptions.ValidationError
            If an option is unknown, an input computes its own output, or the network
            is random in ways that can't be made a replica's own.
        """
        unknown = set(problem.options) - set(_DEFAULTS)
        if unknown:
            raise ValidationError(
                f"unknown for backend {self.name!r}: {', '.join(sorted(unknown))}; "
                f"there are {', '.join(_DEFAULTS)}",
                attr="options",
            )
        for node in problem.inputs:
            if node.size_in == 0 and not isinstance(node.output, np.ndarray):
                raise ValidationError(
                    f"{node} computes its own output, so observations can't be put in "
                    "its place; give it an array as output, or a size_in",
                    attr="inputs",
                )
        for obj, randomness in _random_parts(problem.model):
            raise ValidationError(
                f"{obj} has {randomness}, which is one for the whole minibatch on "
                "NengoDL and can't follow a replica's seeds; use backend='nengo'",
                attr="model",
            )

    def chunk_size(self, problem, max_memory=None, session=None):
        size = _option(problem, "minibatch_size")
        if max_memory is None:
            return size
        return int(max(1, min(size, max_memory // _item_bytes(problem))))

    @contextlib.contextmanager
    def session(self, problem):
        player = _Player(problem, self.max_elements)
        try:
            yield player
        finally:
            player.close()


class _Player:
    """A simulator that plays a minibatch of replicas after the other."""

    def __init__(self, problem, max_elements):
        self.problem = problem
        self.max_elements = max_elements
        self.dtype = _option(problem, "dtype")
        self.sim = None

    def __call__(self, replicas):
        """The answers of any number of replicas, ``(n_replicas, n_outputs)``."""
        with _LOCK:
            if self.sim is None:
                most = self.problem.chunk_size or len(replicas)
                self._build(min(most, _option(self.problem, "minibatch_size")))
            n = self.sim.minibatch_size
            answers = []
            for start in range(0, len(replicas), n):
                batch = replicas[start : start + n]
                # the size of the minibatch is built in: fill the last one up
                filled = batch[np.resize(np.arange(len(batch)), n)]
                answers.append(self._play(filled)[: len(batch)])
            return np.concatenate(answers)

    def close(self):
        if self.sim is not None:
            self.sim.close()

    def _build(self, minibatch_size):
        nengo_dl = require("nengo_dl")
        net, self.nodes, self.probe = presentation(self.problem, stimuli=True)
        with net:
            nengo_dl.configure_settings(inference_only=True, dtype=self.dtype)
        # in this order: who has Nengo's precision stay may be waiting to build
        with precision_changes(), building():
            self.sim = nengo_dl.Simulator(
                net,
                dt=self.problem.dt,
                seed=self.problem.seed,
                minibatch_size=minibatch_size,
                # said, so that NengoDL doesn't warn that there is nothing else
                device=None if nengo_dl.utils.tf_gpu_installed else "/cpu:0",
                progress_bar=False,
            )
        self.ensembles = [
            ensemble
            for ensemble in net.all_ensembles
            if ensemble.neuron_type.state
            and not isinstance(ensemble.neuron_type, nengo.Direct)
        ]

    def _play(self, replicas):
        """The answers of a full minibatch."""
        sim, problem = self.sim, self.problem
        dl.set_initial(sim, dl.mask_values(sim, replicas.mask_seeds))
        dl.set_initial(sim, self._states(replicas.state_seeds))
        sim.reset()
        observations = [x[:, np.newaxis].astype(self.dtype) for x in replicas.inputs]
        if problem.n_begin > 0:
            self._run_mean(observations, problem.n_begin, 0)
        window = problem.n_steps, problem.n_settle
        means = [
            self._run_mean(observations, *window) for _ in range(problem.n_windows)
        ]
        return np.concatenate(means, axis=1)

    def _run_mean(self, observations, n_steps, n_settle):
        """Run on; the mean output after some steps, ``(minibatch, n_outputs)``."""
        width = sum(x.shape[2] for x in observations) + self.probe.size_in
        max_steps = max(1, self.max_elements // (len(observations[0]) * width))
        total, done = 0.0, 0
        while done < n_steps:
            n = min(max_steps, n_steps - done)
            data = {
                node: np.broadcast_to(x, (len(x), n, x.shape[2]))
                for node, x in zip(self.nodes, observations)
            }
            output = self.sim.predict_on_batch(data, n_steps=n, stateful=True)
            read = output[self.probe][:, max(0, n_settle - done) :]
            total = total + read.sum(axis=1, dtype=np.float64)
            done += n
        return total / (n_steps - n_settle)

    def _states(self, state_seeds):
        """Initial values of neurons' state signals, as Nengo's builder makes them."""
        values = {}
        for ensemble in self.ensembles:
            signals = self.sim.model.sig[ensemble.neurons]
            seeds = derive_seed(self.sim.model.seeds[ensemble], state_seeds)
            states = [
                initial_state(ensemble.neuron_type, ensemble.n_neurons, seed)
                for seed in seeds
            ]
            for name in states[0]:
                if isinstance(signals.get(name), Signal):
                    values[signals[name]] = np.stack([state[name] for state in states])
        return values


def _option(problem, name):
    return problem.options.get(name, _DEFAULTS[name])


def _item_bytes(problem):
    """Bytes that an item of the minibatch takes, nearly."""
    numbers = sum(4 * ensemble.n_neurons for ensemble in problem.model.all_ensembles)
    for conn in problem.model.all_connections:
        # masks and masked inputs; products, a synapse's state and its output
        numbers += 2 * conn.size_mid + 4 * conn.size_out
    # the loop over time steps keeps the values before and after one
    return 2 * numbers * np.dtype(_option(problem, "dtype")).itemsize


def _random_parts(network):
    """What is random in a network beside masks and initial states: (object, what)."""
    for node in network.all_nodes:
        if _is_random(node.output):
            yield node, f"a random process ({node.output})"
    for ensemble in network.all_ensembles:
        if _is_random(ensemble.noise):
            yield ensemble, f"noise ({ensemble.noise})"
        rng = np.random.RandomState(0)  # random neurons keep it in their state
        state = ensemble.neuron_type.make_state(1, rng=rng).values()
        if any(isinstance(value, np.random.RandomState) for value in state):
            yield ensemble, f"random neurons ({ensemble.neuron_type})"
    for conn in network.all_connections:
        if isinstance(conn.transform, PermanentDropout) and isinstance(
            conn.transform.init.base, Distribution
        ):
            yield conn, "dropout of random weights (give it a matrix of weights)"


def _is_random(process):
    return (
        isinstance(process, nengo.Process)
        and process.seed is None
        and not isinstance(process, _DETERMINISTIC)
    )
