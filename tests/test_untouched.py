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
from nengo_permadrop import bench, datasets, loihi, metrics, models, plots
from nengo_permadrop.converter import describe
from nengo_permadrop.live.gui import DistributionView
from nengo_permadrop.sampling.sampler import sample_unchecked
from nengo_permadrop.support import isolation
from nengo_permadrop.support.digest import digest
from nengo_permadrop.support.generators import generators_kept
from nengo_permadrop.support.isolation import stand_in
from nengo_permadrop.training import evaluation

N_THREADS = 8
# NengoDL and Keras take a second each time: fewer calls of theirs. Keras trains with
# global seeds, so not in threads
SLOW = ("sample_nengo_dl", "sample_plain_nengo_dl", "training")
ALONE = ("sample_plain_nengo_dl", "training")
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
    draw = npd.sample
    if backend == "nengo_dl":
        # TensorFlow makes errors of warnings for a moment, for the whole process: that
        # of such short times, in another thread, too
        draw = sample_unchecked
    return draw(model, X, backend=backend, **options).values


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
    with contextlib.suppress(ValidationError):  # that none agrees is an answer, too
        return npd.tune_window(world.conv, world.X, 20, windows=[0.06]).window


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
    return digest(npd.read_model(world.kmodel))


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


@case("sklearn")
def _training(world):
    data = datasets.load("diabetes")
    model = models.mlp(10, units=(4,))
    losses = models.train(model, data, epochs=1)["loss"]
    return losses, evaluation.mean_scores(model, data.test, n_draws=2)["mse"]


KNOWN = {  # what is documented to be left
    # NengoDL seeds TensorFlow
    _sample_nengo_dl: ["tensorflow"],
    _sample_plain_nengo_dl: ["tensorflow"],
    # as nengo.Simulator, of which it takes the place, it draws seeds where Nengo does
    _simulator: ["numpy"],
    _training: ["tensorflow"],
}


@pytest.mark.parametrize("function", CASES)
def test_same_answer_and_no_trace(function, world):
    """Outside, inside, in a network in a network, and again."""
    expected = function(world)  # imports, which may warn and set what they like
    everywhere = [[], [world.net, world.plain], [world.net]]
    slow = function.__name__.removeprefix("_") in SLOW
    for networks in everywhere[1:2] if slow else everywhere:
        with contextlib.ExitStack() as stack:
            for network in networks:
                stack.enter_context(network)
            before = _traces(world)
            answer = function(world)
            after = _traces(world)
        assert not _differences(function, before, after)
        _assert_equal(answer, expected)


@pytest.mark.parametrize("function", [c for c in CASES if c.id not in ALONE])
def test_in_threads(function, world):
    """Eight at once (of NengoDL two), all of them inside the same network."""
    expected = function(world)
    before = _traces(world)
    n_threads = 2 if function is _sample_nengo_dl else N_THREADS
    start = threading.Barrier(n_threads)

    def call(_):
        start.wait()
        with world.net:
            answer = function(world)
            assert list(nengo.Network.context) == [world.net]
        return answer

    with concurrent.futures.ThreadPoolExecutor(n_threads) as executor:
        answers = list(executor.map(call, range(n_threads)))
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


class Refused(Exception):
    """What a user's own function raises."""


def _failing_node(world):
    def fails(t, x):
        if t > 0.005:
            raise Refused
        return x

    with nengo.Network(seed=0, add_to_container=False) as net:
        node = nengo.Node(np.zeros(2))
        a = nengo.Ensemble(3, 1)
        dropout = npd.PermanentDropout((3, 2), init=np.ones((3, 2)))
        nengo.Connection(node, a.neurons, transform=dropout)
        out = nengo.Node(fails, size_in=1)
        nengo.Connection(a, out)
    _drawn(net, {node: world.X[:, :2]}, output=out)


def _unsupported_layer(world):
    layers, keras = kmodels.layers, kmodels.keras
    with generators_kept():  # Keras 3 takes seeds from Python's
        x = inputs = keras.Input((3,), name="x")
        for layer in (layers.Dense(4, activation="relu"), layers.LayerNormalization()):
            x = layer(x)
    npd.Converter(keras.Model(inputs, x))


