"""Draws on NengoDL: a minibatch carries one replica an item."""

import threading
import warnings
import weakref

import nengo
import numpy as np
from nengo.builder import Signal
from nengo.dists import Distribution
from nengo.exceptions import ValidationError

from nengo_permadrop import dl
from nengo_permadrop.backends import Backend, register_backend
from nengo_permadrop.masks import derive_seed
from nengo_permadrop.optional import require
from nengo_permadrop.transforms import PermanentDropout

_DEFAULTS = {"minibatch_size": 250, "dtype": "float32"}
_DETERMINISTIC = (
    nengo.processes.Piecewise,
    nengo.processes.PresentInput,
    nengo.synapses.LinearFilter,
    nengo.synapses.Triangle,
)


@register_backend
class NengoDLBackend(Backend):
    """
    Many replicas at once, as the items of a NengoDL minibatch.

    Each item has the masks and initial states that the reference gives its replica, so
    answers differ by float32's rounding alone. The simulator is built once a problem,
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
    max_elements = 2**24

    def __init__(self):
        self._lock = threading.Lock()  # TensorFlow's settings are the process's
        self._cached = None  # a weak reference to a problem, and its runner

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

    def run(self, problem, replicas):
        with self._lock:
            return self._runner(problem, len(replicas)).run(problem, replicas)

    def _runner(self, problem, n_replicas):
        if self._cached is not None and self._cached[0]() is problem:
            return self._cached[1]
        if self._cached is not None:
            self._cached[1].close()
        options = {**_DEFAULTS, **problem.options}
        minibatch_size = min(n_replicas, options["minibatch_size"])
        runner = _Runner(problem, minibatch_size, options["dtype"], self.max_elements)
        weakref.finalize(problem, runner.close)
        self._cached = weakref.ref(problem), runner
        return runner


class _Runner:
    """A simulator that plays a minibatch of replicas after the other."""

    def __init__(self, problem, minibatch_size, dtype, max_elements):
        # keeps no reference to the problem, by whose end it is closed
        nengo_dl = require("nengo_dl")
        self.minibatch_size = minibatch_size
        self.stimuli = []
        # the same network as the reference's runner makes, so that seeds are the same
        with nengo.Network(seed=problem.seed) as net:
            nengo_dl.configure_settings(inference_only=True, dtype=dtype)
            net.add(problem.model)
            for node, x in zip(problem.inputs, problem.X):
                if node.size_in > 0:
                    stimulus = nengo.Node(np.zeros(x.shape[1]))
                    nengo.Connection(stimulus, node, synapse=None)
                else:
                    stimulus = node
                self.stimuli.append(stimulus)
            self.probe = nengo.Probe(problem.output)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No GPU support detected")
            self.sim = nengo_dl.Simulator(
                net,
                dt=problem.dt,
                seed=problem.seed,
                minibatch_size=minibatch_size,
                progress_bar=False,
            )
        self.dtype = dtype
        self.dropouts = dl.input_dropouts(self.sim.model)
        self.ensembles = [
            ensemble
            for ensemble in net.all_ensembles
            if ensemble.neuron_type.state
            and not isinstance(ensemble.neuron_type, nengo.Direct)
        ]
        width = sum(x.shape[1] for x in problem.X) + self.probe.size_in
        self.max_steps = max(1, max_elements // (minibatch_size * width))

    def close(self):
        self.sim.close()

    def run(self, problem, replicas):
        """The answers of any number of replicas, ``(n_replicas, n_outputs)``."""
        n = self.minibatch_size
        answers = []
        for start in range(0, len(replicas), n):
            batch = replicas[start : start + n]
            # the size of the minibatch is built in: fill the last one up
            answer = self._run_batch(
                problem, batch[np.resize(np.arange(len(batch)), n)]
            )
            answers.append(answer[: len(batch)])
        return np.concatenate(answers)

    def _run_batch(self, problem, replicas):
        sim = self.sim
        dl.set_initial(sim, dl.mask_values(sim, replicas.mask_seeds))
        dl.set_initial(sim, self._states(replicas.state_seeds))
        sim.reset()
        observations = [
            x[replicas.observations, np.newaxis].astype(self.dtype) for x in problem.X
        ]
        total, done = 0.0, 0
        while done < problem.n_steps:
            n_steps = min(self.max_steps, problem.n_steps - done)
            data = {
                node: np.broadcast_to(x, (len(x), n_steps, x.shape[2]))
                for node, x in zip(self.stimuli, observations)
            }
            output = sim.predict_on_batch(data, n_steps=n_steps, stateful=True)
            read = output[self.probe][:, max(0, problem.n_settle - done) :]
            total = total + read.sum(axis=1, dtype=np.float64)
            done += n_steps
        return total / (problem.n_steps - problem.n_settle)

    def _states(self, state_seeds):
        """Initial values of neurons' state signals, as Nengo's builder makes them."""
        values = {}
        for ensemble in self.ensembles:
            signals = self.sim.model.sig[ensemble.neurons]
            seeds = derive_seed(self.sim.model.seeds[ensemble], state_seeds)
            states = [
                ensemble.neuron_type.make_state(
                    ensemble.n_neurons, rng=np.random.RandomState(seed + 1)
                )
                for seed in seeds
            ]
            for name in states[0]:
                if isinstance(signals.get(name), Signal):
                    values[signals[name]] = np.stack([state[name] for state in states])
        return values


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
