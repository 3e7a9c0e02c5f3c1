import nengo
import numpy as np
import pytest
from batched_helpers import assert_replicas_match, layered_network, neurons
from nengo.builder import Operator, Signal
from nengo.builder.operator import Copy, DotInc, ElementwiseInc
from nengo.exceptions import BuildError

import nengo_permadrop as npd
from nengo_permadrop.batched.steps.neurons import is_elementwise
from nengo_permadrop.batched.steps.registry import _STEPS, register_step

X = np.array([[0.3, -0.4], [1.0, 0.2], [-0.6, 0.9]])


def stimulus():
    return nengo.Node(np.zeros(2))


class SumNeurons(nengo.neurons.NeuronType):
    """A type whose step is not elementwise: it subtracts the population's mean."""

    state = {"trace": nengo.dists.Uniform(0, 1)}

    def rates(self, x, gain, bias):
        return self.current(x, gain, bias)

    def step(self, dt, J, output, trace):
        trace += dt * (J - J.mean())
        output[...] = trace


@pytest.mark.parametrize(
    "neuron_type",
    [
        nengo.LIF(min_voltage=-0.5),
        nengo.LIFRate(),
        nengo.AdaptiveLIF(tau_n=0.01),
        nengo.AdaptiveLIFRate(tau_n=0.01),
        nengo.RectifiedLinear(),
        nengo.SpikingRectifiedLinear(),
        nengo.Sigmoid(),
        nengo.Tanh(),
        nengo.Izhikevich(),
        nengo.RegularSpiking(nengo.LIFRate()),
        npd.SoftLIF(),
        SumNeurons(),
    ],
    ids=lambda neuron_type: type(neuron_type).__name__,
)
def test_neuron_types(neuron_type, most=8):
    with nengo.Network(seed=0) as net:
        u = stimulus()
        ens = neurons(15, np.linspace(-1, most, 15), neuron_type)
        nengo.Connection(u, ens.neurons, transform=np.ones((15, 2)), synapse=None)
        nengo.Probe(ens.neurons)
        for name in set(neuron_type.probeable) - {"output"}:
            nengo.Probe(ens.neurons, name)
    assert_replicas_match(net, steps=60, inputs={u: X})


@pytest.mark.parametrize(
    "name, most", [("LoihiLIF", 8), ("LoihiSpikingRectifiedLinear", 300)]
)
def test_loihis_neuron_types_step_all_replicas_at_once(name, most):
    neuron_type = getattr(pytest.importorskip("nengo_loihi").neurons, name)()
    assert is_elementwise(neuron_type)
    test_neuron_types(neuron_type, most)


def test_decoded_connections_and_slices():
    with nengo.Network(seed=0) as net:
        u = stimulus()
        a, b = nengo.Ensemble(40, 2, noise=None), nengo.Ensemble(30, 2)
        nengo.Connection(u, a)
        nengo.Connection(a[[1, 0]], b[:2], function=np.square, synapse=0.01)
        nengo.Connection(b, b, synapse=0.1, transform=0.5)
        nengo.Connection(a, b.neurons[::2], transform=np.ones((15, 2)))
        direct = nengo.Ensemble(1, 2, neuron_type=nengo.Direct())
        nengo.Connection(b, direct)
        out = nengo.Node(size_in=2)
        nengo.Connection(direct, out[[1, 0]], function=lambda x: x**3)
        nengo.Probe(out)
        nengo.Probe(b, synapse=0.01, sample_every=0.003)
        nengo.Probe(a.neurons, "voltage")
        nengo.Probe(b, "input")
    assert_replicas_match(net, inputs={u: X})


