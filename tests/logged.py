"""A backend that tells, in files, what its workers do; for tests of executors."""

import contextlib
import os
import time
from pathlib import Path

import nengo
import numpy as np

import nengo_permadrop as npd
from nengo_permadrop.backends.base import Backend, register_backend


@register_backend
class LoggedBackend(Backend):
    """Answers with a sum of the observation and a number that the masks' seed gives."""

    name = "logged"

    def version(self):
        return "1"

    def chunk_size(self, problem, max_memory=None, session=None):
        return 4

    @contextlib.contextmanager
    def session(self, problem):
        log = problem.model.log
        log("session")

        def answer(replicas):
            log(f"chunk-{replicas.state_seeds[0]}")
            time.sleep(problem.model.seconds)
            if (problem.model.folder / "deadly").exists():
                (problem.model.folder / "deadly").unlink()
                os._exit(1)
            x = replicas.inputs[0].sum(axis=1)
            return (x + replicas.mask_seeds % 1000)[:, np.newaxis]

        yield answer
        log("closed")


class LoggedNetwork(nengo.Network):
    """Its workers need this module, and so they register the backend."""

    def __init__(self, folder, seconds=0.0):
        super().__init__(seed=0)
        self.folder = Path(folder)
        self.seconds = seconds
        with self:
            self.stimulus = nengo.Node([0.0, 0.0])
            ens = nengo.Ensemble(10, 1)
            self.out = nengo.Node(size_in=1)
            weights = np.ones((1, 10))
            nengo.Connection(
                ens.neurons, self.out, transform=npd.PermanentDropout((1, 10), weights)
            )

    def __setstate__(self, state):
        super().__setstate__(state)
        self.log("unpickled")

    def log(self, what):
        """Write an empty file ``WHAT.PROCESS.TIME``."""
        name = f"{what}.{os.getpid()}.{time.monotonic_ns()}"
        (self.folder / name).touch()

    def logged(self, what):
        """Process of each file that begins so, a list."""
        return [int(path.name.split(".")[1]) for path in self.folder.glob(f"{what}*.*")]

    def sample(self, n_draws=10, rows=slice(None), **kwargs):
        """12 observations, in chunks of 4."""
        X = {self.stimulus: np.arange(24.0).reshape(12, 2)[rows]}
        return npd.sample(
            self,
            X,
            n_draws=n_draws,
            backend="logged",
            output=self.out,
            progress=False,
            **kwargs,
        )
