"""Steps of neurons, for Nengo's neuron types and for a user's own."""

import nengo
import numpy as np
from nengo.builder.neurons import SimNeurons

from nengo_permadrop.batched.compiled.neuron_types import is_known_elementwise
from nengo_permadrop.batched.steps.registry import register_step
from nengo_permadrop.neurons.loihi import LoihiLIFRate
from nengo_permadrop.neurons.softlif import SoftLIF

_ELEMENTWISE_STEPS = set()


def register_elementwise(neuron_type):
    """
    Declare that a neuron type's ``step`` works on arrays of any shape.

    The step of such a type is called once for all replicas, on arrays of shape
    ``(n_replicas, n_neurons)``. That is right if it treats every element on its own: no
    sums over neurons, no ``len`` or ``size`` of its arrays, no random numbers. All
    other types are stepped replica by replica, which is always right, and slower.

    Parameters
    ----------
    neuron_type : type
        The `nengo.neurons.NeuronType` subclass. Types that inherit its ``step`` are
        elementwise, too; those that override it are not, until they are registered.

    Returns
    -------
    neuron_type : type
        So that this can decorate a class.
    """
    _ELEMENTWISE_STEPS.add(neuron_type.step)
    return neuron_type


for _neuron_type in (
    nengo.AdaptiveLIF,
    nengo.AdaptiveLIFRate,
    nengo.Izhikevich,
    nengo.LIF,
    nengo.LIFRate,
    nengo.RectifiedLinear,
    nengo.RegularSpiking,
    nengo.Sigmoid,
    nengo.SpikingRectifiedLinear,
    nengo.Tanh,
    LoihiLIFRate,
    SoftLIF,
):
    register_elementwise(_neuron_type)


def is_elementwise(neuron_type):
    """Whether a neuron type's step is known to work on all replicas at once."""
    known = type(neuron_type).step in _ELEMENTWISE_STEPS
    return known or is_known_elementwise(neuron_type)


def has_curve(neuron_type):
    """
    Whether the rates of a `nengo.RegularSpiking` type follow from its current alone.

    Then they are constant for a constant current, and known for all replicas at once.
    """
    base_type = neuron_type.base_type
    stateless = not base_type.state and not base_type.negative
    return stateless and not base_type.spiking and is_elementwise(base_type)


def _is_stochastic(op):
    return bool(op.state_extra)


@register_step(SimNeurons, varies=_is_stochastic)
def sim_neurons(op, context):
    """Step the neurons of all replicas: together if the type allows it."""
    neurons, dt = op.neurons, context.dt
    output = context[op.output]

    if not context.varies(op.output) or (
        is_elementwise(neurons) and not op.state_extra
    ):
        current = np.broadcast_to(context[op.J], output.shape)
        state = {name: context[signal] for name, signal in op.state.items()}

        def step_simneurons():
            neurons.step(dt, current, output, **state)

        return step_simneurons

    currents, outputs = context.rows(op.J), context.rows(op.output)
    states = [{} for _ in currents]
    for name, signal in op.state.items():
        for state, row in zip(states, context.rows(signal)):
            state[name] = row
    for name, built in op.state_extra.items():
        for state, rng in zip(states, context.neuron_rngs(op, built)):
            state[name] = rng

    def step_simneurons_by_replica():
        for current, out, state in zip(currents, outputs, states):
            neurons.step(dt, current, out, **state)

    return step_simneurons_by_replica
