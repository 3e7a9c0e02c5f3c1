"""What a simulator's ``data`` is."""

import numpy as np
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
