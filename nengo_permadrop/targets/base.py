"""What a target is; this one is plain Nengo."""

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.neurons.spiking_twins import exact_spiking, spiking
from nengo_permadrop.support.validation import check_seconds


class Target:
    """
    What a network is built for.

    The base class builds for any simulator of Nengo's. A target of other neurons,
    synapses or limits overrides what differs, and is registered with
    `.registry.register_target`, or as an entry point in the group
    "nengo_permadrop.targets".

    Attributes
    ----------
    name : str
        As in ``Converter(target=...)``. Spiking twins are registered for it with
        `nengo_permadrop.neurons.register_spiking`.
    rate_neurons : bool
        Whether networks of rate neurons run there.
    gates : bool
        Whether weights can't change in a running network, so that masks are redrawn by
        `.DropoutGate` gates.
    curve : str
        The target whose rate curve SoftLIF layers should have learned.
    sparse_weights : bool
        Whether weights may be sparse matrices.
    whole_steps : bool
        Whether neurons fire every so many whole time steps, so that their rates are
        quantised.
    firing_rate : float
        Rate, in Hz, of the activations at the 99th percentile of a layer that can have
        any rates. The higher, the less noise, and the more spikes; and where neurons
        fire once in whole time steps, the coarser their rates.
    default_synapse : `nengo.synapses.Synapse`
        Of connections from spiking neurons.
    other_curve : str
        A warning for layers that learned with the rate curve of another target's
        neurons; ``{}`` stands for them.
    """

    name = "nengo"
    rate_neurons = True
    gates = False
    curve = "nengo"
    sparse_weights = True
    whole_steps = False
    firing_rate = 500.0
    default_synapse = nengo.Alpha(0.005)
    other_curve = (
        "{} learned with the quantised rates of a chip's neurons, which Nengo's don't "
        "have; convert for the target that they were trained for, or train with "
        "SoftLIF(target='nengo') layers"
    )

    def check_neurons(self, neurons):
        """Raise if networks of such neurons, "spiking" or "rate", don't run there."""
        if neurons == "rate" and not self.rate_neurons:
            raise ValidationError(
                f"rate neurons don't run on target {self.name!r}; use "
                "neurons='spiking' or target='nengo'",
                attr="neurons",
            )

    def synapse(self, synapse, neurons):
        """
        The filter of connections from neurons.

        Parameters
        ----------
        synapse : `nengo.synapses.Synapse`, float or None
            As in `.Converter`.
        neurons : {"spiking", "rate"}

        Returns
        -------
        synapse : `nengo.synapses.Synapse` or None

        Raises
        ------
        nengo.exceptions.ValidationError
            If it isn't a synapse, or one that the target doesn't have.
        """
        if synapse is None:
            return None if neurons == "rate" else self.default_synapse
        if isinstance(synapse, (int, float, np.number)):
            synapse = nengo.Lowpass(check_seconds(synapse, "synapse", zero=True))
        if not isinstance(synapse, nengo.synapses.Synapse):
            raise ValidationError(
                f"must be a synapse or a time constant in seconds, got {synapse!r}",
                attr="synapse",
            )
        self.check_synapse(synapse)
        return synapse

    def check_synapse(self, synapse):
        """Raise if the target doesn't have a synapse."""

    def spiking_neurons(self, rate_type, driven):
        """
        The spiking neurons of a layer.

        Parameters
        ----------
        rate_type : `nengo.neurons.NeuronType`
            Of its activation.
        driven : list of bool
            Of each object that the layer gets its input from, whether it is a Node.

        Returns
        -------
        neuron_type : `nengo.neurons.NeuronType`

        Raises
        ------
        nengo.exceptions.ValidationError
            If there are none.
        """
        return spiking(rate_type, target=self.name)

    def exact_neurons(self, rate_type):
        """
        The spiking neurons of a first layer that has exactly its activation's rates.

        Parameters
        ----------
        rate_type : `nengo.neurons.NeuronType`

        Returns
        -------
        neuron_type : `nengo.neurons.NeuronType`
        """
        return exact_spiking(rate_type)

    def is_off_chip(self, driven):
        """Whether a layer is computed beside the device; arguments as above."""
        return False

    def output_node(self, size, constant, label):
        """
        The Node of an output, in the network that is being built.

        Parameters
        ----------
        size : int
        constant : (size,) ndarray
            What is added to what is connected to the Node.
        label : str

        Returns
        -------
        node : `nengo.Node`
        """
        node = nengo.Node(size_in=size, label=label)
        add_constant(constant, node)
        return node

    def check_alpha_dropout(self, layer):
        """
        Raise if a value can't take the place of what is dropped.

        Parameters
        ----------
        layer : str
            For messages.
        """

    def check_passthrough_dropout(self, layer):
        """
        Raise if values that are no neurons' outputs can't be dropped.

        Parameters
        ----------
        layer : str
            The dropout layer, for the message.

        Raises
        ------
        nengo_permadrop.ConversionError
        """

    def configure(self, network, off_chip):
        """
        Tell a backend what is special about some ensembles.

        Parameters
        ----------
        network : `nengo.Network`
            The outermost one, whose configuration is changed.
        off_chip : list of `nengo.Ensemble`
            Of a network that was converted for this target.
        """


def add_constant(constant, node):
    """Add a constant to what a Node gets, if it isn't zero."""
    if np.any(constant):
        bias = nengo.Node(constant, label=f"{node.label}.bias")
        nengo.Connection(bias, node, synapse=None)
