"""What a step is made from: the signals, the replicas' seeds, the masks."""

import numpy as np

from nengo_permadrop.masks import derive_seed


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


class ReplicaSeeds:
    """
    The seeds of a run and of its replicas.

    Parameters
    ----------
    seed : int
        Seed of the simulator.
    mask_seeds, state_seeds : (n_replicas,) array_like of int, or None
        Seeds of the replicas' dropout masks, and of their initial neuron states,
        processes and stochastic neurons. None: a single simulation with what Nengo's
        build made, as in `nengo.Simulator`.
    """

    def __init__(self, seed, mask_seeds=None, state_seeds=None):
        self.seed = seed
        self.mask_seeds = mask_seeds
        self.state_seeds = state_seeds
        self.rng = np.random.RandomState(seed) if mask_seeds is None else None

    @property
    def single(self):
        """Whether this is a simulation as in `nengo.Simulator`."""
        return self.mask_seeds is None

    @property
    def n_replicas(self):
        """Number of replicas (1 for a single simulation)."""
        return 1 if self.single else len(self.mask_seeds)

    def connection_seeds(self, seed):
        """The replicas' seeds of a connection that has this seed in the model."""
        if self.single:
            return np.array([seed])
        return derive_seed(seed, self.mask_seeds)

    def ensemble_seeds(self, seed):
        """The replicas' seeds of an ensemble that has this seed in the model."""
        return derive_seed(seed, self.state_seeds)

    def operator_rngs(self, index):
        """Generators of an operator; for a single simulation, Nengo's for all of them."""
        if self.single:
            return [self.rng]
        seeds = derive_seed(self.seed, self.state_seeds, index)
        return [np.random.RandomState(seed) for seed in seeds]

    def shared_rng(self, index):
        """The generator of an operator that does the same in all replicas."""
        if self.single:
            return self.rng
        return np.random.RandomState(derive_seed(self.seed, index))
