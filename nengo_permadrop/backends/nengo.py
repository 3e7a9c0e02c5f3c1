"""Draws on nengo.Simulator, the reference that other backends are held to."""

import contextlib

import nengo
import numpy as np
from nengo.builder import Model
from nengo.builder.processes import SimProcess

from nengo_permadrop.backends.base import Backend, register_backend
from nengo_permadrop.backends.precision import precision_stays
from nengo_permadrop.backends.presentation import presentation, window_means
from nengo_permadrop.backends.signals import input_signal, with_state, write_state
from nengo_permadrop.dropout.builder import RedrawMask, built_dropouts
from nengo_permadrop.dropout.processes import MaskProcess
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.support.isolation import building


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
    one_by_one = True
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
        with precision_stays():
            return np.array([self._play(*each) for each in replicas.one_by_one()])

    def _play(self, inputs, mask_seed, state_seed):
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
        for signal, x in zip(self.inputs, inputs):
            signals[signal][...] = x
        self.sim.run_steps(self.problem.n_run_steps, progress_bar=False)
        return window_means(self.problem, self.sim.data[self.probe])
