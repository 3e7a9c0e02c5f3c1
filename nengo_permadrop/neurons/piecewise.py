"""
Smooth activations as sums of rectified neurons, and how far these are off.

A sum of rectified linear neurons is piecewise linear: each neuron bends it at the
neuron's threshold, its *knot*, by the neuron's *slope*. An activation that goes over
into straight lines on both sides is met by a few of them up to an error that is known.

The numbers are those that ``benchmarks/fit_activations.py`` finds, written down so that
a network is the same with any version of SciPy: for each activation the fewest neurons
with an error of at most 0.0125.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

# Where an activation's bound is looked for: beyond, those below differ from their
# straight lines by less than `_TAIL`
_RANGE, _TAIL = 40.0, 1e-15
_STEP = 1e-3


@dataclass(frozen=True)
class Smooth:
    """
    A smooth function, and what is near it.

    Attributes
    ----------
    function : callable
        Of an ndarray, elementwise.
    curvature : float
        An upper bound of the size of its second derivative (of both sides, where it
        has a kink at 0).
    left : float
        What it goes to on the left. On the right, it goes to x; or to 0, if it ...
    saturates : bool
    knots, slopes : tuple of float
        It is nearly ``left + sum(slopes * max(0, x - knots))``.
    """

    function: Callable
    curvature: float
    left: float = 0.0
    saturates: bool = False
    knots: tuple = ()
    slopes: tuple = ()


def _negative_exponential(x):
    return np.expm1(np.minimum(x, 0.0))


def _softplus(x):
    return np.logaddexp(0.0, x)


def _silu(x):
    return x * special.expit(x)


def _gelu(x):
    return x * special.ndtr(x)


def _gelu_tanh(x):
    return x * special.expit(np.sqrt(8 / np.pi) * (x + 0.044715 * x**3))


def _mish(x):
    return x * np.tanh(np.logaddexp(0.0, x))


SMOOTH = {
    # the negative part of ELU and SELU
    "negative_exponential": Smooth(
        _negative_exponential,
        1.0,
        left=-1.0,
        saturates=True,
        knots=(-4.98475, -2.80905, -1.72922, -0.97877, -0.41979, 0.0),
        slopes=(0.02391, 0.08372, 0.15461, 0.23996, 0.32248, -0.82468),
    ),
    "gelu": Smooth(
        _gelu,
        1.0,
        knots=(-2.59422, -0.68839, -0.21336, 0.25085, 0.71396, 2.48365),
        slopes=(-0.09328, 0.25595, 0.35294, 0.34191, 0.23901, -0.09653),
    ),
    "gelu_tanh": Smooth(
        _gelu_tanh,
        1.0,
        knots=(-2.58971, -0.68902, -0.21364, 0.2523, 0.72131, 2.48266),
        slopes=(-0.09369, 0.25672, 0.35284, 0.34621, 0.23485, -0.09693),
    ),
    "mish": Smooth(
        _mish,
        1.0,
        knots=(
            -6.63676,
            -3.91586,
            -1.22266,
            -0.63376,
            -0.21294,
            0.21719,
            0.69767,
            2.88918,
        ),
        slopes=(
            -0.02541,
            -0.06718,
            0.18707,
            0.24207,
            0.26272,
            0.26361,
            0.20058,
            -0.06346,
        ),
    ),
    "silu": Smooth(
        _silu,
        1.0,
        knots=(
            -6.83422,
            -4.14527,
            -1.25549,
            -0.55222,
            -0.01489,
            0.54527,
            1.25554,
            4.10784,
            6.41451,
        ),
        slopes=(
            -0.02195,
            -0.05785,
            0.18967,
            0.25206,
            0.26567,
            0.26252,
            0.18966,
            -0.05588,
            -0.0239,
        ),
    ),
    "softplus": Smooth(
        _softplus,
        1.0,
        knots=(
            -4.66788,
            -2.44593,
            -1.26291,
            -0.38837,
            0.38647,
            1.25588,
            2.36409,
            4.21113,
        ),
        slopes=(0.03278, 0.10667, 0.16869, 0.19141, 0.19231, 0.16454, 0.10361, 0.03999),
    ),
}


def spline(x, knots, slopes):
    """What neurons add up to, an ndarray like ``x``."""
    total = np.zeros_like(x)
    for knot, slope in zip(knots, slopes):
        total += slope * np.maximum(0.0, x - knot)
    return total


def largest_error(smooth, knots, slopes):
    """
    The largest error of a sum of rectified neurons, over all real numbers.

    Between two points that have no knot between them, the error bends no more than the
    function does, so it can't leave the line between them by more than an eighth of the
    curvature times the squared distance. Outside of `_RANGE`, sum and function are
    straight lines of the same slope, or as good as.

    Parameters
    ----------
    smooth : `Smooth`
    knots, slopes : (n,) array_like

    Returns
    -------
    bound : float
    """
    x = np.arange(-_RANGE, _RANGE + _STEP, _STEP)
    x = np.union1d(np.append(x, 0.0), knots)
    error = smooth.left + spline(x, knots, slopes) - smooth.function(x)
    between = smooth.curvature * _STEP**2 / 8
    return float(np.abs(error).max() + between + _TAIL)


@functools.cache
def bound(name):
    """The largest error of what stands for a function of `SMOOTH`, a float."""
    smooth = SMOOTH[name]
    return largest_error(smooth, smooth.knots, smooth.slopes)
