"""Draws on the batched simulator: many replicas at once."""

import contextlib

import numpy as np

from nengo_permadrop.backends.base import Backend, register_backend
from nengo_permadrop.backends.precision import precision_stays
from nengo_permadrop.backends.presentation import presentation
from nengo_permadrop.batched.inputs import ReplicaInput
from nengo_permadrop.batched.simulator import Simulator
from nengo_permadrop.support.isolation import building
from nengo_permadrop.version import version

_MEMORY = 2**30  # bytes
_MOST = 1000  # replicas: seconds of work, to report on, keep and share out


@register_backend
class BatchedBackend(Backend):
    """All replicas of a chunk in one `.Simulator`, built once for all chunks."""

    name = "batched"
    gates = True
    windows = True

    def version(self):
        return version

    def check(self, problem):
        for node, x in zip(problem.inputs, problem.X):
            ReplicaInput(node, x, len(x))

    def chunk_size(self, problem, max_memory=None, session=None):
        with contextlib.ExitStack() as stack:
            if session is None:
                opened = stack.enter_context(self.session(problem))
            else:
                opened = session()
            replica_bytes = opened.replica_bytes()
        memory = _MEMORY if max_memory is None else max_memory
        return max(1, min(_MOST, int(memory // max(1, replica_bytes))))

    @contextlib.contextmanager
    def session(self, problem):
        with precision_stays():
            session = _Session(problem)
        try:
            yield session
        finally:
            session.sim.close()


class _Session:
    """A simulator that is given other replicas for each chunk."""

    def __init__(self, problem):
        self.problem = problem
        net, self.nodes, self.probe = presentation(problem)
        with building():
            self.sim = Simulator(
                net,
                n_replicas=1,
                dt=problem.dt,
                seed=problem.seed,
                progress_bar=False,
                inputs=self._inputs([x[:1] for x in problem.X]),
            )

    def __call__(self, replicas):
        """The answers of replicas, ``(n_replicas, n_outputs)``."""
        with precision_stays():
            return self._answers(replicas)

    def _answers(self, replicas):
        self.sim.reset(
            n_replicas=len(replicas),
            mask_seeds=replicas.mask_seeds,
            state_seeds=replicas.state_seeds,
            inputs=self._inputs(replicas.inputs),
        )
        problem = self.problem
        if problem.n_begin > 0:
            self.sim.run_mean(problem.n_begin * problem.dt, self.probe)
        window = problem.n_steps * problem.dt, self.probe, problem.n_settle * problem.dt
        means = [self.sim.run_mean(*window) for _ in range(problem.n_windows)]
        return np.concatenate(means, axis=1)

    def replica_bytes(self):
        """Memory that a replica takes, its inputs and answer included."""
        observation = sum(x[0].nbytes for x in self.problem.X)
        return self.sim.replica_bytes + 2 * observation

    def _inputs(self, arrays):
        return dict(zip(self.nodes, arrays))
