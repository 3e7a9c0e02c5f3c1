"""The network of the benchmark, as plain weights and as a Nengo network."""

import nengo
import numpy as np

from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.support.isolation import own_network

INPUTS = ("cell", "drug1", "drug2")


class BenchNetwork:
    """
    A network of the shape of CANDLE's Combo, converted by hand, with random weights.

    An encoder for cells, one for drugs that is applied twice, each of three layers;
    three layers on what they give together; one linear output. Dropout follows every
    layer. Weights are He-initialised.

    The neurons are LIF without a refractory period and without a floor for voltages:
    those that other frameworks' LIF layers are, too. (With both, the kernels of the
    batched simulator take as long.)

    Parameters
    ----------
    n_units : int, optional
        Neurons of a layer.
    size_in : (3,) tuple of int, optional
        Sizes of the inputs: cell, drug 1, drug 2 (both drugs the same).
    n_observations : int, optional
    rate : float, optional
        Dropout rate.
    seed : int, optional

    Attributes
    ----------
    layers : list of (list of str, list of ndarray)
        For each layer of neurons, what it reads (``"cell"``, ``"drug1"``, ``"drug2"``
        or the number of a layer) and the weights for it, ``(n_units, size)``.
    readout : (1, n_units) ndarray
        Weights of the output, that reads the last layer.
    X : list of (n_observations, size) ndarray
    """

    dt = 0.001
    tau_rc = 0.02
    tau_synapse = 0.005
    amplitude = 0.01
    gain = 2.0
    bias = 1.4

    def __init__(
        self, n_units=200, size_in=(60, 250, 250), n_observations=20, rate=0.1, seed=0
    ):
        rng = np.random.RandomState(seed)

        def he(size_out, size_in):
            return rng.randn(size_out, size_in) * np.sqrt(2.0 / size_in)

        self.n_units, self.rate, self.seed = n_units, rate, seed
        encoders = {
            name: [he(n_units, size)] + [he(n_units, n_units) for _ in range(2)]
            for name, size in zip(("cell", "drug"), size_in)
        }
        self.layers, ends = [], []
        for name in INPUTS:
            before = name
            for weights in encoders[name[:4]]:
                self.layers.append(([before], [weights]))
                before = len(self.layers) - 1
            ends.append(before)
        joint = he(n_units, 3 * n_units)
        self.layers.append((ends, np.split(joint, 3, axis=1)))
        for _ in range(2):
            before = len(self.layers) - 1
            self.layers.append(([before], [he(n_units, n_units)]))
        self.readout = he(1, n_units)
        self.X = [
            rng.randn(n_observations, size).astype(np.float32) for size in size_in
        ]

    @property
    def n_observations(self):
        return len(self.X[0])

    @property
    def neuron_type(self):
        return nengo.LIF(
            tau_rc=self.tau_rc,
            tau_ref=0.0,
            min_voltage=-np.inf,
            amplitude=self.amplitude,
        )

    def replicas(self, n_replicas):
        """The observation of each replica, ``(n_replicas,)``."""
        return np.arange(n_replicas) % self.n_observations

    def nengo(self):
        """
        The Nengo network.

        Returns
        -------
        network : `nengo.Network`
            With attributes ``stimuli`` (Nodes), ``output`` (a Node) and ``probe``.
        """
        synapse = nengo.Alpha(self.tau_synapse)
        with own_network(self.seed) as net:
            net.stimuli = [nengo.Node(np.zeros(x.shape[1])) for x in self.X]
            sources = dict(zip(INPUTS, net.stimuli))
            for number, (reads, weights) in enumerate(self.layers):
                ensemble = nengo.Ensemble(
                    self.n_units,
                    1,
                    neuron_type=self.neuron_type,
                    gain=np.full(self.n_units, self.gain),
                    bias=np.full(self.n_units, self.bias),
                    encoders=np.ones((self.n_units, 1)),
                    eval_points=np.zeros((1, 1)),
                    normalize_encoders=False,
                )
                sources[number] = ensemble.neurons
                for before, matrix in zip(reads, weights):
                    self._connect(sources[before], ensemble.neurons, matrix, synapse)
            net.output = nengo.Node(size_in=1)
            self._connect(sources[number], net.output, self.readout, synapse)
            net.probe = nengo.Probe(net.output)
        return net

    def _connect(self, pre, post, weights, synapse):
        if isinstance(pre, nengo.Node):
            nengo.Connection(pre, post, transform=weights, synapse=None)
        else:
            drop = PermanentDropout(weights.shape, init=weights, rate=self.rate)
            nengo.Connection(pre, post, transform=drop, synapse=synapse)
