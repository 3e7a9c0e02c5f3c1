"""
Dropout that a program computes of random numbers.

PyTorch's exporter writes dropout of channels and alpha dropout so: numbers are drawn,
compared with a probability, scaled, and multiplied with a value.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nengo_permadrop.graph.dropouts import ALPHA, BERNOULLI, alpha_terms


@dataclass(frozen=True, eq=False)
class Uniform:
    """Random numbers between 0 and 1, of a shape with rows."""

    shape: tuple


@dataclass(frozen=True, eq=False)
class Noise:
    """
    ``scale * mask + shift`` of a random mask.

    Attributes
    ----------
    drawn : `Uniform`
        What the mask is made of.
    keep : float
        Probability that an element of the mask is 1.
    scale, shift : float
    """

    drawn: Uniform
    keep: float
    scale: float = 1.0
    shift: float = 0.0

    @property
    def shape(self):
        return self.drawn.shape

    @property
    def rate(self):
        """Probability that an element is dropped, in as many digits as it has."""
        return float(f"{1.0 - self.keep:.6g}")

    def moved(self, scale=1.0, shift=0.0):
        """The same, times a number, and with one added."""
        return replace(self, scale=self.scale * scale, shift=self.shift * scale + shift)

    @property
    def is_dropout(self):
        """Whether a value times this is dropout."""
        return self.shift == 0 and np.isclose(self.scale * self.keep, 1.0, atol=1e-5)


@dataclass(frozen=True, eq=False)
class Masked:
    """A value times noise that is no dropout by itself, by the name of the value."""

    value: Any
    name: str
    noise: Noise

    def is_alpha(self, other):
        """Whether this and other noise, of the same mask, add up to alpha dropout."""
        if not isinstance(other, Noise) or other.drawn is not self.noise.drawn:
            return False
        s, a, b = alpha_terms(self.noise.rate)
        # a m x + a (1 - m) s + b
        wanted = [a, 0.0, -a * s, a * s + b]
        found = [self.noise.scale, self.noise.shift, other.scale, other.shift]
        return np.allclose(found, wanted, atol=1e-4)


KINDS = {Noise: BERNOULLI, Masked: ALPHA}


def groups_of(shape, full_shape):
    """
    Groups of the elements that one element of a mask drops together.

    Parameters
    ----------
    shape : tuple of int
        Of the mask, with rows.
    full_shape : tuple of int
        Of the value, with rows.

    Returns
    -------
    groups : ndarray or None
        Of the value's shape without rows; None if each has its own.

    Raises
    ------
    ValueError
        If rows share a mask.
    """
    shape = (1,) * (len(full_shape) - len(shape)) + tuple(shape)
    if shape[0] != full_shape[0]:
        raise ValueError(f"a mask of shape {shape} for values of {full_shape}")
    if shape == tuple(full_shape):
        return None
    numbers = np.arange(int(np.prod(shape[1:]))).reshape(shape[1:])
    return np.broadcast_to(numbers, full_shape[1:])
