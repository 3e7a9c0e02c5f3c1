"""What a simulator's ``data`` is, and its times."""

import warnings

import numpy as np
from nengo.exceptions import ValidationError
from nengo.simulator import SimulationData


class ReplicaData(SimulationData):
    """
    Probe data with the replicas in front, and what the build made of other objects.

    Parameters
    ----------
    raw : dict
        A built model's ``params``; those of probes are lists of what was read.
    probes : list of `nengo.Probe`
    squeeze : bool
        There is no replica axis.
    """

    def __init__(self, raw, probes, squeeze):
        super().__init__(raw)
        self._probes = probes
        self._squeeze = squeeze

    def __getitem__(self, key):
        rows = self.raw[key]
        if self._squeeze or key not in self._probes:
            return super().__getitem__(key)
        if not rows:
            return np.empty((0, 0))
        if key not in self._cache or self._cache[key].shape[1] != len(rows):
            stacked = np.stack(rows, axis=1)
            stacked.setflags(write=False)
            rows[:] = [stacked[:, i] for i in range(len(rows))]  # instead of both
            self._cache[key] = stacked
        return self._cache[key]


def sample_times(n_steps, dt, sample_every=None):
    """
    The times of a probe's data, in seconds.

    Parameters
    ----------
    n_steps : int
        Steps taken; the first one is at time ``dt``.
    dt : float
        Time step, in seconds.
    sample_every : float, optional
        The probe's sampling period, in seconds. Default: every step.

    Returns
    -------
    times : (n,) ndarray
    """
    period = 1 if sample_every is None else sample_every / dt
    steps = np.arange(1, n_steps + 1)
    return dt * steps[steps % period < 1]


def renamed_period(dt, sample_every, sim):
    """The sampling period of a call that uses its deprecated name, ``dt``."""
    if sample_every is not None:
        raise ValidationError(
            "Cannot specify both `dt` and `sample_every`. Use `sample_every` only.",
            attr="dt",
            obj=sim,
        )
    warnings.warn(
        "`dt` is deprecated. Use `sample_every` instead.",
        DeprecationWarning,
        stacklevel=3,
    )
    return dt
