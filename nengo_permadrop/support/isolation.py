"""
Working with networks of our own, without a trace in those of the user.

Functions of this package make networks to simulate, and may be called anywhere: inside
``with net:``, too, where what is made goes into ``net``, and takes its defaults. And
backends note things in the configuration of the networks that they build. So networks
that the package makes for itself are made by `own_network`, what it copies is copied by
`copied`, and simulators are built in `building`.
"""

import contextlib
import copy
import inspect
import pickle
import threading

import nengo
import numpy as np
from nengo.config import ClassParams, Config, InstanceParams

from nengo_permadrop.support.parcel import Parcel

_building = threading.RLock()


@contextlib.contextmanager
def outside_networks():
    """
    A context in which no network is being built, as if outside of all ``with net:``.

    It is this thread's, as Nengo's own are. What is entered in it must be left in it.
    """
    stacks = [(stack, list(stack)) for stack in (nengo.Network.context, Config.context)]
    for stack, _ in stacks:
        stack.clear()
    try:
        yield
    finally:
        for stack, entered in stacks:
            stack.clear()
            for item in entered:
                stack.append(item)


@contextlib.contextmanager
def own_network(seed, *members, label=None):
    """
    A new network, whatever network is being built where this is called.

    Parameters
    ----------
    seed : int
    *members : `nengo.Network`
        What it holds from the beginning: a `stand_in` for each.
    label : str, optional

    Yields
    ------
    network : `nengo.Network`
        In its context.
    """
    with outside_networks(), nengo.Network(seed=seed, label=label) as network:
        for member in members:
            network.add(stand_in(member))
        yield network


def add_made(network, add_to_container):
    """
    Add a network that is made to the one that it is made in, if there is one.

    Nengo's networks are added when they begin to be made. One whose arguments may turn
    out wrong in the middle is better made with ``add_to_container=False`` and added
    with this at the end: half of it would stay otherwise.

    Parameters
    ----------
    network : `nengo.Network`
    add_to_container : bool or None
        As in `nengo.Network`.
    """
    if add_to_container is None:
        add_to_container = len(nengo.Network.context) > 0
    if add_to_container:
        nengo.Network.add(network)


def stand_in(network):
    """
    A network of the same objects, that backends may configure as they like.

    Parameters
    ----------
    network : `nengo.Network`

    Returns
    -------
    twin : `nengo.Network`
        Of the same class and with the same attributes, seed, ensembles, Nodes,
        connections and probes; but with lists and a configuration of its own, and
        stand-ins for the networks in it.
    """
    twin = object.__new__(type(network))
    twin.__dict__.update(network.__dict__)
    twin.label, twin.seed = network.label, network.seed
    objects = {kind: list(found) for kind, found in network.objects.items()}
    objects[nengo.Network] = [stand_in(inner) for inner in network.networks]
    twin.__dict__.update(
        _objects=objects,
        _ensembles=objects[nengo.Ensemble],
        _nodes=objects[nengo.Node],
        _connections=objects[nengo.Connection],
        _networks=objects[nengo.Network],
        _probes=objects[nengo.Probe],
        _config=_copied_config(network.config),
    )
    return twin


def _copied_config(config):
    new = Config()
    for key, old in config.params.items():
        if inspect.isclass(key):
            params = ClassParams(key)
            # parameters hold their values, those of each object, themselves
            params._extra_params = {
                name: copy.copy(param) for name, param in old._extra_params.items()
            }
            _set_again(params, old, old.params)
            new.params[key] = params
    for key, old in config.params.items():
        if not inspect.isclass(key):
            params = InstanceParams(key, new[old._clsparams._configures])
            _set_again(params, old, old._clsparams.extra_params)
            new.params[key] = params
    return new


def _set_again(new, old, names):
    owner = old if isinstance(old, ClassParams) else old._clsparams
    for name in names:
        if old in owner.get_param(name):
            setattr(new, name, getattr(old, name))


def copied(network):
    """
    A copy of a network, made as one that is sent to another process is.

    Parameters
    ----------
    network : `nengo.Network`

    Returns
    -------
    copy : `nengo.Network`
        In no other network.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it can't be pickled.
    """
    with outside_networks():
        return pickle.loads(Parcel(network).pickled())


@contextlib.contextmanager
def building():
    """
    A context in which simulators are built, outside of networks, by a thread at a time.

    What builders make, like the connection of a probe, would take the defaults of the
    network that is being made. Nengo draws a seed from NumPy's global generator
    whenever it builds a network, also if the network has a seed; here the generator is
    left as it was. And NengoDL sets Nengo's precision, which is that of the process,
    while it builds: what is built meanwhile would be of that precision, too.
    """
    with _building, outside_networks():
        state = np.random.get_state(legacy=False)
        try:
            yield
        finally:
            np.random.set_state(state)
