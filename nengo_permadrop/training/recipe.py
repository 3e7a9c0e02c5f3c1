"""
The layers that the package's networks are made of.

They follow the recipe for which the spiking network's distribution was found to match
(see "When they don't agree" in the documentation): SoftLIF with ``gain=2``,
``amplitude=0.01`` and ``gamma=0.02``, so that an activation of 1 is about 100 spikes
per second, far from the tail of SoftLIF under the threshold that LIF neurons lack; He
initialisation and a bias of 0.2, which keep the activations near 1 in every layer.
"""

import math

from nengo.exceptions import ValidationError

from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.neurons.softlif import (
    GAMMA,
    LAYER_AMPLITUDE,
    LAYER_GAIN,
    TAU_RC,
    TAU_REF,
)
from nengo_permadrop.support.generators import generators_kept
from nengo_permadrop.support.optional import require

SOFTLIF = {"gain": LAYER_GAIN, "amplitude": LAYER_AMPLITUDE, "gamma": GAMMA}
BIAS = 0.2
ACTIVATIONS = ("softlif", "relu")


def softlif_at(firing_rate):
    """
    Options of SoftLIF with which an activation of 1 is a given number of spikes.

    Parameters
    ----------
    firing_rate : float
        In Hz.

    Returns
    -------
    options : {"gain": float, "amplitude": float}
        The curve goes through 1 at an input of 1, up to its smoothing.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the refractory time doesn't allow it.
    """
    most = 1 / TAU_REF
    if not 0 < firing_rate < most:
        raise ValidationError(
            f"must be above 0 and below {most:g} Hz, which neurons with a refractory "
            f"time of {TAU_REF:g} s don't reach, got {firing_rate}",
            attr="firing_rate",
        )
    # the current above the threshold at which LIF neurons have this rate
    gain = 1 / math.expm1((1 / firing_rate - TAU_REF) / TAU_RC)
    return {"gain": gain, "amplitude": 1 / firing_rate}


class RecipeLayers:
    """
    Adds layers of the recipe to functional models.

    Parameters
    ----------
    rate : float
        Dropout rate, in [0, 1).
    seed : int
        Decides the initial weights; every layer has a seed of its own.
    target : {"nengo", "loihi"}
        What the spiking network will run on: the curve of the SoftLIF layers.
    activation : {"softlif", "relu"}, optional
        Of the hidden layers.
    **softlif
        Of SoftLIF: ``gain``, ``amplitude`` or ``gamma`` other than the recipe's.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is no such activation.
    """

    def __init__(self, rate, seed, target, activation="softlif", **softlif):
        if activation not in ACTIVATIONS:
            raise ValidationError(
                f"must be one of {', '.join(ACTIVATIONS)}, got {activation!r}",
                attr="activation",
            )
        self.rate = rate
        self.seed = seed
        self.activation = activation
        self.softlif = {**SOFTLIF, **softlif, "target": target}
        self.n_weighted = 0

    def hidden(self, x, units, name):
        """A dense layer, its activation and permanent dropout, applied to ``x``."""
        return self._active(self._dense(units, name, BIAS)(x), name)

    def convolution(self, x, filters, kernel_size, name):
        """
        A 2-D convolution, its activation and spatial dropout, applied to ``x``.

        Images have their channels last. The padding is "same": there are as many pixels
        behind it. Dropout drops all pixels of a channel together.
        """
        x = require("keras").layers.Conv2D(
            filters, kernel_size, padding="same", name=name, **self._initial(BIAS)
        )(x)
        return self._active(x, name, noise_shape=(None, 1, 1, None))

    def pool(self, x, name):
        """The average of every 2 x 2 pixels of ``x``."""
        return require("keras").layers.AveragePooling2D(2, name=name)(x)

    def _active(self, x, name, noise_shape=None):
        from nengo_permadrop.sources.keras.layers import PermanentDropout, SoftLIF

        activation_name = f"{name}_{self.activation}"
        if self.activation == "softlif":
            activation = SoftLIF(name=activation_name, **self.softlif)
        else:
            layers = require("keras").layers
            activation = layers.Activation(self.activation, name=activation_name)
        with generators_kept():  # Keras 3 takes the dropout's seed from Python's
            dropout = PermanentDropout(
                self.rate, noise_shape=noise_shape, name=f"{name}_dropout"
            )
        return dropout(activation(x))

    def output(self, x, units=1):
        """A linear layer, applied to ``x``."""
        return self._dense(units, "output", 0.0)(x)

    def _dense(self, units, name, bias):
        layers = require("keras").layers
        return layers.Dense(units, name=name, **self._initial(bias))

    def _initial(self, bias):
        """How the next layer's weights begin: it has a seed of its own."""
        initializers = require("keras").initializers
        self.n_weighted += 1
        seed = derive_seed(self.seed, self.n_weighted)
        return {
            "kernel_initializer": initializers.HeNormal(seed=seed),
            "bias_initializer": initializers.Constant(bias),
        }
