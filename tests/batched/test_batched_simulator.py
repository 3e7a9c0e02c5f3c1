import gc
import hashlib
import importlib
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import nengo
import numpy as np
import pytest
from batched_helpers import layered_network, neurons, reference_replica
from nengo.exceptions import (
    ReadonlyError,
    SimulationError,
    SimulatorClosed,
    ValidationError,
)
from nengo.processes import PresentInput

import nengo_permadrop as npd
from nengo_permadrop.dropout.seeds import derive_seed


def stochastic_network():
    with nengo.Network(seed=0) as net:
        u = nengo.Node(nengo.processes.WhiteSignal(1.0, high=20), size_out=2)
        a = nengo.Ensemble(30, 2, noise=nengo.processes.WhiteNoise())
        poisson = nengo.PoissonSpiking(nengo.LIFRate())
        b = nengo.Ensemble(20, 2, neuron_type=poisson)
        nengo.Connection(u, a)
        conn = nengo.Connection(a, b, learning_rule_type=nengo.PES())
        nengo.Connection(b, conn.learning_rule, transform=0.1)
        drop = npd.PermanentDropout((20, 30), nengo.dists.Gaussian(0, 1e-3), 0.3, 0.02)
        nengo.Connection(a.neurons, b.neurons, transform=drop)
        nengo.Probe(b, synapse=0.01)
        nengo.Probe(a.neurons)
        nengo.Probe(conn, "weights", sample_every=0.005)
    return net


@pytest.mark.parametrize("optimize", [True, False])
def test_without_replicas_it_is_nengo(optimize):
    net = stochastic_network()
    kwargs = {"optimize": optimize, "seed": 4, "progress_bar": False}
    with nengo.Simulator(net, **kwargs) as sim:
        sim.run(0.1)
    with npd.Simulator(net, dtype="float64", **kwargs) as own:
        own.run(0.1)
        own.reset()
        own.run(0.1)
    assert own.n_replicas is None and own.dt == sim.dt
    assert (own.n_steps, own.time) == (sim.n_steps, sim.time)
    np.testing.assert_array_equal(own.trange(), sim.trange())
    for probe in net.all_probes:
        np.testing.assert_array_equal(own.data[probe], sim.data[probe])
    ens = net.all_ensembles[0]
    np.testing.assert_array_equal(own.data[ens].encoders, sim.data[ens].encoders)


def test_shapes_and_precision():
    net = stochastic_network()
    with npd.Simulator(net, progress_bar=False) as sim:
        sim.run(0.02)
        assert sim.data[net.all_probes[0]].dtype == np.float32
        assert sim.data[net.all_probes[0]].shape == (20, 2)
    with npd.Simulator(net, n_replicas=3, progress_bar=False) as sim:
        assert sim.n_replicas == 3
        sim.run(0.02)
        shapes = [sim.data[probe].shape for probe in net.all_probes]
        assert shapes == [(3, 20, 2), (3, 20, 30), (3, 4, 2, 30)]
        sim.step()
        assert sim.data[net.all_probes[0]].shape == (3, 21, 2)
        with pytest.raises(ValueError):
            sim.data[net.all_probes[0]][...] = 0
        assert len(sim.trange()) == 21
        assert len(sim.trange(sample_every=0.005)) == 4


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("make", [stochastic_network, layered_network])
def test_a_replica_depends_on_its_own_seeds_alone(make, optimize):
    net = make()
    kwargs = {"progress_bar": False, "optimize": optimize, "seed": 7}

    def run(**more):
        with npd.Simulator(net, **kwargs, **more) as sim:
            sim.run(0.1)
            return [sim.data[probe] for probe in net.all_probes]

    few, many = run(n_replicas=3), run(n_replicas=70)
    defaults = derive_seed(7, np.arange(70))
    some = run(mask_seeds=defaults[[69, 1]], state_seeds=defaults[[69, 1]])
    for a, b, c in zip(few, many, some):
        np.testing.assert_array_equal(a, b[:3])
        np.testing.assert_array_equal(c, b[[69, 1]])
        assert len(np.unique(b.reshape(70, -1), axis=0)) == 70


def test_masks_and_states_have_seeds_of_their_own():
    net = layered_network()
    with net:
        spikes = nengo.Probe(net.layers[0].neurons)

    def run(mask_seeds, state_seeds):
        with npd.Simulator(
            net, mask_seeds=mask_seeds, state_seeds=state_seeds, progress_bar=False
        ) as sim:
            sim.run(0.06)
            return sim.data[net.probe], sim.data[spikes]

    output, first = run([1, 1, 2, 2], [1, 2, 1, 2])
    np.testing.assert_array_equal(first[0], first[2])  # nothing is dropped before it
    assert (first[0] != first[1]).any()
    assert len(np.unique(output[:, -1, 0])) == 4


