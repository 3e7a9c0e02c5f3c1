"""SoftLIF neurons in TensorFlow."""

import numpy as np

from nengo_permadrop.sources.keras.layers import softlif_rate
from nengo_permadrop.support.optional import require

_TFNeuronBuilder = require("nengo_dl").neuron_builders.TFNeuronBuilder


class SoftLIFBuilder(_TFNeuronBuilder):
    """
    Build a group of `.SoftLIF` neuron operators.

    The rate is that of the Keras layer, whose gradient is finite for any current.
    """

    def build_pre(self, signals, config):
        super().build_pre(signals, config)
        dtype = signals.dtype.as_numpy_dtype
        sizes = [op.J.shape[0] for op in self.ops]

        def parameter(name):  # of each neuron, since ops with different ones are merged
            values = [getattr(op.neurons, name) for op in self.ops]
            return np.repeat(np.asarray(values, dtype=dtype), sizes)[np.newaxis]

        self.gamma = parameter("gamma")
        self.tau_rc = parameter("tau_rc")
        self.tau_ref = parameter("tau_ref")
        self.one = signals.one

    def step(self, J, dt):
        """The neurons' output for input currents, both ``(minibatch, neurons)``."""
        rate = softlif_rate(J - self.one, self.gamma, self.tau_rc, self.tau_ref)
        return rate if self.amplitude is None else self.amplitude * rate
