"""Functions leave no trace, and do the same wherever and how often they are called."""

import concurrent.futures
import contextlib
import importlib.util
import tempfile
import threading
from types import SimpleNamespace

import kmodels
import nengo
import numpy as np
import pytest
import traces
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop import bench, describe, loihi, metrics, plots
from nengo_permadrop.converter.graph import read_model
from nengo_permadrop.digest import digest

N_THREADS = 8
TIMES = {"presentation_time": 0.05, "settle": 0.04}
SAMPLED = {"n_draws": 2, "progress": False}


def plain_network():
    """Ensembles with dropout between them, as a user makes them."""
    rng = np.random.RandomState(0)
    lif = nengo.LIF(initial_state={"voltage": nengo.dists.Choice([0])})
    with nengo.Network(seed=1, label="plain") as net:
        net.stimulus = nengo.Node(np.zeros(3), label="stimulus")
        with nengo.Network(label="inner"):
            a, b = (nengo.Ensemble(12, 1, neuron_type=lif, seed=i) for i in (1, 2))
        net.config[nengo.Ensemble].radius = 2.0
        weights = rng.uniform(0, 0.5, (12, 3))
        nengo.Connection(net.stimulus, a.neurons, transform=weights, synapse=0.005)
        dropout = npd.PermanentDropout(
            (12, 12), init=rng.uniform(0, 0.02, (12, 12)), rate=0.3
        )
        nengo.Connection(a.neurons, b.neurons, transform=dropout, synapse=0.005)
        net.out = nengo.Node(lambda t, x: x, size_in=12, label="out")
        nengo.Connection(b.neurons, net.out, synapse=0.005)
    return net


@pytest.fixture(scope="module")
def world():
    """A user's networks and models."""
    world = SimpleNamespace(kmodel=kmodels.mlp(3, units=(8, 8)))
    world.X = np.random.RandomState(0).randn(4, 3)
    with nengo.Network(seed=0, label="user's") as world.net:
        # defaults that would change what is made in this network
        world.net.config[nengo.Probe].synapse = nengo.Lowpass(0.1)
        world.net.config[nengo.Connection].synapse = nengo.Lowpass(0.1)
        world.net.config[nengo.Ensemble].neuron_type = nengo.Sigmoid()
        world.conv = npd.Converter(world.kmodel)
        world.copies = npd.Converter(world.kmodel, copies=2)
        world.plain = plain_network()
        world.probe = nengo.Probe(world.conv.output)
    world.graph = world.conv.graph
    world.kmodels = [world.kmodel]
    if importlib.util.find_spec("nengo_loihi"):
        trained = kmodels.mlp(3, units=(8, 8), target="loihi")
        with world.net:
            world.loihi = npd.Converter(trained, target="loihi")
            world.gates = npd.Converter(trained, target="loihi", redraw=0.02)
        world.kmodels.append(trained)
    options = {"n_draws": 20, "progress": False, **TIMES}
    world.samples = npd.sample(world.conv, world.X, seed=1, **options)
    world.others = npd.sample(world.kmodel, world.X, backend="keras", **options)
    return world


CASES = []


def case(*needs):
    """A case of all tests below: a function of the `world` that gives its answer."""

    def register(function):
        marks = [
            pytest.mark.skipif(
                importlib.util.find_spec(name) is None, reason=f"needs {name}"
            )
            for name in needs
        ]
        name = function.__name__.removeprefix("_")
        CASES.append(pytest.param(function, id=name, marks=marks))
        return function

    return register


def _drawn(model, X, backend="batched", **options):
    options = {**SAMPLED, **TIMES, **options}
    return npd.sample(model, X, backend=backend, **options).values


@case()
def _sample_batched(world):
    return _drawn(world.conv, world.X)


@case()
def _sample_nengo(world):
    return _drawn(world.conv, world.X, "nengo")


@case("nengo_dl")
def _sample_nengo_dl(world):
    return _drawn(world.conv, world.X, "nengo_dl")


@case("nengo_loihi")
def _sample_nengo_loihi(world):
    return _drawn(world.loihi, world.X[:1], "nengo_loihi")


@case()
def _sample_keras(world):
    return _drawn(world.kmodel, world.X, "keras")


@case()
def _sample_single(world):
    return _drawn(world.conv, world.X, run="single")


@case("nengo_loihi")
def _sample_single_gates(world):
    return _drawn(world.gates, world.X[:1], "nengo_loihi", run="single")


@case()
def _sample_copies(world):
    return _drawn(world.copies, world.X)


@case()
def _sample_threads(world):
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        return _drawn(world.conv, world.X, executor=executor, max_memory=1)


@case()
def _sample_plain(world):
    return _of_plain(world, "batched")


@case()
def _sample_plain_nengo(world):
    return _of_plain(world, "nengo")


@case("nengo_dl")
def _sample_plain_nengo_dl(world):
    return _of_plain(world, "nengo_dl")


@case("nengo_loihi")
def _sample_plain_nengo_loihi(world):
    return _of_plain(world, "nengo_loihi")


