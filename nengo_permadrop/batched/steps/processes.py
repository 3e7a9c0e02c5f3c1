"""Steps of processes and synapses."""

import numpy as np
from nengo.builder.processes import SimProcess
from nengo.exceptions import SimulationError
from nengo.processes import (
    FilteredNoise,
    Piecewise,
    PresentInput,
    WhiteNoise,
    WhiteSignal,
)
from nengo.synapses import LinearFilter, Triangle

from nengo_permadrop.batched.random.seeding import mask_keys
from nengo_permadrop.batched.steps.registry import register_step
from nengo_permadrop.dropout.processes import MaskProcess

_DETERMINISTIC = {
    cls.make_step for cls in (LinearFilter, Triangle, PresentInput, Piecewise)
}
_NOISE = {cls.make_step for cls in (WhiteNoise, FilteredNoise, WhiteSignal)}


def _can_differ(op):
    # A seed of its own gives Nengo's noise the same numbers in every run, so in every
    # replica. A type that isn't known may keep state in its step: one for each replica.
    make_step = type(op.process).make_step
    if make_step in _NOISE:
        return op.process.seed is None
    return make_step not in _DETERMINISTIC


@register_step(SimProcess, varies=_can_differ)
def sim_process(op, context):
    """
    Step a process: synapses and masks for all replicas at once, others one by one.

    Raises
    ------
    nengo.exceptions.SimulationError
        When it runs, if the process returns NaN.
    """
    if op.output in context.inputs:
        return _replica_input(op, context)
    output, time = context[op.output], context[op.t]
    x = None if op.input is None else context[op.input]
    add = op.mode == "inc"

    def store(target, value):
        if add:
            target[...] += value
        else:
            target[...] = value

    if not context.varies(op.output):
        rng = context.shared_rng(op, op.process)
        state = {name: context[signal] for name, signal in op.state.items()}
        step = _make_step(op, context, rng, state)

        def step_simprocess():
            value = step(time.item()) if x is None else step(time.item(), np.copy(x))
            _check(op, value)
            store(output, value)

        return step_simprocess

    if type(op.process).make_step in (LinearFilter.make_step, Triangle.make_step):
        context.shared_rng(op, op.process)  # Nengo draws a seed for synapses, too
        stacked = _make_stacked(op, context)
        inputs = np.broadcast_to(x, output.shape)

        def step_simprocess_stacked():
            store(output, stacked(time.item(), np.copy(inputs)))

        return step_simprocess_stacked

    masked = type(op.process).make_step is MaskProcess.make_step
    if masked and op.process.seed is not None:
        keys = mask_keys(context.seeds.connection_seeds(op.process.seed))
        masks = op.process.make_mask_step(keys, context.dt)

        def step_simprocess_masks():
            store(output, masks(time.item()))

        return step_simprocess_masks

    rows = [None] * context.n_replicas if x is None else context.rows(op.input)
    outputs = context.rows(op.output)
    states = [{} for _ in rows]
    for name, signal in op.state.items():
        for state, row in zip(states, context.rows(signal)):
            state[name] = row
    steps = [
        _make_step(op, context, rng, state)
        for rng, state in zip(context.process_rngs(op, op.process), states)
    ]

    def step_simprocess_by_replica():
        t = time.item()
        for step, row, out in zip(steps, rows, outputs):
            value = step(t) if row is None else step(t, np.copy(row))
            _check(op, value)
            store(out, value)

    return step_simprocess_by_replica


def _check(op, value):
    value = np.asarray(value)
    if value.dtype.kind == "f" and np.isnan(value).any():
        raise SimulationError(f"{op}: the process returned NaN for {op.output!r}")


def _make_step(op, context, rng, state):
    shape_in = (0,) if op.input is None else op.input.shape
    return op.process.make_step(shape_in, op.output.shape, context.dt, rng, state)


def _make_stacked(op, context):
    """Nengo's own filter steps, on arrays with a replica axis behind their first."""
    shape = context[op.output].shape
    state = {name: context[signal] for name, signal in op.state.items()}
    state["X"] = np.moveaxis(state["X"], 0, 1)
    if "Xi" not in state:
        return op.process.make_step(shape, shape, context.dt, None, state)

    counter = state["Xi"]
    state["Xi"] = counter[0]  # the place in the buffer is the same in all replicas
    step = op.process.make_step(shape, shape, context.dt, None, state)

    def step_triangle(t, signal):
        value = step(t, signal)
        counter[...] = counter[0]
        return value

    return step_triangle


def _replica_input(op, context):
    source, output, time = context.inputs[op.output], context[op.output], context[op.t]
    dt = context.dt

    def step_replicainput():
        output[...] = source.at(time.item(), dt)

    return step_replicainput
