"""
Activations that are, or are nearly, sums of rectified neurons.

Piecewise linear ones are met exactly; smooth ones to an error that is known (see
`.piecewise`).
"""

import numpy as np

from nengo_permadrop.neurons.activations import rectified, register_activation
from nengo_permadrop.neurons.piecewise import SMOOTH, bound

# Of SELU, as in Klambauer, G., Unterthiner, T., Mayr, A., & Hochreiter, S. (2017).
# Self-normalizing neural networks. NeurIPS
_SELU_ALPHA, _SELU_SCALE = (
    1.6732632423543772848170429916717,
    1.0507009873554804934193349852946,
)


@register_activation("hard_sigmoid")
def _hard_sigmoid(rate, slope):
    """Between 0 and 1, and a line of a slope through 0.5 at 0 between them."""
    return rectified(rate, [slope, slope], [-0.5, 0.5], [1.0, -1.0])


def _near(rate, name):
    """Neurons that are near a smooth function that goes to 0, or to x."""
    smooth = SMOOTH[name]
    return rectified(
        rate,
        np.ones(len(smooth.knots)),
        smooth.knots,
        smooth.slopes,
        offset=smooth.left,
        function=smooth.function,
        error=bound(name),
    )


@register_activation("gelu")
def _gelu(rate, approximate=False):
    return _near(rate, "gelu_tanh" if approximate else "gelu")


@register_activation("mish")
def _mish(rate):
    return _near(rate, "mish")


@register_activation("silu")
def _silu(rate):
    return _near(rate, "silu")


@register_activation("softplus")
def _softplus(rate):
    return _near(rate, "softplus")


@register_activation("elu")
def _elu(rate, alpha=1.0, scale=1.0):
    """``scale * x``, or ``scale * alpha * (exp(x) - 1)`` where x is negative."""
    smooth = SMOOTH["negative_exponential"]

    def function(x):
        return scale * (np.maximum(0.0, x) + alpha * smooth.function(x))

    slopes = scale * alpha * np.asarray(smooth.slopes)
    slopes[-1] += scale  # the last knot is 0: the neuron of the positive part
    return rectified(
        rate,
        np.ones(len(slopes)),
        smooth.knots,
        slopes,
        offset=scale * alpha * smooth.left,
        function=function,
        error=abs(scale * alpha) * bound("negative_exponential"),
    )


@register_activation("selu")
def _selu(rate):
    return _elu(rate, alpha=_SELU_ALPHA, scale=_SELU_SCALE)
