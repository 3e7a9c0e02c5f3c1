"""
Connections from all layers of neurons to the outputs, which a fit of weights can use.

What the last layer of neurons lacks of its activation, such as SoftLIF's tail below the
threshold, no weights from that layer can give. The layers before it know more of the
currents that it gets: connections from them past the last layer to the outputs, with
the masks of their dropout, take about a third of the bias away that is left without.
"""

import nengo
import numpy as np

from nengo_permadrop.converter.timing import holder
from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.dropout.weights import plain_transform
from nengo_permadrop.support.isolation import outside_networks


def add_bypass(conv):
    """
    Connect each layer of neurons to the outputs that it has no connection to.

    The weights are 0. An ensemble whose neurons are dropped by different masks for
    different connections is left out, and so is an output that no ensemble drives.

    Parameters
    ----------
    conv : `.Converter`
        Without gates and without such connections; they are its ``bypass`` then.
    """
    sent, sources = _sent(conv), {}
    for conn in conv.connections:
        sources.setdefault(holder(conn.post_obj), []).append(holder(conn.pre_obj))
    with outside_networks(), conv:
        for node in conv.outputs.values():
            direct = sources.get(node, [])
            if not any(source in conv.ensembles for source in direct):
                continue
            before = _before(node, sources)
            for ensemble in conv.ensembles:
                if ensemble in before and ensemble not in direct and ensemble in sent:
                    conv.bypass.append(_connected(ensemble, node, *sent[ensemble]))


def remove_bypass(conv):
    """Remove what `add_bypass` has added to a `.Converter`."""
    masks = [mask for dropout in conv.dropouts for mask in dropout.masks]
    for conn in conv.bypass:
        conv.connections.remove(conn)
        for mask in masks:
            if conn in mask.connections:
                mask.connections.remove(conn)
    conv.bypass.clear()


def with_weights(transform, weights):
    """
    A transform with other weights, and the dropout that it had.

    Parameters
    ----------
    transform : `nengo.Dense`, `nengo.Sparse` or `.PermanentDropout`
    weights : (size_out, size_in) ndarray or csr_matrix
        For the same number of inputs.

    Returns
    -------
    transform : `nengo.Dense`, `nengo.Sparse` or `.PermanentDropout`
    """
    if isinstance(transform, PermanentDropout):
        return transform.replaced(init=weights)
    return plain_transform(weights)


def _sent(conv):
    """A connection, and its mask or None, by ensemble; of those with one mask only."""
    masks = {
        conn: mask
        for dropout in conv.dropouts
        for mask in dropout.masks
        for conn in mask.connections
    }
    ways = {}
    for conn in conv.connections:
        pre = holder(conn.pre_obj)
        if isinstance(pre, nengo.Ensemble):
            mask = masks.get(conn)
            ways.setdefault(pre, {})[id(mask)] = conn, mask
    return {pre: next(iter(own.values())) for pre, own in ways.items() if len(own) == 1}


def _before(node, sources):
    """All that has a way to a Node."""
    found, new = set(), [node]
    while new:
        for source in sources.get(new.pop(), ()):
            if source not in found:
                found.add(source)
                new.append(source)
    return found


def _connected(ensemble, node, other, mask):
    """A new connection, with synapse, dropout and mask of another one."""
    conn = nengo.Connection(
        ensemble.neurons,
        node,
        transform=with_weights(
            other.transform, np.zeros((node.size_in, ensemble.n_neurons))
        ),
        synapse=other.synapse,
        label=f"{ensemble.label} past others to {node.label}",
    )
    if mask is not None:
        conn.seed = mask.seed
        mask.connections.append(conn)
    return conn
