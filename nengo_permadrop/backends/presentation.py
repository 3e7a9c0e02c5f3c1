"""The network that is simulated: the problem's, with its answer probed."""

import nengo
import numpy as np

from nengo_permadrop.support.isolation import own_network


def presentation(problem, stimuli=False):
    """
    A network that holds the problem's network, and can show it observations.

    The problem's network, or rather its `.stand_in`, is its first member, so that seeds
    which Nengo derives from its place are the same on all backends.

    Parameters
    ----------
    problem : `.Problem`
    stimuli : bool, optional
        Connect a Node of constant output to each input that has none of its own.

    Returns
    -------
    net : `nengo.Network`
    nodes : list of `nengo.Node`
        Whose output is to be the observations, one per input.
    probe : `nengo.Probe`
        Of the problem's output.
    """
    nodes = list(problem.inputs)
    with own_network(problem.seed, problem.model) as net:
        if stimuli:
            with nengo.Network():
                for i, node in enumerate(nodes):
                    if node.size_in > 0:
                        nodes[i] = nengo.Node(np.zeros(node.size_in))
                        nengo.Connection(nodes[i], node, synapse=None)
        probe = nengo.Probe(problem.output)
    return net, nodes, probe


def window_means(problem, output):
    """
    The answers of a replica's windows.

    Parameters
    ----------
    problem : `.Problem`
    output : (n_run_steps, n_outputs) ndarray
        What the probe of `presentation` has read in a run.

    Returns
    -------
    answers : (n_windows * n_outputs,) ndarray
    """
    windows = np.asarray(output)[problem.n_begin :]
    windows = windows.reshape(problem.n_windows, problem.n_steps, -1)
    return windows[:, problem.n_settle :].mean(axis=1).ravel()