@pytest.mark.parametrize(
    "synapse",
    [
        None,
        nengo.Lowpass(0.01),
        nengo.Lowpass(0),
        nengo.Alpha(0.01),
        nengo.Triangle(0.005),
        nengo.LinearFilter([1, 2e-3], [1e-4, 1e-2, 1]),
        nengo.LinearFilter([1e-3, 1], [1e-2, 1], analog=True),
    ],
    ids=str,
)
def test_synapses(synapse):
    with nengo.Network(seed=0) as net:
        u = stimulus()
        ens = nengo.Ensemble(20, 2)
        nengo.Connection(u, ens)
        out = nengo.Node(size_in=3)
        nengo.Connection(ens.neurons[:3], out, synapse=synapse, transform=0.01)
        nengo.Probe(out)
    assert_replicas_match(net, inputs={u: X})


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(
    "kind, kwargs",
    [
        (nengo.Convolution, {}),
        (nengo.Convolution, {"groups": 2}),
        (nengo.Convolution, {"padding": "same", "strides": (2, 2)}),
        (nengo.ConvolutionTranspose, {}),
    ],
)
def test_convolutions(kind, kwargs, channels_last):
    shape = (5, 6, 2) if channels_last else (2, 5, 6)
    transform = kind(4, shape, channels_last=channels_last, **kwargs)
    values = np.random.RandomState(0).randn(3, 60)
    with nengo.Network(seed=0) as net:
        u = nengo.Node(np.zeros(60))
        hidden = neurons(60, 3.0)
        nengo.Connection(u, hidden.neurons, synapse=None)
        out = nengo.Node(size_in=transform.size_out)
        nengo.Connection(hidden.neurons, out, transform=transform, synapse=0.005)
        nengo.Probe(out)
    assert_replicas_match(net, inputs={u: values})


def test_convolution_in_one_dimension():
    with nengo.Network(seed=0) as net:
        u = stimulus()
        ens = nengo.Ensemble(20, 2)
        nengo.Connection(u, ens)
        transform = nengo.Convolution(
            3, (10, 2), kernel_size=(3,), strides=(1,), channels_last=True
        )
        out = nengo.Node(size_in=transform.size_out)
        nengo.Connection(ens.neurons, out, transform=transform)
        nengo.Probe(out)
    assert_replicas_match(net, inputs={u: X})


def test_sparse_transform():
    with nengo.Network(seed=0) as net:
        u = stimulus()
        ens = nengo.Ensemble(5, 2)
        nengo.Connection(u, ens)
        out = nengo.Node(size_in=3)
        transform = nengo.Sparse(
            (3, 5), indices=[[0, 1], [2, 3], [2, 0]], init=[1.0, 2.0, -1.0]
        )
        nengo.Connection(ens.neurons, out, transform=transform)
        nengo.Probe(out)
    assert_replicas_match(net, inputs={u: X})


@pytest.mark.parametrize(
    "rule, weights",
    [
        (nengo.PES(1e-3), False),
        (nengo.PES(1e-3), True),
        (nengo.BCM(1e-9), True),
        (nengo.Oja(1e-6), True),
        (nengo.learning_rules.RLS(1e-3), False),
        (nengo.Voja(post_synapse=0.005, learning_rate=1e-2), False),
    ],
    ids=str,
)
def test_learning_rules(rule, weights):
    with nengo.Network(seed=0) as net:
        u = stimulus()
        a, b = nengo.Ensemble(12, 2), nengo.Ensemble(15, 2)
        nengo.Connection(u, a)
        conn = nengo.Connection(
            a,
            b,
            learning_rule_type=rule,
            solver=nengo.solvers.LstsqL2(weights=weights),
        )
        if isinstance(rule, (nengo.PES, nengo.learning_rules.RLS)):
            nengo.Connection(b, conn.learning_rule)
        if isinstance(rule, nengo.Voja):
            nengo.Connection(nengo.Node([0.5]), conn.learning_rule, synapse=None)
            nengo.Probe(conn.learning_rule, "scaled_encoders")
        else:
            nengo.Probe(conn, "weights")
        nengo.Probe(b.neurons, synapse=0.01)
    assert_replicas_match(net, inputs={u: X})


