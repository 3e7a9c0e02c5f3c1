"""Draws on nengo.Simulator, the reference that other backends are held to."""

import contextlib

import nengo
import numpy as np
from nengo.builder import Model, Signal
from nengo.builder.processes import SimProcess
from nengo.exceptions import ValidationError

from nengo_permadrop.backends import Backend, register_backend
from nengo_permadrop.backends.precision import precision_stays
from nengo_permadrop.backends.presentation import presentation, window_means
from nengo_permadrop.builder import RedrawMask, built_dropouts
from nengo_permadrop.isolation import building
from nengo_permadrop.masks import derive_seed
from nengo_permadrop.networks import MaskProcess


@register_backend
class NengoBackend(Backend):
    """
    One replica after the other on nengo.Simulator.

    A replica is what a new simulator would give whose connections and ensembles have
    the replica's seeds; but building takes longer than simulating, so the network is
    built once, and each replica writes its masks, initial states and observation into
    the simulator's signals.
    """

    name = "nengo"
    gates = True
    windows = True

    def version(self):
        return nengo.__version__

    @contextlib.contextmanager
    def session(self, problem):
        with precision_stays():
            player = _Player(problem)
        try:
            yield player
        finally:
            player.sim.close()


class _Player:
    """A simulator that plays one replica after the other."""

    def __init__(self, problem):
        self.problem = problem
        net, nodes, self.probe = presentation(problem, stimuli=True)
        self.model = Model(dt=problem.dt)
        with building():
            self.model.build(net)
        self.inputs = [input_signal(self.model, node) for node in nodes]

        self.dropouts = built_dropouts(self.model)
        for built in self.dropouts:
            built.weights.readonly = False  # each replica writes its own
        self.redraws = [
            (op, op.seed) for op in self.model.operators if isinstance(op, RedrawMask)
        ]
        self.gates = [
            (op, op.process)
            for op in self.model.operators
            if isinstance(op, SimProcess) and isinstance(op.process, MaskProcess)
        ]
        self.ensembles = with_state(net.all_ensembles)
        # not optimized: merged operators work on merged signals, of which the ones that
        # are written here would no longer be known
        self.sim = nengo.Simulator(
            None,
            dt=problem.dt,
            model=self.model,
            progress_bar=False,
            optimize=False,
            seed=problem.seed,
        )

    def __call__(self, replicas):
        """The answers of replicas, ``(n_replicas, n_outputs)``."""
        rows = zip(replicas.observations, replicas.mask_seeds, replicas.state_seeds)
        with precision_stays():
            return np.array([self._play(*row) for row in rows])

    def _play(self, observation, mask_seed, state_seed):
        for op, seed in self.redraws:
            op.seed = derive_seed(seed, mask_seed)
        for op, process in self.gates:
            op.process = process.reseeded(derive_seed(process.seed, mask_seed))
        self.sim.reset(seed=derive_seed(self.problem.seed, state_seed))
        signals = self.sim.signals
        for built in self.dropouts:
            seed = derive_seed(self.model.seeds[built.conn], mask_seed)
            signals[built.weights][...] = built.redrawn(seed)
        for ensemble in self.ensembles:
            write_state(self.model, signals, ensemble, state_seed)
        for signal, x in zip(self.inputs, self.problem.X):
            signals[signal][...] = x[observation]
        self.sim.run_steps(self.problem.n_run_steps, progress_bar=False)
        return window_means(self.problem, self.sim.data[self.probe])


def with_state(ensembles):
    """Those of some ensembles whose neurons have initial states."""
    return [
        ensemble
        for ensemble in ensembles
        if ensemble.neuron_type.state
        and not isinstance(ensemble.neuron_type, nengo.Direct)
    ]


def write_state(model, values, ensemble, state_seed):
    """
    Put the initial state of a replica into a simulator that has just been reset.

    Parameters
    ----------
    model : `nengo.builder.Model`
    values : `nengo.builder.signal.SignalDict`
        The simulator's.
    ensemble : `nengo.Ensemble`
    state_seed : int
        As in `.Replicas`.
    """
    # as Nengo's build_neurons makes it, from another seed
    seed = derive_seed(model.seeds[ensemble], state_seed)
    state = ensemble.neuron_type.make_state(
        ensemble.n_neurons, rng=np.random.RandomState(seed + 1)
    )
    signals = model.sig[ensemble.neurons]
    for name, value in state.items():
        if isinstance(signals.get(name), Signal):
            values[signals[name]][...] = value


def input_signal(model, node):
    """
    The signal of a Node's output, to be overwritten with an observation.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the Node computes its output.
    """
    signal = model.sig[node]["out"]
    written = [op for op in model.operators if signal in op.all_signals]
    if any(signal in op.sets + op.incs + op.updates for op in written):
        raise ValidationError(
            f"{node} computes its own output, so observations can't be put in its "
            "place; give it an array as output, or a size_in",
            attr="inputs",
        )
    return signal
