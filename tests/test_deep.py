"""Networks that are deeper than Python's stack."""

import contextlib
import inspect
import pickle
import sys

import numpy as np
import pytest

import nengo_permadrop as npd
from nengo_permadrop import testing
from nengo_permadrop.calibration.parts import find_levels

DEPTH = 120  # layers
STACK = 120  # frames that a call may take
TIMES = {"presentation_time": 0.02, "settle": 0.01}


@contextlib.contextmanager
def small_stack():
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + STACK)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def chain():
    """Layers of neurons, one after the other."""
    builder = testing.GraphBuilder()
    value = builder.input("x", 2)
    for _ in range(DEPTH):
        value = builder.hidden(value, 2)
    return builder.finish(value)


def chain_of_nodes():
    """What isn't the output of neurons is dropped by Nodes, one after the other."""
    builder = testing.GraphBuilder(rate=0.01)
    value = builder.input("x", 2)
    for _ in range(DEPTH):
        value = builder.dropped(builder.dense(value, 2, 0.1))
    return builder.finish(builder.hidden(value, 2))


@pytest.fixture(scope="module", params=[chain, chain_of_nodes])
def graph(request):
    with small_stack():
        return request.param()


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Kernels of the simulator: compilers need a larger stack."""
    conv = npd.Converter(testing.mlp())
    X = testing.observations(conv.graph, 4)
    options = {"n_draws": 1, "progress": False, **TIMES}
    with pytest.warns(UserWarning, match="settle is"):
        npd.sample(conv, X, **options)
        npd.sample(conv, X, backend="nengo", **options)


def sampled(conv, **options):
    X = testing.observations(conv.graph, 4)
    options = {"n_draws": 2, "progress": False, **TIMES, **options}
    return npd.sample(conv, X, **options).values


@pytest.fixture(scope="module")
def conv(graph):
    with small_stack():
        return npd.Converter(graph, seed=0)


def test_pickling(conv):
    with small_stack():
        copy = pickle.loads(pickle.dumps(conv))
    assert len(copy.all_connections) == len(conv.all_connections)


def test_calibration_levels(conv):
    with small_stack():
        levels = find_levels(conv)
    # a level for each layer but the first, which only Nodes drive, and the output
    assert len(levels) == len(conv.all_ensembles)
    assert [part.name for part in levels[-1]] == list(conv.outputs)
    numbers = [part.number for level in levels[:-1] for part in level]
    assert numbers == list(range(1, len(conv.all_ensembles)))


@pytest.mark.filterwarnings("ignore:.* may not agree")
def test_sampling(conv):
    with small_stack():
        batched = sampled(conv)
        reference = sampled(conv, backend="nengo")
    np.testing.assert_allclose(batched, reference, rtol=1e-4, atol=1e-5)


def test_verifying():
    kmodels = pytest.importorskip("kmodels")
    layers, keras = kmodels.layers, kmodels.keras
    value = inputs = keras.Input((2,), name="x")
    for _ in range(DEPTH):
        value = layers.Dense(2, kernel_initializer="orthogonal")(value)
    value = kmodels.PermanentDropout(0.2)(kmodels.SoftLIF()(value))
    kmodel = keras.Model(inputs, layers.Dense(1)(value))
    with small_stack():
        conv = npd.Converter(kmodel)
        assert conv.verify(np.random.RandomState(0).randn(3, 2)) < 1e-4
