"""Digests: the same in every process, and another for everything that matters."""

import functools
import os
import pickle
import subprocess
import sys
import threading

import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.digest import digest

MODULE = """
import nengo
import numpy as np
import nengo_permadrop as npd

def network(rate=0.3, weight=0.01, wave=np.sin, seed=0, power=2, label=None):
    with nengo.Network(seed=seed) as net:
        node = nengo.Node([0.0, 0.0])
        driven = nengo.Node(lambda t: wave(t))
        ens = nengo.Ensemble(50, 2, label=label)
        out = nengo.Node(size_in=2)
        nengo.Connection(node, ens, synapse=nengo.Alpha(0.01))
        nengo.Connection(driven, ens[0], function=lambda x: x**power)
        weights = np.full((2, 50), 0.01)
        weights[1, 3] = weight
        transform = npd.PermanentDropout((2, 50), init=weights, rate=rate)
        nengo.Connection(ens.neurons, out, transform=transform)
    return net
"""
# the same code in this process and in another
NAMESPACE = {"__name__": "networks"}
exec(MODULE, NAMESPACE)
network = NAMESPACE["network"]


def test_same_in_another_process():
    code = (
        f"{MODULE}\nfrom nengo_permadrop.digest import digest\n"
        "print(digest([network(), {'a', 'b', 'c'}]))"
    )
    found = set()
    for hash_seed in "12":
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout.strip())
    assert len(found) == 1 and len(found.pop()) == 64
    assert digest(network()) == digest(network())


@pytest.mark.parametrize(
    "change",
    [
        dict(rate=0.31),
        dict(weight=0.01 + 1e-15),
        dict(wave=np.cos),
        dict(seed=1),
        dict(power=3),
        dict(label="a"),
    ],
)
def test_every_part_counts(change):
    assert digest(network(**change)) != digest(network())


def test_connections_count():
    net = network()
    before = digest(net)
    with net:
        nengo.Connection(net.all_nodes[0], net.all_ensembles[0])
    assert digest(net) != before


def test_using_a_network_does_not_change_it():
    net = network()
    with net:
        probe = nengo.Probe(net.all_nodes[-1])
    before = digest(net)
    with npd.Simulator(net, n_replicas=2, progress_bar=False) as sim:
        sim.run(0.005)
    assert sim.data[probe].shape == (2, 5, 2)
    repr(net.all_connections), str(net)
    assert digest(net) == before


def test_pickling_does_not_change_it():
    with nengo.Network(seed=0) as net:
        ens = nengo.Ensemble(10, 1, neuron_type=npd.SoftLIF())
        nengo.Connection(ens, ens, synapse=0.1)
    assert digest(pickle.loads(pickle.dumps(net))) == digest(net)


DIFFERENT = [
    None,
    0,
    0.0,
    -0.0,
    False,
    "",
    b"",
    [],
    (),
    {},
    set(),
    [[]],
    [0, 0],
    [[0], 0],
    ["ab", "c"],
    ["a", "bc"],
    {"a": 0},
    {"a": "b", "c": "d"},
    {"a": "c", "b": "d"},
    np.zeros(1),
    np.zeros(1, dtype=np.float32),
    np.zeros((1, 1)),
    np.float64(0),
    np.arange(6).reshape(2, 3),
    np.arange(6).reshape(3, 2),
    np.arange(6).reshape(3, 2).T,
    np.array([0, "a"], dtype=object),
    float,
    np.sin,
    len,
    np.random.RandomState(0),
    np.random.RandomState(1),
    functools.partial(pow, 2),
    functools.partial(pow, 3),
    "a".join,
    "b".join,
]


def test_different_things_differ():
    digests = [digest(thing) for thing in DIFFERENT]
    assert len(set(digests)) == len(DIFFERENT)
    assert digests == [digest(thing) for thing in DIFFERENT]


def test_order_of_dictionaries_and_sharing():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    shared = [1]
    assert digest([shared, shared]) != digest([[1], [1]])
    cycle = []
    cycle.append(cycle)
    assert digest(cycle) != digest([[]])
    assert digest(np.arange(6).reshape(2, 3)) == digest(
        np.asfortranarray(np.arange(6).reshape(2, 3))
    )


def test_what_has_no_content_is_refused():
    with nengo.Network() as net:
        lock = threading.Lock()
        nengo.Node(lambda t: lock.locked())
    with pytest.raises(ValidationError, match=r"_thread.lock.*can't be pickled"):
        digest(net)
