"""Phase."""

import nengo


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