def _of_plain(world, backend):
    net = world.plain
    with net:  # the innermost network is the one that is sampled
        return _drawn(net, {net.stimulus: world.X[:2]}, backend, output=net.out)


@case()
def _verify(world):
    return world.conv.verify(world.X)


@case("nengo_loihi")
def _verify_smooth(world):
    return world.loihi.verify(world.X)


@case()
def _calibrate(world):
    conv = npd.Converter(world.graph, seed=2, add_to_container=False)
    found = npd.calibrate(conv, world.X, n_draws=2, **TIMES)
    return [correction.bias for correction in found.corrections]


@case()
def _energy(world):
    return npd.energy(world.conv, world.X, **SAMPLED, **TIMES).joules("loihi")


@case("arviz")
def _tune_window(world):
    windows = [0.02, 0.1]
    with contextlib.suppress(ValidationError):  # that none agrees is an answer, too
        return npd.tune_window(world.conv, world.X, 20, windows=windows).window


@case("nengo_loihi")
def _loihi_resources(world):
    return str(loihi.resources(world.loihi))


@case("nengo_loihi")
def _loihi_resources_of_plain(world):
    net = world.plain
    X = {net.stimulus: world.X}
    return str(loihi.resources(net)), str(loihi.resources(net, X, net.out))


@case()
def _simulator(world):
    with npd.Simulator(
        world.net, n_replicas=2, seed=0, progress_bar=False
    ) as simulator:
        simulator.run_steps(5)
        return simulator.data[world.probe]


@case()
def _conversion_facts(world):
    return str(describe.conversion_facts(world.kmodel))


@case()
def _read_model(world):
    graph, _ = read_model(world.kmodel)
    return digest(graph)


@case()
def _ks_agreement(world):
    found = npd.ks_agreement(world.samples, world.others)
    return found.pvalue, found.uniformity.pvalue, found.most_extreme.pvalue


@case()
def _samples(world):
    summary = world.samples.summary().to_numpy(), str(world.samples)
    with tempfile.TemporaryDirectory() as folder:
        world.samples.save(f"{folder}/samples.npz")
        return summary, npd.load_samples(f"{folder}/samples.npz").values


@case("xarray")
def _to_xarray(world):
    return world.samples.to_xarray().values


@case()
def _scores(world):
    y = world.X[:, :1]
    recalibrated = metrics.recalibrate(world.samples, y)
    return metrics.score(world.samples, y).to_numpy(), recalibrated.scale


@case()
def _bench(world):
    net = bench.BenchNetwork(n_units=4, size_in=(2, 3, 3), n_observations=2).nengo()
    return digest(net)


@case("matplotlib")
def _plots(world):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    return plots.plot_predictive(world.samples, ax=axes).get_xlim()


KNOWN = {
    # NengoDL seeds TensorFlow, as `sample` says
    _sample_nengo_dl: ["tensorflow"],
    _sample_plain_nengo_dl: ["tensorflow"],
    # as nengo.Simulator, of which it takes the place, it draws seeds where Nengo does
    _simulator: ["numpy"],
}


@pytest.mark.parametrize("function", CASES)
def test_same_answer_and_no_trace(function, world):
    """Outside, inside, in a network in a network, and again."""
    first = function(world)  # imports and compiles, and makes entries of what it reads
    expected = function(world)
    _assert_equal(first, expected)
    for networks in ([], [world.net], [world.net, world.plain], [world.net]):
        with contextlib.ExitStack() as stack:
            for network in networks:
                stack.enter_context(network)
            before = _traces(world)
            answer = function(world)
            after = _traces(world)
        assert not _differences(function, before, after)
        _assert_equal(answer, expected)


@pytest.mark.parametrize("function", CASES)
def test_in_threads(function, world):
    """Eight at once, all of them inside the same network."""
    expected = function(world)
    before = _traces(world)
    start = threading.Barrier(N_THREADS)

    def call(_):
        start.wait()
        with world.net:
            answer = function(world)
            assert list(nengo.Network.context) == [world.net]
        return answer

    with concurrent.futures.ThreadPoolExecutor(N_THREADS) as executor:
        answers = list(executor.map(call, range(N_THREADS)))
    after = _traces(world)
    assert not _differences(function, before, after)
    for answer in answers:
        _assert_equal(answer, expected)


def _traces(world):
    return {
        **{
            f"Keras model {number}": traces.of_keras(kmodel)
            for number, kmodel in enumerate(world.kmodels)
        },
        **traces.of_process(),
        **traces.of_network(world.net),
    }


def _differences(function, before, after):
    return traces.differences(before, after, KNOWN.get(function, ()))


def _assert_equal(answer, expected):
    if isinstance(expected, (list, tuple)):
        for a, b in zip(answer, expected, strict=True):
            _assert_equal(a, b)
    elif isinstance(expected, np.ndarray) and expected.dtype.kind == "f":
        np.testing.assert_array_equal(answer, expected)
    else:
        assert np.all(answer == expected)