def test_python_functions():
    calls = {"time": 0, "input": 0}

    def of_time(t):
        calls["time"] += 1
        return np.sin(30 * t)

    def of_input(t, x):
        calls["input"] += 1
        return t * x[0] * x[1]

    with nengo.Network(seed=0) as net:
        u, clock = stimulus(), nengo.Node(of_time)
        both = nengo.Node(of_input, size_in=2)
        nengo.Connection(u, both, synapse=None)
        nengo.Connection(clock, both[0], synapse=None)
        nengo.Probe(both)
    with npd.Simulator(net, 3, inputs={u: X}, progress_bar=False) as sim:
        calls.update(time=0, input=0)
        sim.run_steps(10)
    assert calls == {"time": 10, "input": 30}
    assert_replicas_match(net, inputs={u: X})


def test_masks_apart_from_weights_and_in_them():
    """Probing the weights makes them differ between replicas; the numbers stay."""
    net = layered_network()
    x = np.random.RandomState(0).randn(3, 4)
    assert_replicas_match(net, steps=60, inputs={net.stimulus: x})
    conn = net.all_connections[-1]
    with net:
        weights = nengo.Probe(conn, "weights", sample_every=0.06)
    with npd.Simulator(
        net, 3, inputs={net.stimulus: x}, optimize=False, progress_bar=False
    ) as sim:
        sim.run_steps(60)
        assert sim.data[weights].shape == (3, 1, 2, 25)
        dropped = (sim.data[weights] == 0).all(axis=-2)
        assert 0 < dropped.mean() < 0.5
        assert (dropped[0] != dropped[1]).any()


def test_dropout_of_decoded_values_and_with_encoders():
    with nengo.Network(seed=0) as net:
        u = stimulus()
        a, b = nengo.Ensemble(20, 2), nengo.Ensemble(10, 2)
        nengo.Connection(u, a)
        nengo.Connection(
            a,
            b,
            transform=npd.PermanentDropout((2, 2), np.eye(2), 0.4),
            solver=nengo.solvers.LstsqL2(weights=True),
        )
        nengo.Probe(b.neurons, "input")
    assert_replicas_match(net, inputs={u: X})


@pytest.mark.parametrize("probe_weights", [False, True])
def test_redraw(probe_weights):
    net = layered_network(redraw=0.015)
    if probe_weights:
        with net:
            nengo.Probe(net.all_connections[-1], "weights")
    x = np.random.RandomState(0).randn(3, 4)
    assert_replicas_match(net, steps=50, inputs={net.stimulus: x})


def test_weights_from_a_distribution_are_those_of_the_connection_seed():
    with nengo.Network(seed=0) as net:
        a, out = neurons(10, 3.0), nengo.Node(size_in=2)
        init = nengo.dists.Gaussian(0, 1)
        transform = npd.PermanentDropout((2, 10), init, 0.3)
        nengo.Connection(a.neurons, out, transform=transform)
        nengo.Probe(out)
    assert_replicas_match(net)


def test_noise_is_independent_unless_it_has_a_seed():
    with nengo.Network(seed=0) as net:
        probes = [
            nengo.Probe(nengo.Node(process, size_out=2))
            for process in (
                nengo.processes.WhiteNoise(),
                nengo.processes.FilteredNoise(nengo.Alpha(0.01)),
                nengo.processes.WhiteSignal(0.5, high=30),
                nengo.processes.WhiteNoise(seed=3),
            )
        ]
        poisson = neurons(5, 3.0, nengo.PoissonSpiking(nengo.LIFRate()))
        probes.insert(0, nengo.Probe(poisson.neurons))

    def run(n_replicas, seed=0):
        with npd.Simulator(net, n_replicas, seed=seed, progress_bar=False) as sim:
            sim.run_steps(50)
            first = [sim.data[p] for p in probes]
            sim.reset()
            sim.run_steps(50)
            for before, probe in zip(first, probes):
                np.testing.assert_array_equal(before, sim.data[probe])
        return first

    few, many, other = run(2), run(4), run(2, seed=1)
    for a, b, c in zip(few[:-1], many, other):
        np.testing.assert_array_equal(a, b[:2])
        assert (b[0] != b[1]).any() and (a != c).any()
    assert (few[-1][0] == few[-1][1]).all()


