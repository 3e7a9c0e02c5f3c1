"""Copies of a converted network side by side in one."""

import nengo


def another_copy(conv, label):
    """
    Another network of the same layers in a converted one, with the same inputs.

    Parameters
    ----------
    conv : `.Converter`
        It is added to this one.
    label : str

    Returns
    -------
    copy : `.Converter`
    """
    with conv:
        copy = type(conv)(
            conv.graph,
            neurons=conv.neurons,
            target=conv.target,
            synapse=conv.synapse,
            dropout=conv.dropout,
            scale_firing_rates=conv.firing_rates or None,
            first_layer=conv.first_layer,
            redraw=conv.redraw,
            label=label,
            add_to_container=False,  # which would configure the outermost network
        )
        conv.add(copy)
        for name, node in conv.inputs.items():
            nengo.Connection(node, copy.inputs[name], synapse=None)
    return copy