FAILURES = {
    "Converter": (_unsupported_layer, npd.ConversionError),
    "sample": (lambda world: _drawn(world.conv, world.X[:, :2]), ValidationError),
    "a Node's function": (_failing_node, Refused),
    "verify": (
        lambda world: world.conv.verify(world.X, tolerance=0.0),
        npd.ConversionError,
    ),
    "calibrate": (
        lambda world: npd.calibrate(world.conv, world.X, n_draws=0),
        ValidationError,
    ),
    "energy": (
        lambda world: npd.energy(world.conv, world.X[:, :2], **SAMPLED, **TIMES),
        ValidationError,
    ),
    "gate": (
        lambda world: npd.networks.DropoutGate(
            world.net.all_ensembles[0].neurons, redraw=0.1, lead=0.2, seed=0
        ),
        ValidationError,
    ),
    "KSProbe": (
        lambda world: npd.KSProbe(world.conv.output, np.zeros((5, 3)), 0.1),
        ValidationError,
    ),
    "view": (
        lambda world: DistributionView(world.conv.output, [0.0, 1.0], 0.1, n_bins=0),
        ValidationError,
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failing_midway_leaves_no_trace(name, world):
    function, error = FAILURES[name]
    before = _traces(world)
    with pytest.raises(error), world.net:
        function(world)
    assert not traces.differences(before, _traces(world))


def test_what_is_made_is_added(world):
    """Networks that are meant to be in the user's are, and once."""
    with nengo.Network(seed=0) as net:
        made = [npd.Converter(world.graph, copies=2)]
        ensemble = made[0].all_ensembles[0]
        made.append(npd.KSProbe(made[0].output, [0.0, 1.0], 0.1))
        made.append(npd.LiveDistribution(made[0].output, 0.1))
        made.append(DistributionView(made[0].output, [0.0, 1.0], 0.1))
        made.append(npd.networks.DropoutGate(ensemble.neurons, seed=0))
        for kind in (npd.KSProbe, npd.LiveDistribution):
            reference = {} if kind is npd.LiveDistribution else {"reference": [0.0]}
            kind(made[0].output, window=0.1, add_to_container=False, **reference)
        npd.Converter(world.graph, add_to_container=False)
    assert net.networks == made
    assert made[0].networks == made[0].copies[1:]
    assert not net.nodes + net.ensembles + net.connections + net.probes


@pytest.mark.skipif(
    importlib.util.find_spec("nengo_loihi") is None, reason="needs nengo_loihi"
)
def test_a_converter_outside_does_not_configure_the_network(world):
    with nengo.Network(seed=0) as net:
        before = traces.of_network(net)
        npd.Converter(
            world.loihi.graph, target="loihi", copies=2, add_to_container=False
        )
    assert traces.of_network(net) == before


def test_stand_ins(world):
    """They have all that a network has, and what is done to them stays with them."""
    net = world.net
    liked = nengo.params.BoolParam("liked", False)
    net.config[nengo.Ensemble].set_param("liked", liked)
    ensemble = net.all_ensembles[0]
    net.config[ensemble].liked = True
    before = traces.of_network(net)
    twin = stand_in(net)
    assert type(twin.networks[0]) is npd.Converter and twin.label == net.label
    assert twin.seed == net.seed and twin.all_objects != net.all_objects
    for objects in ("ensembles", "nodes", "connections", "probes"):
        assert getattr(twin, f"all_{objects}") == getattr(net, f"all_{objects}")
    assert twin.config[ensemble].liked and not twin.config[net.all_ensembles[1]].liked
    assert twin.config[nengo.Probe].synapse == nengo.Lowpass(0.1)
    twin.config[ensemble].liked = False
    twin.config[nengo.Probe].synapse = None
    twin.config[nengo.Node].set_param("new", nengo.params.BoolParam("new", True))
    with twin.networks[0]:
        nengo.Node(0.0)
    assert traces.of_network(net) == before


def test_contexts_come_back(world):
    with world.net, pytest.raises(Refused):
        with isolation.own_network(0, world.plain) as net:
            assert list(nengo.Network.context) == [net]
            assert nengo.Probe.synapse.default is nengo.Config.default(
                nengo.Probe, "synapse"
            )
            raise Refused
    assert not nengo.Network.context and not nengo.Config.context