def test_reset():
    net = layered_network()
    x = np.random.RandomState(0).randn(6, 4)
    with npd.Simulator(net, 4, seed=1, progress_bar=False) as sim:

        def run(**kwargs):
            sim.reset(**kwargs)
            assert sim.n_steps == 0 and len(sim.data[net.probe]) == 0
            sim.run(0.05)
            return sim.data[net.probe]

        first = run()
        np.testing.assert_array_equal(run(), first)
        assert (run(seed=2) != first).any()
        np.testing.assert_array_equal(run(seed=1), first)
        more = run(n_replicas=6, inputs={net.stimulus: x})
        assert more.shape == (6, 50, 2)
        given = derive_seed(1, np.arange(6))
        kept = run(mask_seeds=given, state_seeds=given)
        np.testing.assert_array_equal(kept, more)
        np.testing.assert_array_equal(run(seed=5), more)  # nothing else is random
        with pytest.raises(ValidationError, match="must be 2 integers"):
            sim.reset(mask_seeds=[1, 2])
        fewer = run(mask_seeds=[3, 1], state_seeds=[3, 1], inputs={})
        assert fewer.shape == (2, 50, 2)


def test_inputs():
    net = layered_network(stimulus=lambda: nengo.Node(PresentInput(np.eye(4), 0.02)))
    x = np.random.RandomState(0).randn(3, 2, 4)
    for optimize in (True, False):
        with npd.Simulator(
            net, 3, inputs={net.stimulus: x}, optimize=optimize, progress_bar=False
        ) as sim:
            sim.run(0.05)
            output = sim.data[net.probe]
            for i in range(3):
                process = PresentInput(x[i], 0.02)
                own = layered_network(stimulus=lambda p=process: nengo.Node(p))
                seed = derive_seed(sim.seed, i)
                (expected,) = reference_replica(own, 50, seed, seed)
                # a spike a step later changes the output by a weight, filtered
                assert np.abs(output[i] - expected).mean() < 0.01 * expected.std()
            constant = x[:, 0]
            sim.reset(inputs={net.stimulus: constant})
            sim.run(0.02)
            np.testing.assert_array_equal(sim.data[net.probe], output[:, :20])


@pytest.mark.parametrize("optimize", [True, False])
def test_inputs_of_passthrough_nodes(optimize):
    x = np.random.RandomState(0).randn(3, 4)
    results = []
    for make in (lambda: nengo.Node(np.zeros(4)), lambda: nengo.Node(size_in=4)):
        net = layered_network(stimulus=make)
        with npd.Simulator(
            net, 3, inputs={net.stimulus: x}, optimize=optimize, progress_bar=False
        ) as sim:
            sim.run(0.05)
        results.append(sim.data[net.probe])
    np.testing.assert_array_equal(*results)
    assert results[0].std() > 0


def test_bad_inputs():
    net = layered_network()
    with net:
        clock = nengo.Node(lambda t: t)
    x = np.zeros((3, 4))

    def refused(match, inputs, n_replicas=3):
        with pytest.raises(ValidationError, match=match):
            npd.Simulator(net, n_replicas, inputs=inputs, progress_bar=False)

    refused("n_replicas", {net.stimulus: x}, n_replicas=None)
    refused(r"\(3, 4\)", {net.stimulus: x[:2]})
    refused(r"\(3, 4\)", {net.stimulus: np.zeros((3, 1, 4))})
    refused("finite", {net.stimulus: x * np.nan})
    refused("its output is", {clock: np.zeros((3, 1))})
    refused("connections into it", {net.output: np.zeros((3, 2))})
    refused("not a Node", {net.layers[0]: x})
    refused("not in the network", {nengo.Node([0], add_to_container=False): x[:, :1]})


