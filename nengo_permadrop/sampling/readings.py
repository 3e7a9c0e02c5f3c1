"""
Draws that are read at several times of the same presentations.

What a network answers in a shorter presentation is what it has answered by then in a
longer one. So one simulation of the longest serves all: its output is averaged over
blocks of a few milliseconds, and these over what each reading takes.
"""

from dataclasses import replace

import numpy as np

from nengo_permadrop.backends.base import get_backend
from nengo_permadrop.samples.samples import PredictiveSamples
from nengo_permadrop.sampling.sampler import Sampler, sample


def sample_readings(
    conv,
    X,
    n_draws,
    readings,
    *,
    backend="batched",
    executor=None,
    max_memory=None,
    progress=False,
    **options,
):
    """
    Draw once, and read several times.

    Parameters
    ----------
    conv : `.Converter`
        With masks that don't change during the longest presentation.
    X, n_draws : optional
        As in `.sample`.
    readings : list of (presentation_time, settle)
        In seconds, as in `.sample`; whole numbers of time steps.
    backend, executor, max_memory, progress
        As in `.sample`.
    **options
        ``seed``, ``output``, ``dt`` and ``backend_options`` of `.sample`.

    Returns
    -------
    samples : list of `.PredictiveSamples`
        What `.sample` gives for each reading, but for rounding.
    """
    where = {"executor": executor, "max_memory": max_memory, "progress": progress}
    if not get_backend(backend).windows:
        return [
            sample(
                conv,
                X,
                n_draws,
                backend=backend,
                presentation_time=time,
                settle=settle,
                **where,
                **options,
            )
            for time, settle in readings
        ]
    with _Blocks(conv, n_draws, readings, backend=backend, **options) as sampler:
        return sampler.draw(X, **where)


class _Blocks(Sampler):
    """A sampler that reads blocks of a presentation, and puts readings together."""

    def __init__(self, conv, n_draws, readings, *, dt=0.001, **options):
        self._readings = readings
        steps = [[round(time / dt) for time in reading] for reading in readings]
        block = int(np.gcd.reduce(np.ravel(steps)))
        self._ends = [[n // block for n in reading] for reading in steps]
        times = {"presentation_time": block * dt, "settle": 0.0}
        super().__init__(conv, n_draws, dt=dt, from_onset=True, **times, **options)

    def _problem(self, X):
        n_blocks = max(end for end, _ in self._ends)
        return replace(super()._problem(X), n_windows=n_blocks)

    def _samples(self, answers, n_observations, meta):
        problem = self._opened.problem
        n_runs = len(answers) // n_observations
        parts = (n_runs, n_observations, problem.n_windows, problem.n_copies, -1)
        blocks = answers.reshape(parts).transpose(2, 0, 3, 1, 4)
        blocks = blocks.reshape(problem.n_windows, -1, *blocks.shape[3:])
        return [
            PredictiveSamples(
                blocks[begin:end].mean(axis=0)[: self.n_draws],
                backend=self.engine.name,
                seed=self.seed,
                masks=self.masks,
                meta={"presentation_time": time, "settle": settle, "dt": problem.dt},
            )
            for (time, settle), (end, begin) in zip(self._readings, self._ends)
        ]
