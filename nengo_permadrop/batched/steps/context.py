"""What a step is made from: the signals, the replicas' seeds, the masks."""

import numpy as np


class StepContext:
    """
    What the function that makes an operator's step gets to see.

    ``context[signal]`` is the array of a signal: ``(n_replicas, *signal.shape)`` if
    ``context.varies(signal)``, else ``signal.shape``.

    Parameters
    ----------
    signals : `.ReplicaSignals`
    dt : float
        Time step, in seconds.
    seeds : `.ReplicaSeeds`
    masks : dict
        `.DropoutMasks` by the signal of the weights that they mask.
    inputs : dict
        `.ReplicaInput` by the output signal of the Node that they override.
    operators : list of `nengo.builder.Operator`
        All operators; an operator's place in it seeds its generators.
    """

    def __init__(self, signals, dt, seeds, masks, inputs, operators):
        self.signals = signals
        self.dt = dt
        self.seeds = seeds
        self.masks = masks
        self.inputs = inputs
        self._index = {op: i for i, op in enumerate(operators)}

    @property
    def n_replicas(self):
        """Number of replicas."""
        return self.signals.n_replicas

    def __getitem__(self, signal):
        return self.signals[signal]

    def varies(self, signal):
        """Whether a signal's array has a replica axis."""
        return self.signals.varies(signal)

    def aligned(self, signal, ndim=None):
        """
        A signal's array, shaped so that arrays of all signals broadcast.

        Parameters
        ----------
        signal : `nengo.builder.Signal`
        ndim : int, optional
            Broadcast it as NumPy would broadcast the signal with an array of this many
            dimensions; the replica axis stays in front. Default: the signal's.
        """
        array = self[signal]
        missing = (signal.ndim if ndim is None else ndim) - signal.ndim
        if missing > 0 and self.varies(signal):
            array = array.reshape(array.shape[:1] + (1,) * missing + array.shape[1:])
        return array

    def rows(self, signal):
        """A list of a signal's array in each replica (views; the same if shared)."""
        array = self[signal]
        if not self.varies(signal):
            return [array] * self.n_replicas
        return [array[i, ...] for i in range(self.n_replicas)]

    def process_rngs(self, op, process):
        """
        A generator for each replica of a process, from ``process.get_rng``.

        A process with a seed of its own gets equal generators in all replicas.
        """
        index = self._index[op]
        return [process.get_rng(rng) for rng in self.seeds.operator_rngs(index)]

    def shared_rng(self, op, process):
        """A generator for a process that has the same output in all replicas."""
        return process.get_rng(self.seeds.shared_rng(self._index[op]))

    def neuron_rngs(self, op, built):
        """
        A generator for each replica of a stochastic neuron type.

        Parameters
        ----------
        op : `nengo.builder.neurons.SimNeurons`
        built : `numpy.random.RandomState`
            The generator that Nengo's build made, as it was then; used where there is
            a single simulation as in `nengo.Simulator`.
        """
        if self.seeds.single:
            copied = np.random.RandomState()
            copied.set_state(built.get_state())
            return [copied]
        return self.seeds.operator_rngs(self._index[op])
