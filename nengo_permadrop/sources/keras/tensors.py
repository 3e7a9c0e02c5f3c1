"""What Keras's backends give, as arrays: TensorFlow's, JAX's and PyTorch's tensors."""

import contextlib

import numpy as np

from nengo_permadrop.support.optional import require


def is_keras2():
    """Whether the Keras that is installed has TensorFlow below it, and nothing else."""
    return require("keras").__version__.startswith("2.")


def no_gradients():
    """A context in which PyTorch keeps nothing for gradients; others don't anyway."""
    if is_keras2() or require("keras").config.backend() != "torch":
        return contextlib.nullcontext()
    return require("torch").no_grad()


def times(values, scale):
    """A tensor or array times an array, in the precision of the first."""
    if is_keras2():
        return values * scale
    ops = require("keras").ops
    values = ops.convert_to_tensor(values)
    return values * ops.convert_to_tensor(scale, dtype=values.dtype)


def plus(values, shift):
    """A tensor or array plus an array, in the precision of the first."""
    if is_keras2():
        return values + shift
    ops = require("keras").ops
    values = ops.convert_to_tensor(values)
    return values + ops.convert_to_tensor(shift, dtype=values.dtype)


def as_array(values):
    """A tensor or array as an array."""
    if is_keras2():
        return np.asarray(values)
    return require("keras").ops.convert_to_numpy(values)
