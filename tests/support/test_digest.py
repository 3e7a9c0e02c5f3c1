"""Digests: the same in every process, and another for everything that matters."""

import functools
import inspect
import os
import pickle
import subprocess
import sys
import threading
import types

import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.support.digest import digest

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
        f"{MODULE}\nfrom nengo_permadrop.support.digest import digest\n"
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


OWN = """
import abc
import collections
import dataclasses
import enum
import functools

import helpers

GAIN = 2
TABLE = {"a": [1, 2]}


class Base(abc.ABC):
    OFFSET = 1

    @property
    def twice(self):
        return 2 * self.OFFSET

    @classmethod
    def make(cls):
        return cls()

    @abc.abstractmethod
    def step(self, t):
        "For others."


class Wave(Base):
    def step(self, t):
        return helper(t) * GAIN + super().twice

    def __call__(self, t):
        try:
            return self.step(t)
        except ValueError:
            return 0


class Kind(enum.Enum):
    SLOW = 1
    FAST = 2


@dataclasses.dataclass(frozen=True)
class Point:
    x: float = 1.0
    tags: tuple = dataclasses.field(default=(), metadata={"unit": "m"})

    def scaled(self):
        return self.x * TABLE["a"][0]


@functools.lru_cache
def cached(t):
    return t + 1


def helper(t):
    return inner(t) + helpers.FACTOR * helpers.curve(t) + cached(t)


def inner(t):
    return [helper for _ in range(0)] or t


RECURSIVE = {helper, inner}
CONTENT = [Wave(), Kind.SLOW, Point(), helper, functools.partial(inner, 3), RECURSIVE]
"""
HELPERS = """
FACTOR = 3
UNUSED = 4

def curve(t):
    return t**2
"""


def own_digest(own=OWN, helpers=HELPERS):
    modules = {"own": own, "helpers": helpers}
    for name in ("helpers", "own"):
        module = sys.modules[name] = types.ModuleType(name)
        exec(modules[name], vars(module))
    try:
        return digest(sys.modules["own"].CONTENT)
    finally:
        for name in modules:
            del sys.modules[name]


@pytest.mark.parametrize(
    "old, new",
    [
        ("GAIN = 2", "GAIN = 3"),
        ("OFFSET = 1", "OFFSET = 2"),
        ("2 * self", "3 * self"),
        ("return cls()", "return cls"),
        ("+ super()", "- super()"),
        ("except ValueError", "except TypeError"),
        ("FAST = 2", "FAST = 3"),
        ("x: float = 1.0", "x: float = 2.0"),
        ('"unit": "m"', '"unit": "s"'),
        ("[1, 2]", "[1, 3]"),
        ("return t + 1", "return t + 2"),
        ("range(0)", "range(1)"),
        ("def helper(t)", "def helper(t, /)"),
        ("FACTOR = 3", "FACTOR = 4"),
        ("t**2", "t**3"),
    ],
)
def test_code_and_globals_of_own_modules_count(old, new):
    assert (old in OWN) + (old in HELPERS) == 1
    changed = own_digest(OWN.replace(old, new), HELPERS.replace(old, new))
    assert changed != own_digest()


def test_what_does_not_count():
    assert own_digest() == own_digest()
    assert own_digest("# a comment\n\n" + OWN) == own_digest()
    assert own_digest(OWN + "\nUNUSED = 1\n") == own_digest()
    assert own_digest(helpers=HELPERS.replace("UNUSED = 4", "")) == own_digest()


def test_own_modules_are_the_same_in_another_process():
    code = (
        "import sys, types\nfrom nengo_permadrop.support.digest import digest\n"
        f"OWN = {OWN!r}\nHELPERS = {HELPERS!r}\n"
        f"{inspect.getsource(own_digest)}\nprint(own_digest())"
    )
    for hash_seed in "12":
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == own_digest()


def test_functions_that_numba_compiled():
    """Their pickles hold a number that is another one in each process."""
    own = "import numba\n@numba.njit\ndef f(t):\n    return t * GAIN\nGAIN = 2\n"
    found = []
    for gain in (2, 2, 3):
        namespace = {"__name__": "own"}
        exec(own.replace("GAIN = 2", f"GAIN = {gain}"), namespace)
        found.append(digest(namespace["f"]))
    assert found[0] == found[1] != found[2]


def test_keras_models_in_globals():
    """Their pickles hold the time."""
    from kmodels import mlp

    kmodel = mlp()
    before = digest(kmodel)
    assert digest(kmodel) == before
    weights = kmodel.get_weights()
    kmodel.set_weights([weights[0] + 1, *weights[1:]])
    assert digest(kmodel) != before


def test_globals_that_can_not_be_compared_are_named():
    namespace = {"__name__": "own", "LOCK": threading.Lock(), "GAIN": 2}
    exec("def f(t):\n    with LOCK:\n        return GAIN * t", namespace)
    with pytest.warns(UserWarning, match="own.f uses LOCK, which holds a _thread.lock"):
        before = digest([namespace["f"]])
    namespace["GAIN"] = 3
    with pytest.warns(UserWarning, match="own.f uses LOCK"):
        assert digest([namespace["f"]]) != before
    namespace["LOCK"] = {threading.Lock()}
    with pytest.warns(UserWarning, match="own.f uses LOCK, which holds a builtins.set"):
        digest([namespace["f"]])


def test_depth_is_no_limit():
    def chain(n, end):
        for _ in range(n):
            end = [{"next": (end,)}]
        return end

    deep = 3 * sys.getrecursionlimit()
    assert digest(chain(deep, 1)) == digest(chain(deep, 1)) != digest(chain(deep, 2))
    with pytest.raises(ValidationError, match="can't be pickled"):
        digest(chain(deep, threading.Lock()))


def test_a_checkpoint_of_changed_code_is_refused(tmp_path):
    own = """
import nengo
import numpy as np

GAIN = 2

class Wave:
    def __call__(self, t, x):
        return GAIN * x
"""

    def draw(own):
        namespace = {"__name__": "own"}
        exec(own, namespace)
        with nengo.Network(seed=0) as net:
            node = nengo.Node([0.5])
            wave = nengo.Node(namespace["Wave"](), size_in=1, size_out=1)
            out = nengo.Node(size_in=1)
            nengo.Connection(node, wave, synapse=None)
            transform = npd.PermanentDropout((1, 1), init=1.0, rate=0.5)
            nengo.Connection(wave, out, transform=transform, synapse=None)
        return npd.sample(
            net,
            {node: [[0.5]]},
            n_draws=2,
            output=out,
            backend="nengo",
            presentation_time=0.01,
            settle=0.005,
            checkpoint=tmp_path,
            progress=False,
        )

    draw(own)
    draw(own)
    for old, new in (("GAIN = 2", "GAIN = 3"), ("GAIN * x", "GAIN + x")):
        with pytest.raises(
            ValidationError, match="model was.*code and globals of your"
        ):
            draw(own.replace(old, new))


def test_what_has_no_content_is_refused():
    with nengo.Network() as net:
        lock = threading.Lock()
        nengo.Node(lambda t: lock.locked())
    with pytest.raises(ValidationError, match=r"_thread.lock.*can't be pickled"):
        digest(net)