def test_operator_without_step():
    class Square(Operator):
        def __init__(self, src, dst):
            super().__init__()
            self.sets, self.incs, self.reads, self.updates = [dst], [], [src], []

        def make_step(self, signals, dt, rng):
            return lambda: None

    model = nengo.builder.Model()
    src, dst = Signal(np.arange(3.0), name="src"), Signal(np.zeros(3), name="dst")
    model.add_op(Square(src, dst))
    with pytest.raises(BuildError, match="register_step.Square."):
        npd.Simulator(None, model=model, progress_bar=False)

    @register_step(Square)
    def square(op, context):
        src, dst = context[op.reads[0]], context[op.sets[0]]

        def step_square():
            dst[...] = src**2

        return step_square

    try:
        with npd.Simulator(None, model=model, progress_bar=False) as sim:
            sim.step()
            np.testing.assert_array_equal(sim.signals[dst], [0, 1, 4])
    finally:
        del _STEPS[Square]


@pytest.mark.parametrize("varying", ["A", "X", "both", "neither"])
@pytest.mark.parametrize(
    "a_shape, x_shape, y_shape",
    [
        ((), (3,), (3,)),
        ((3,), (), (3,)),
        ((3,), (3,), ()),
        ((2, 3), (3,), (2,)),
        ((2, 3), (3, 1), (2, 1)),
        ((1, 1), (), (1, 1)),
    ],
)
def test_products_of_all_shapes(a_shape, x_shape, y_shape, varying):
    from nengo_permadrop.batched.steps.context import StepContext
    from nengo_permadrop.batched.steps.signals import ReplicaSignals
    from nengo_permadrop.batched.steps.transforms import dot_inc

    rng = np.random.RandomState(0)
    a, x = (Signal(np.array(rng.randn(*s)), name="s") for s in (a_shape, x_shape))
    y = Signal(np.zeros(y_shape), name="y")
    chosen = {"A": {a}, "X": {x}, "both": {a, x}, "neither": set()}[varying]
    signals = ReplicaSignals(20, chosen | ({y} if chosen else set()), float)
    for signal in chosen:
        signals[signal][...] = rng.randn(20, *signal.shape)
    op = DotInc(a, x, y)
    dot_inc(op, StepContext(signals, 0.001, None, {}, {}, []))()
    for i in range(20):
        own = [signals[s][i] if s in chosen else signals[s] for s in (a, x)]
        result = signals[y][i] if chosen else signals[y]
        expected = np.dot(*own).reshape(y_shape)
        np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_copies_and_elementwise_products():
    from nengo_permadrop.batched.steps.context import StepContext
    from nengo_permadrop.batched.steps.core import copy, elementwise_inc
    from nengo_permadrop.batched.steps.signals import ReplicaSignals

    rng = np.random.RandomState(0)
    src, dst = Signal(np.zeros(4), name="src"), Signal(np.zeros(6), name="dst")
    scalar, column = Signal(np.array(2.0), name="s"), Signal(np.ones((4, 1)), name="c")
    matrix = Signal(np.zeros((4, 4)), name="m")
    signals = ReplicaSignals(3, {src, dst, scalar, matrix}, float)
    context = StepContext(signals, 0.001, None, {}, {}, [])
    signals[src][...] = rng.randn(3, 4)
    signals[scalar][...] = [1, 2, 3]

    copy(Copy(src, dst, dst_slice=[0, 0, 5, -1], inc=True), context)()
    expected = np.zeros((3, 6))
    for i, values in enumerate(signals[src]):
        np.add.at(expected[i], [0, 0, 5, -1], values)
    np.testing.assert_allclose(signals[dst], expected)
    with pytest.raises(BuildError, match="repeated"):
        copy(Copy(src, dst, dst_slice=[0, 0, 1, 2]), context)

    copy(Copy(scalar, dst), context)()
    np.testing.assert_array_equal(signals[dst], np.repeat([[1], [2], [3.0]], 6, axis=1))

    elementwise_inc(ElementwiseInc(column, src, matrix), context)()
    np.testing.assert_array_equal(signals[matrix][1], np.tile(signals[src][1], (4, 1)))
    with pytest.raises(BuildError, match="incompatible"):
        elementwise_inc(ElementwiseInc(src, scalar, dst), context)
