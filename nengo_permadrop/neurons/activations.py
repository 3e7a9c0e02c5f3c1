"""
Which neurons compute which activation.

To add an activation, add a function here: it takes the firing rate in Hz that an
activation of 1 shall have, and the activation's parameters, and says how neurons
compute it. Packages add theirs as entry points in the group
"nengo_permadrop.activations".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.graph.graph import Activation
from nengo_permadrop.neurons.loihi import LoihiLIFRate
from nengo_permadrop.neurons.softlif import (
    GAMMA,
    LAYER_AMPLITUDE,
    LAYER_GAIN,
    TAU_RC,
    TAU_REF,
    SoftLIF,
)
from nengo_permadrop.support.registry import Registry


@dataclass(frozen=True, eq=False)
class ActivationNeurons:
    """
    Neurons that compute an activation of a unit, one of them or several.

    It is ``f(x) = offset + sum(scale * neuron_type(gain * x + bias))``, over the
    neurons of the unit.

    Attributes
    ----------
    neuron_type : `nengo.neurons.NeuronType`
        A rate type.
    gain, bias : float or (n,) array_like
        From the layer's input to the neurons' input current; where there are several
        neurons a unit, of each.
    scale : float, (n,) array_like or (n, size) array_like
        From the neurons' output to the layer's; also for each unit of the layer.
    scalable : bool
        Whether its firing rates follow ``scale_firing_rates``.
    offset : float
    function : callable or None
        The activation itself, elementwise for an ndarray, where the neurons are only
        near it ...
    error : float
        ... and how far they are off at the most, over all real numbers; 0 if they
        compute the activation.
    """

    neuron_type: nengo.neurons.NeuronType
    gain: Any
    bias: Any
    scale: Any
    scalable: bool
    offset: float = 0.0
    function: Callable | None = None
    error: float = 0.0

    @property
    def per_unit(self):
        """Number of neurons of a unit."""
        return np.size(self.gain)

    @property
    def unit_scale(self):
        """What an output of 1 of a neuron is worth: a rectified neuron's own output,
        where several add up."""
        return float(self.scale) if self.per_unit == 1 else 1.0

    def scales(self, size):
        """``scale`` of all neurons of a layer, ``(n, size)``."""
        scale = np.asarray(self.scale, float)
        scale = scale.reshape(self.per_unit, -1)
        return np.broadcast_to(scale, (self.per_unit, size))

    def each(self, values, size):
        """A value of each neuron of a unit, for all of a layer, ``(n * size,)``.

        All units' first neurons come first.
        """
        return np.repeat(np.ravel(values), size)


_ACTIVATIONS = Registry(
    "activation",
    "nengo_permadrop.activations",
    own=dict.fromkeys(
        ("elu", "gelu", "hard_sigmoid", "mish", "selu", "silu", "softplus"),
        "nengo_permadrop.neurons.sums",
    ),
)

# Rate neurons of SoftLIF layers, by the target whose curve they have learned
_CURVES = {}


def register_activation(kind):
    """Register the neurons of an activation.

    Parameters
    ----------
    kind : str
        As in `.Activation`: the field's name for it, in lower case.

    Returns
    -------
    decorator : callable
        For a function of a firing rate (float, Hz) and the activation's parameters, by
        keyword, that returns `ActivationNeurons`.
    """

    def decorator(function):
        _ACTIVATIONS.register(kind, function)
        return function

    return decorator


def register_curve(target):
    """Register the rate neurons that SoftLIF layers of a target compute.

    Parameters
    ----------
    target : str

    Returns
    -------
    decorator : callable
        For a function of ``gamma``, ``tau_rc``, ``tau_ref`` and ``amplitude`` that
        returns a `nengo.neurons.NeuronType`.
    """

    def decorator(function):
        _CURVES[target] = function
        return function

    return decorator


def curve_names():
    """The targets whose rate curves SoftLIF layers can have, a list of str."""
    return list(_CURVES)


def activation_names():
    """The kinds of activations that there are neurons for, a list of str."""
    return sorted(_ACTIVATIONS.names())


def activation_neurons(kind, rate, **parameters):
    """
    The neurons of an activation.

    Parameters
    ----------
    kind : str
    rate : float or None
        Firing rate, in Hz, of an activation of 1; None for those that have their own,
        which don't ask for it.
    **parameters
        As in `.Activation`.

    Returns
    -------
    neurons : `ActivationNeurons`

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is no such activation.
    """
    return _ACTIVATIONS.get(kind)(rate, **parameters)


def activate(operation, x):
    """
    What an `.Activation` makes of its input, as `.evaluate` wants it.

    It is computed by the rate neurons that stand for the activation; where these are
    only near it, by the activation itself.
    """
    neurons = activation_neurons(operation.kind, 1.0, **operation.parameters)
    if neurons.function is not None:
        return neurons.function(x)
    return _of_neurons(neurons, x)


def activate_neurons(operation, x):
    """
    What the rate neurons that stand for an `.Activation` make of its input.

    Other than `activate` where they are only near it.

    Raises
    ------
    nengo.exceptions.ValidationError
        If they are farther from it than is said of them.
    """
    neurons = activation_neurons(operation.kind, 1.0, **operation.parameters)
    result = _of_neurons(neurons, x)
    if neurons.function is not None:
        off = np.abs(result - neurons.function(x))
        # the sum of large numbers that cancel is rounded
        excess = off - neurons.error - 1e-6 * (1 + np.abs(x))
        if np.nanmax(excess, initial=0.0) > 0:
            raise ValidationError(
                f"neurons of {operation} are off by {np.nanmax(off):.3g}, and at most "
                f"{neurons.error:.3g} is said of them",
                attr="error",
            )
    return result


def _of_neurons(neurons, x):
    """What the neurons of an activation add up to, an array like ``x``."""
    outputs, size = _outputs(neurons, x), x.shape[1]
    if neurons.per_unit == 1:
        return neurons.scale * outputs
    parts = outputs.reshape(len(x), neurons.per_unit, size) * neurons.scales(size)
    return neurons.offset + parts.sum(axis=1)


def approximations(graph):
    """
    How far the neurons of activations are off.

    Parameters
    ----------
    graph : `.ModelGraph`

    Returns
    -------
    errors : {str: float}
        By path of the layer, where it is not 0: the largest error of an activation,
        over all real numbers.
    """
    errors = {}
    for operation in graph.operations:
        if isinstance(operation, Activation):
            found = activation_neurons(operation.kind, 1.0, **operation.parameters)
            if found.error > 0:
                errors[operation.path] = max(
                    found.error, errors.get(operation.path, 0.0)
                )
    return errors


def neuron_activity(operation, x):
    """
    What each neuron of an `.Activation` stands for.

    Parameters
    ----------
    operation : `.Activation`
    x : (n, size) ndarray
        Its input.

    Returns
    -------
    activity : (n, n_neurons) ndarray
        Times the firing rate of an activation of 1, it is the neuron's rate. Of one
        neuron a unit, it is the activation.
    """
    neurons = activation_neurons(operation.kind, 1.0, **operation.parameters)
    return neurons.unit_scale * _outputs(neurons, x)


def _outputs(neurons, x):
    """What rate neurons send, ``(n, n_neurons)``."""
    size, n = x.shape[1], neurons.per_unit
    gain, bias = neurons.each(neurons.gain, size), neurons.each(neurons.bias, size)
    x = x if n == 1 else np.tile(x, (1, n))
    with np.errstate(over="ignore"):  # nengo.Sigmoid's exponentials may; it is right
        return neurons.neuron_type.rates(x, gain, bias)


@register_curve("nengo")
def _smooth_curve(gamma, **constants):
    return SoftLIF(gamma=gamma, **constants)


@register_curve("loihi")
def _loihi_curve(gamma, **constants):
    return LoihiLIFRate(**constants)


@register_activation("softlif")
def _softlif(
    rate,
    gain=LAYER_GAIN,
    gamma=GAMMA,
    tau_rc=TAU_RC,
    tau_ref=TAU_REF,
    amplitude=LAYER_AMPLITUDE,
    curve="nengo",
):
    # the rate at an activation of 1 is the layer's: a LIF curve can't be scaled
    if curve not in _CURVES:
        raise ValidationError(
            f"no target has the rate curve {curve!r}; there are those of "
            f"{', '.join(sorted(_CURVES))}",
            attr="curve",
        )
    return ActivationNeurons(
        neuron_type=_CURVES[curve](
            gamma=gamma, tau_rc=tau_rc, tau_ref=tau_ref, amplitude=amplitude
        ),
        gain=gain,
        bias=1.0,
        scale=1.0,
        scalable=False,
    )


def rectified(rate, gains, thresholds, scale, **others):
    """
    Rectified neurons whose outputs add up to an activation.

    Parameters
    ----------
    rate : float
        Firing rate, in Hz, of an output of 1.
    gains, thresholds : sequence of float
        Each neuron stands for ``max(0, gain * x - threshold)``.
    scale : sequence
        What they are multiplied by, as in `ActivationNeurons`.
    **others
        Other attributes of `ActivationNeurons`.

    Returns
    -------
    neurons : `ActivationNeurons`
    """
    several = len(gains) > 1
    return ActivationNeurons(
        neuron_type=nengo.RectifiedLinear(amplitude=1.0 / rate),
        gain=rate * np.asarray(gains, float) if several else rate * gains[0],
        bias=(
            -rate * np.asarray(thresholds, float) if several else -rate * thresholds[0]
        ),
        scale=scale if several else scale[0],
        scalable=True,
        **others,
    )


@register_activation("relu")
def _relu(rate, max_value=None, negative_slope=0.0):
    """Rectified, perhaps with a most, or a slope of negative parts (of each unit)."""
    if max_value is None and not np.any(negative_slope):
        return ActivationNeurons(
            neuron_type=nengo.RectifiedLinear(amplitude=1.0 / rate),
            gain=rate,
            bias=0.0,
            scale=1.0,
            scalable=True,
        )
    gains, thresholds, scale = [1.0], [0.0], [1.0]
    if max_value is not None:
        gains, thresholds, scale = [1.0, 1.0], [0.0, max_value], [1.0, -1.0]
    if np.any(negative_slope):
        gains, thresholds = [*gains, -1.0], [*thresholds, 0.0]
        scale = [*scale, -np.asarray(negative_slope, float)]
    return rectified(rate, gains, thresholds, _side_by_side(scale))


def _side_by_side(scale):
    """Scales of neurons, of which some are those of each unit, as one array."""
    size = max(map(np.size, scale))
    return np.array([np.broadcast_to(np.ravel(each), (size,)) for each in scale])


@register_activation("sigmoid")
def _sigmoid(rate):
    return ActivationNeurons(
        neuron_type=nengo.Sigmoid(tau_ref=1.0 / rate),
        gain=1.0,
        bias=0.0,
        scale=1.0 / rate,
        scalable=True,
    )


@register_activation("tanh")
def _tanh(rate):
    return ActivationNeurons(
        neuron_type=nengo.Tanh(tau_ref=1.0 / rate),
        gain=1.0,
        bias=0.0,
        scale=1.0 / rate,
        scalable=True,
    )
