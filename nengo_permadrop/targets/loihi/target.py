"""Networks for Loihi: what its chip has, and what is computed beside it."""

import nengo
from nengo.exceptions import ValidationError

from nengo_permadrop.dropout.nodes import Shift
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.neurons.loihi import host_spiking
from nengo_permadrop.neurons.spiking_twins import spiking
from nengo_permadrop.support.optional import require
from nengo_permadrop.targets.base import Target
from nengo_permadrop.targets.registry import register_target


@register_target
class LoihiTarget(Target):
    """Loihi, by nengo-loihi's neuron types; the first layer is kept off the chip."""

    name = "loihi"
    rate_neurons = False
    gates = True
    curve = "loihi"
    # nengo-loihi has no sparse connections from the host, and doesn't split blocks
    sparse_weights = False
    whole_steps = True
    # of relu neurons, which lose on average half a time step with each spike;
    # at lower rates the noise of spikes biases the next layer more
    firing_rate = 80.0
    default_synapse = nengo.Lowpass(0.005)
    other_curve = (
        "{} learned with rates that Loihi's neurons don't have: theirs are quantised, "
        "so the spiking network will be less accurate and its distributions differ; "
        "train with SoftLIF(target='loihi') layers"
    )

    def check_synapse(self, synapse):
        if not isinstance(synapse, nengo.Lowpass):
            raise ValidationError(
                f"Loihi has Lowpass synapses only, got {synapse}", attr="synapse"
            )

    def spiking_neurons(self, rate_type, driven):
        if driven and all(driven):
            neuron_type = host_spiking(rate_type)
            if neuron_type is not None:
                return neuron_type
        neuron_type = spiking(rate_type, target=self.name)
        return with_random_phase(neuron_type) if any(driven) else neuron_type

    def exact_neurons(self, rate_type):
        return self.spiking_neurons(rate_type, [True])

    def is_off_chip(self, driven):
        return any(driven)

    def output_node(self, size, constant, label):
        # a Node with a function: nengo-loihi removes passthrough Nodes, and the
        # connections that it makes in their place can't drop
        return nengo.Node(Shift(constant), size_in=size, label=label)

    def check_passthrough_dropout(self, layer):
        raise ConversionError(
            layer,
            "drops values that are not the outputs of neurons (but sums, or shifted or "
            "linear ones), which takes a passthrough Node, and those can't drop on "
            "Loihi",
            "Drop the outputs of an activation, before they are added or shifted",
        )

    def check_alpha_dropout(self, layer):
        # measured: off by 0.7 standard deviations of the draws in a network of 24 units
        raise ConversionError(
            layer,
            "puts a value in place of what is dropped: constants of the host, which "
            "reach neurons on Loihi inexactly; and gates leave 0",
            "Use PermanentDropout, or target='nengo'",
        )

    def configure(self, network, off_chip):
        require("nengo_loihi").add_params(network)
        for ensemble in off_chip:
            network.config[ensemble].on_chip = False


def with_random_phase(neuron_type):
    """
    The same spiking neurons, starting anywhere between two spikes.

    nengo-loihi's start at rest, as they do on the chip. Of neurons that get a constant
    current, as the first layer's do, each then fires at the same times in every draw,
    and what their number of spikes is off the rate by is the same bias in every draw.

    Parameters
    ----------
    neuron_type : `nengo.neurons.NeuronType`
        With a state "voltage" that goes from 0 to 1.

    Returns
    -------
    neuron_type : `nengo.neurons.NeuronType`
    """
    names = ("tau_rc", "tau_ref", "min_voltage", "amplitude")
    return type(neuron_type)(
        **{
            name: getattr(neuron_type, name)
            for name in names
            if hasattr(neuron_type, name)
        },
        initial_state={"voltage": nengo.dists.Uniform(0, 1)},
    )