def test_bad_arguments():
    net = layered_network()
    for kwargs, match in (
        ({"n_replicas": 0}, "must be an integer >= 1"),
        ({"n_replicas": 1.5}, "must be an integer >= 1"),
        ({"n_replicas": 2, "mask_seeds": [1]}, "must be 2 integers"),
        ({"state_seeds": [0.5]}, "integers"),
        ({"mask_seeds": [1], "state_seeds": [1, 2]}, "integers"),
        ({"dtype": int}, "floating-point"),
    ):
        with pytest.raises(ValidationError, match=match):
            npd.Simulator(net, progress_bar=False, **kwargs)
    with npd.Simulator(net, progress_bar=False) as sim:
        with pytest.raises(ValidationError, match="without n_replicas"):
            sim.reset(mask_seeds=[1])
        with pytest.raises(ValidationError, match="must be a finite number >= 0"):
            sim.run(-1)
        with pytest.raises(ReadonlyError):
            sim.dt = 0.002
        with pytest.warns(UserWarning, match="0 timesteps"):
            sim.run(0)
        with pytest.raises(ValidationError, match="both"):
            sim.trange(dt=0.001, sample_every=0.001)
        with pytest.warns(DeprecationWarning):
            sim.trange(dt=0.001)


@pytest.mark.parametrize("n_replicas", [None, 2])
def test_closed(n_replicas):
    net = layered_network()
    sim = npd.Simulator(net, n_replicas, progress_bar=False)
    sim.run(0.01)
    assert not sim.closed
    sim.close()
    assert sim.closed and sim.signals is None
    assert sim.data[net.probe].shape[-2] == 10
    for function in (sim.step, sim.reset, sim.__enter__, lambda: sim.run(0.01)):
        with pytest.raises(SimulatorClosed):
            function()
    left_open = npd.Simulator(net, n_replicas, progress_bar=False)
    with pytest.warns(ResourceWarning, match="deallocated while open"):
        del left_open
        gc.collect()


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("n_replicas", [None, 3])
def test_run_mean(n_replicas, optimize):
    net = layered_network()
    with net:
        now_and_then = nengo.Probe(net.output, sample_every=0.01, synapse=0.01)
    kwargs = {"n_replicas": n_replicas, "optimize": optimize, "progress_bar": False}
    with npd.Simulator(net, **kwargs) as sim:
        sim.run(0.1)
        expected = sim.data[net.probe][..., 40:, :].mean(axis=-2)
        sim.reset()
        mean = sim.run_mean(0.1, net.probe, settle=0.04)
        assert mean.dtype == np.float64
        np.testing.assert_allclose(mean, expected, rtol=1e-5)
        assert sim.n_steps == 100 and len(sim.data[net.probe]) == 0
        last = sim.run_mean(0.001, now_and_then)
        assert last.shape == mean.shape
        sim.reset()
        both = sim.run_mean(0.1, [now_and_then, net.probe], settle=0.04)
        assert np.array_equal(both[1], mean) and both[0].shape == last.shape
        with pytest.raises(ValidationError, match="nothing is left"):
            sim.run_mean(0.01, net.probe, settle=0.01)
        with pytest.raises(ValidationError, match="not in the network"):
            sim.run_mean(0.01, nengo.Probe(net.output, add_to_container=False))


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("n_replicas", [None, 3])
def test_pickle(n_replicas, optimize):
    net = layered_network()
    with net:
        filtered = nengo.Probe(net.output, synapse=0.01)
    kwargs = {"n_replicas": n_replicas, "optimize": optimize, "progress_bar": False}
    with npd.Simulator(net, **kwargs) as sim:
        sim.run(0.02)
        saved = pickle.dumps((sim, net.probe, filtered))
        sim.run(0.02)
    loaded, probe, also = pickle.loads(saved)
    with loaded:
        assert loaded.n_steps == 20 and loaded.optimize == optimize
        loaded.run(0.02)
    np.testing.assert_array_equal(loaded.data[probe], sim.data[net.probe])
    np.testing.assert_array_equal(loaded.data[also], sim.data[filtered])


@pytest.mark.parametrize("optimize", [True, False])
def test_memory_of_a_replica(optimize):
    net = layered_network()
    inputs = {net.stimulus: np.zeros((3, 4))}
    kwargs = {"inputs": inputs, "optimize": optimize, "progress_bar": False}
    with npd.Simulator(net, 3, **kwargs) as sim:
        neurons_and_filters = 2 * 75 + 2 * (30 + 25 + 2)
        assert 4 * neurons_and_filters < sim.replica_bytes < 20 * neurons_and_filters


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_nan_is_an_error_that_names_the_signal():
    class Bad(nengo.Process):
        def make_step(self, shape_in, shape_out, dt, rng, state):
            return lambda t: np.full(shape_out, np.nan if t > 0.005 else 1.0)

    with nengo.Network(seed=0) as net:
        node = nengo.Node(Bad(default_size_out=2), label="bad")
        nengo.Probe(node)
    for n_replicas in (None, 2):
        with npd.Simulator(net, n_replicas, progress_bar=False) as sim:
            with pytest.raises(SimulationError, match="NaN.*bad"):
                sim.run(0.01)

    with nengo.Network(seed=0) as net:
        growing = nengo.Node(size_in=1, label="growing")
        nengo.Connection(nengo.Node([1e30]), growing, synapse=None)
        nengo.Connection(growing, growing, transform=1e20, synapse=0.001)
        difference = nengo.Node(size_in=1, label="difference")
        nengo.Connection(growing, difference, synapse=None)
        nengo.Connection(growing, difference, transform=-1, synapse=None)
    with npd.Simulator(net, progress_bar=False) as sim:
        with pytest.raises(SimulationError, match="not a number"):
            sim.run(0.1)


