"""Steps of the operators that move and set signals, and of Python functions."""

import numpy as np
from nengo.builder.operator import (
    Copy,
    ElementwiseInc,
    Reset,
    SimPyFunc,
    TimeUpdate,
)
from nengo.builder.probe import SimProbe
from nengo.exceptions import BuildError, SimulationError
from nengo.utils.functions import function_name
from nengo.utils.numpy import broadcast_shape, is_array_like

from nengo_permadrop.batched.steps.registry import register_step


@register_step(TimeUpdate)
def time_update(op, context):
    """Advance the step and the time, which all replicas share."""
    step, time, dt = context[op.step], context[op.time], context.dt

    def step_timeupdate():
        step[...] += 1
        time[...] = step * dt

    return step_timeupdate


@register_step(Reset)
def reset(op, context):
    """Set a signal to a constant."""
    target, value = context[op.dst], op.value

    def step_reset():
        target[...] = value

    return step_reset


@register_step(SimProbe)
def probe(op, context):
    """Nothing to do: the simulator copies what is probed."""

    def step_probe():
        pass

    return step_probe


@register_step(Copy)
def copy(op, context):
    """Copy a signal, or add it to another, with index arrays on either side."""
    dst = context[op.dst]
    src = context[op.src]
    src_index = _index(op.src_slice, context.varies(op.src))
    dst_index = _index(op.dst_slice, context.varies(op.dst))
    missing = op.dst.ndim - op.src.ndim if context.varies(op.src) else 0
    repeats = _has_repeats(op.dst_slice, op.dst.shape)

    def source():
        value = src[src_index]
        if missing > 0:
            value = value.reshape(value.shape[:1] + (1,) * missing + value.shape[1:])
        return value

    if op.inc and repeats:

        def step_copy():
            np.add.at(dst, dst_index, source())

    elif op.inc:

        def step_copy():
            dst[dst_index] += source()

    elif repeats:
        raise BuildError(
            f"{op}: Cannot have repeated indices in ``dst_slice`` when copy is not an "
            "increment"
        )
    else:

        def step_copy():
            dst[dst_index] = source()

    return step_copy


def _index(indices, varies):
    if indices is None:
        return Ellipsis
    if is_array_like(indices):
        indices = np.array(indices)
    return (slice(None), indices) if varies else indices


def _has_repeats(indices, shape):
    if not is_array_like(indices):
        return False
    indices = np.array(indices)
    if indices.dtype.kind == "b":
        return False
    indices[indices < 0] += shape[0]
    return len(np.unique(indices)) < len(indices)


@register_step(ElementwiseInc)
def elementwise_inc(op, context):
    """``Y += A * X``, with NumPy's broadcasting within a replica."""
    ndim = max(op.A.ndim, op.X.ndim, op.Y.ndim)
    y_shape = broadcast_shape(op.Y.shape, 2)
    for a, x, y in zip(
        broadcast_shape(op.A.shape, 2), broadcast_shape(op.X.shape, 2), y_shape
    ):
        if not (a in [1, y] and x in [1, y] and max(a, x) == y):
            raise BuildError(
                f"{op}: incompatible shapes, {op.Y.shape} += {op.A.shape} * "
                f"{op.X.shape}"
            )
    a_array = context.aligned(op.A, ndim)
    x_array = context.aligned(op.X, ndim)
    y_array = context.aligned(op.Y, ndim)

    def step_elementwiseinc():
        y_array[...] += a_array * x_array

    return step_elementwiseinc


@register_step(SimPyFunc)
def python_function(op, context):
    """
    Call a Python function: once a step if its argument is shared, else once a replica.

    So a Node's function of time alone is called as often as in `nengo.Simulator`, and
    all replicas get its value.
    """
    per_replica = op.x is not None and context.varies(op.x)
    n_calls = context.n_replicas if per_replica else 1
    time = None if op.t is None else context[op.t]
    x = None if op.x is None else context[op.x]
    output = None if op.output is None else context[op.output]
    fn = op.fn

    def step_simpyfunc():
        for i in range(n_calls):
            args = [] if time is None else [time.item()]
            if x is not None:
                args.append(np.copy(x[i] if per_replica else x))
            y = fn(*args)
            if output is not None:
                _store(fn, y, output, i if per_replica else Ellipsis)

    return step_simpyfunc


def _store(fn, y, output, index):
    try:
        if y is None or not np.all(np.isfinite(y)):
            raise SimulationError(
                f"Function '{function_name(fn)}' returned non-finite value"
            )
        output[index] = y
    except (TypeError, ValueError) as error:
        raise SimulationError(
            f"Function '{function_name(fn)}' returned a value {y!r} of invalid type "
            f"{type(y)!r}"
        ) from error