def test_infinite_currents_are_an_error_in_kernels():
    net = layered_network()
    x = np.full((2, 4), 3e38)
    with npd.Simulator(net, 2, inputs={net.stimulus: x}, progress_bar=False) as sim:
        assert sim.plan is not None
        with pytest.raises(SimulationError, match="layer 0"):
            sim.run(0.01)


def test_entry_point_target_and_progress():
    module, _, attr = "nengo_permadrop:Simulator".partition(":")
    assert getattr(importlib.import_module(module), attr) is npd.Simulator

    class Bar(nengo.utils.progress.ProgressBar):
        steps = []

        def update(self, progress):
            self.steps.append((progress.n_steps, progress.max_steps))

        def close(self):
            pass

    with npd.Simulator(layered_network(), 2, progress_bar=False) as sim:
        sim.run(0.05, progress_bar=Bar())
    assert Bar.steps[-1] == (50, 50)


def test_import_is_light():
    code = (
        "import sys, nengo_permadrop as npd; npd.Simulator; "
        "print([m for m in ('numba', 'scipy.stats', 'tensorflow') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_a_second_process_compiles_nothing():
    net = layered_network()
    with npd.Simulator(net, 2, progress_bar=False) as sim:
        sim.step()  # compiles, if it hasn't been yet
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from batched_helpers import layered_network\n"
        "import nengo_permadrop as npd\n"
        "from nengo_permadrop.batched.compiled import kernels\n"
        "net = layered_network()\n"
        "with npd.Simulator(net, 2, progress_bar=False) as sim: sim.step()\n"
        "stats = kernels.run_block.stats\n"
        "print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parents[1])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["1", "0"]


def test_a_change_of_any_compiled_code_is_compiled():
    """Numba itself looks only at the file that a kernel is in."""
    from nengo_permadrop.batched import compiled
    from nengo_permadrop.batched.compiled import kernels, layout, membranes, rows, runs

    files = Path(compiled.__file__).parent.glob("*.py")
    with_compiled = {path.name for path in files if "@jit" in path.read_text()}
    modules = (kernels, layout, membranes, rows, runs)
    names = {Path(module.__file__).name for module in modules}
    assert with_compiled | {"layout.py"} == names
    source = b"".join(Path(module.__file__).read_bytes() for module in modules)
    enclosed = [cell.cell_contents for cell in kernels.run_block.py_func.__closure__]
    assert enclosed == [hashlib.sha256(source).hexdigest()]


def test_no_thread_is_left_behind(monkeypatch):
    from nengo_permadrop.batched.compiled import engine as plan_engine
    from nengo_permadrop.batched.compiled import kernels

    before = set(threading.enumerate())
    run_block, calls = kernels.run_block, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt()
        return run_block(*args)

    monkeypatch.setattr(plan_engine, "n_threads", lambda: 2)
    with npd.Simulator(layered_network(), 40, progress_bar=False) as sim:
        sim.run(0.01)
        first = sim.data[sim.model.probes[0]]
        sim.reset()
        monkeypatch.setattr(kernels, "run_block", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sim.run(0.01)
        assert set(threading.enumerate()) == before
        monkeypatch.setattr(kernels, "run_block", run_block)
        with pytest.raises(SimulationError, match="reset"):
            sim.run(0.01)
        sim.reset()
        sim.run(0.01)
        np.testing.assert_array_equal(sim.data[sim.model.probes[0]], first)


def test_convolution_in_three_dimensions_is_refused():
    with nengo.Network(seed=0) as net:
        source, out = neurons(8, 3.0), nengo.Node(size_in=8)
        transform = nengo.Convolution(
            1, (2, 2, 2, 1), kernel_size=(1, 1, 1), strides=(1, 1, 1)
        )
        nengo.Connection(source.neurons, out, transform=transform)
        nengo.Probe(out)
    with pytest.raises(NotImplementedError, match="> 2D"):
        npd.Simulator(net, 2, progress_bar=False)
