"""Live statistics equal those of the values that were taken, on every backend."""

import pickle

import nengo
import numpy as np
import pytest
import scipy.stats
from nengo.exceptions import ValidationError

import nengo_permadrop as npd

WINDOW, SETTLE, N_WINDOWS = 0.02, 0.008, 6
STEPS, SKIPPED = 20, 8
QUANTILES = (0.1, 0.5, 0.9)


def means(data):
    """The mean of each window after it has settled, (n_windows, size)."""
    return data.reshape(-1, STEPS, data.shape[-1])[:, SKIPPED:].mean(axis=1)


def samples(n=30, size=2, seed=0):
    return np.random.RandomState(seed).randn(n, size)


@pytest.fixture(name="network", scope="module")
def _network():
    """Two dropped sums that are redrawn, tested and summed up, with all probes."""
    with nengo.Network(seed=1) as net:
        stimulus = nengo.Node(np.linspace(-1, 1, 10))
        target = nengo.Node(size_in=2, label="target")
        weights = np.random.RandomState(1).randn(2, 10)
        dropout = npd.PermanentDropout((2, 10), weights, rate=0.5, redraw=WINDOW)
        nengo.Connection(stimulus, target, transform=dropout, synapse=0.002)
        options = {"window": WINDOW, "settle": SETTLE}
        net.ks = npd.KSProbe(target, samples(), **options)
        net.live = npd.LiveDistribution(target, quantiles=QUANTILES, **options)
        net.relay = nengo.Node(size_in=2)  # connected from, not only probed
        nengo.Connection(net.ks.pvalue, net.relay, synapse=None)
        names = ("statistic", "pvalue", "count", "value")
        net.ks_probes = {n: nengo.Probe(getattr(net.ks, n)) for n in names}
        names = ("mean", "std", "quantiles", "count")
        net.live_probes = {n: nengo.Probe(getattr(net.live, n)) for n in names}
        net.target_probe = nengo.Probe(target)
        net.relay_probe = nengo.Probe(net.relay)
    return net


def check(net, data, rtol):
    """That all that was probed is what SciPy and NumPy say of the target's values."""
    values = means(data[net.target_probe])
    ks = {name: data[probe] for name, probe in net.ks_probes.items()}
    live = {name: data[probe] for name, probe in net.live_probes.items()}
    assert len(np.unique(values[:, 0])) == N_WINDOWS  # redrawn
    for step in range(N_WINDOWS * STEPS):
        n = (step + 1) // STEPS
        assert ks["count"][step] == live["count"][step] == n
        if n == 0:
            assert (ks["statistic"][step] == 0).all()
            assert (ks["pvalue"][step] == 1).all()
            continue
        for i in range(2):
            test = scipy.stats.ks_2samp(values[:n, i], samples()[:, i], method="exact")
            found = (ks["statistic"][step, i], ks["pvalue"][step, i])
            assert np.allclose(found, test, rtol=rtol, atol=0)
        assert np.allclose(ks["value"][step], values[n - 1], rtol=rtol, atol=rtol)
        expected = {
            "mean": values[:n].mean(axis=0),
            "std": values[:n].std(axis=0),
            "quantiles": np.quantile(values[:n], QUANTILES, axis=0).ravel(),
        }
        for name, value in expected.items():
            assert np.allclose(live[name][step], value, rtol=rtol, atol=rtol)
    assert np.array_equal(data[net.relay_probe], ks["pvalue"])


TIME = N_WINDOWS * WINDOW


def test_reference(network):
    with nengo.Simulator(network, progress_bar=False) as sim:
        sim.run(TIME)
        check(network, sim.data, 1e-9)
        sim.reset()
        sim.run(TIME)
        check(network, sim.data, 1e-9)


@pytest.mark.parametrize("optimize", [True, False])
def test_batched(network, optimize):
    options = {"dtype": "float64", "optimize": optimize, "progress_bar": False}
    with npd.Simulator(network, **options) as sim:
        sim.run(TIME)
        check(network, sim.data, 1e-9)
    with npd.Simulator(network, n_replicas=3, **options) as sim:
        for _ in range(2):
            sim.run(TIME)
            values = sim.data[network.ks_probes["value"]]
            assert len(np.unique(values[:, -1, 0])) == 3  # a replica's own masks
            for i in range(3):
                check(network, {p: sim.data[p][i] for p in network.all_probes}, 1e-9)
            sim.reset()


def test_nengo_dl(network):
    nengo_dl = pytest.importorskip("nengo_dl")
    import nengo_permadrop.dl  # noqa: F401

    with nengo_dl.Simulator(network, minibatch_size=2, progress_bar=False) as sim:
        for _ in range(2):
            sim.run(TIME)
            for i in range(2):
                check(network, {p: sim.data[p][i] for p in network.all_probes}, 1e-5)
            sim.reset()


def test_loihi():
    """On the host, beside the emulator, of spikes that come from the chip."""
    nengo_loihi = pytest.importorskip("nengo_loihi")
    with nengo.Network(seed=0) as net:
        a = nengo.Ensemble(20, 1, label="a")
        ks = npd.KSProbe(a.neurons, samples(size=20), window=WINDOW, synapse=0.01)
        spikes = nengo.Node(size_in=20)
        nengo.Connection(a.neurons, spikes, synapse=0.01)
        probes = [nengo.Probe(ks.statistic), nengo.Probe(spikes)]
    with nengo_loihi.Simulator(net, target="sim", progress_bar=False) as sim:
        sim.run(TIME)
    statistic, data = (sim.data[probe] for probe in probes)
    values = data.reshape(-1, STEPS, 20).mean(axis=1)
    assert (values[-1] != values[-2]).any()
    for i, sample in enumerate(samples(size=20).T):
        expected = scipy.stats.ks_2samp(values[:, i], sample).statistic
        assert np.isclose(statistic[-1, i], expected)


def counted(clear, window=0.01, time=0.06, **options):
    """
    How many values there are after each step, and the last one taken, with a target
    that is the number of the step.
    """
    with nengo.Network() as net:
        target = nengo.Node(lambda t: round(1000 * t))
        live = npd.LiveDistribution(target, window, **options)
        clear(live)
        probes = [nengo.Probe(live.count), nengo.Probe(live.value)]
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(time)
    return [sim.data[probe][:, 0] for probe in probes]


def clear_between(start, end):
    """Holds the reset from step ``start`` to step ``end``."""

    def clear(live):
        held = nengo.Node(lambda t: float(start <= round(1000 * t) <= end))
        nengo.Connection(held, live.reset, synapse=None)

    return clear


def test_reset_forgets_and_leaves_out_the_broken_window():
    count, value = counted(clear_between(25, 27))
    assert count.tolist() == [0] * 9 + [1] * 10 + [2] * 5 + [0] * 15 + [1] * 10 + [
        2
    ] * 10 + [3]
    assert value[-1] == np.mean(range(51, 61))


def test_reset_in_the_first_step_of_a_window_leaves_nothing_out():
    count, value = counted(clear_between(21, 21))
    assert (count[20:29] == 0).all() and count[29] == 1
    assert value[29] == np.mean(range(21, 31))


def test_windows_that_are_no_multiple_of_the_step():
    """Of 12.5 ms, as presentations may be: 12 or 13 steps each, without the first 3."""
    count, value = counted(lambda live: None, window=0.0125, time=0.1, settle=0.003)
    last = [13, 25, 38, 50, 63, 75, 88, 100]
    assert np.flatnonzero(np.diff(count, prepend=0)).tolist() == [n - 1 for n in last]
    for first, end in zip([0, *last], last):
        assert value[end - 1] == np.mean(range(first + 4, end + 1))


def reference_of(observation):
    return np.array([-1.0, 0.0, 1.0]) + observation


def by_observation(switch):
    """A probe that has the reference of what is shown; and its probes."""
    with nengo.Network() as net:
        net.shown = nengo.Node(switch, size_out=1)
        target = nengo.Node([0.1])
        ks = npd.KSProbe(target, reference_of, 0.01, observation=net.shown)
        net.found = [nengo.Probe(ks.count), nengo.Probe(ks.statistic)]
    return net


def test_another_observation_starts_anew_with_its_reference():
    net = by_observation(lambda t: 0.0 if t < 0.0205 else 5.0)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(0.04)
    count, statistic = (sim.data[probe][:, 0] for probe in net.found)
    assert count[[19, 20, 29, 39]].tolist() == [2, 0, 1, 2]
    assert np.allclose(statistic[[19, 20, 29, 39]], [2 / 3, 0, 1, 1])


def test_replicas_have_observations_of_their_own():
    net = by_observation([0.0])
    inputs = {net.shown: np.array([[0.0], [5.0]])}
    with npd.Simulator(net, n_replicas=2, inputs=inputs, progress_bar=False) as sim:
        sim.run(0.02)
    assert np.allclose(sim.data[net.found[1]][:, -1, 0], [2 / 3, 1])


def test_probes_leave_dropout_alone():
    """Masks are those of connections' seeds, which a probe doesn't take from others."""
    data = []
    for probed in (False, True):
        with nengo.Network(seed=1) as net:
            stimulus, target = nengo.Node(np.ones(10)), nengo.Node(size_in=10)
            if probed:
                npd.KSProbe(target, samples(size=10), window=0.02)
            dropout = npd.PermanentDropout((10, 10), redraw=0.02)
            nengo.Connection(stimulus, target, transform=dropout)
            probe = nengo.Probe(target)
        with nengo.Simulator(net, progress_bar=False) as sim:
            sim.run(0.05)
        data.append(sim.data[probe])
    assert np.array_equal(*data)


def test_a_loaded_simulator_starts_with_no_values():
    with nengo.Network() as net:
        ks = npd.KSProbe(nengo.Node([0.0]), [1.0, 2.0], window=0.01)
        nengo.Probe(ks.count)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(0.03)
        with pickle.loads(pickle.dumps(sim)) as loaded:
            loaded.run(0.01)
            count = loaded.data[loaded.model.probes[0]][:, 0]
            assert count[[-11, -10, -1]].tolist() == [3, 0, 1]


@pytest.mark.parametrize("simulator", [nengo.Simulator, npd.Simulator])
@pytest.mark.parametrize("difference, statistic", [(1e-7, 0), (1e-4, 1)])
def test_a_constant_reference_is_met_but_for_rounding(simulator, difference, statistic):
    """In no window, from the first one on; but what differs by more is seen."""
    with nengo.Network() as net:
        target = nengo.Node(lambda t: 3.7 * (1 + difference * np.sin(500 * t)))
        ks = npd.KSProbe(target, np.full(20, 3.7), window=0.001)
        probe = nengo.Probe(ks.statistic)
    with simulator(net, progress_bar=False) as sim:
        sim.run(0.03)
    found = sim.data[probe][:, 0]
    assert (found == 0).all() if statistic == 0 else (found[:5] > 0.3).all()


def test_samples_of_one_observation_are_a_reference():
    reference = npd.PredictiveSamples(samples()[:, np.newaxis])
    with nengo.Network():
        ks = npd.KSProbe(nengo.Node([0.0, 0.0]), reference, window=0.1)
    assert np.array_equal(ks.node.output.reference.of(None), samples())


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"reference": samples()}, r"reference: .*size 1; got shape \(30, 2\)"),
        ({"reference": []}, "reference: .*got shape"),
        ({"reference": [np.nan]}, "reference: must be finite"),
        ({"reference": np.mean}, "reference: .*observation="),
        (
            {"reference": npd.PredictiveSamples(np.zeros((4, 3, 1)))},
            "reference: has 3 observations",
        ),
        ({"window": 0.0}, "window"),
        ({"settle": 0.1}, r"settle: must be less than window \(0.1 s\), got 0.1"),
        ({"settle": -0.1}, "settle"),
        ({"target": nengo.Network(add_to_container=False)}, "target: .*connection"),
        ({"observation": 3}, "observation: .*connection"),
    ],
)
def test_ks_probe_refuses(arguments, message):
    with nengo.Network():
        given = {"target": nengo.Node([0.0]), "reference": [0.0], "window": 0.1}
        with pytest.raises(ValidationError, match=message):
            npd.KSProbe(**{**given, **arguments})


@pytest.mark.parametrize("quantiles", [(), (0.5, 1.1)])
def test_live_distribution_refuses(quantiles):
    with nengo.Network():
        with pytest.raises(ValidationError, match="quantiles"):
            npd.LiveDistribution(nengo.Node([0.0]), window=0.1, quantiles=quantiles)


def test_a_window_without_steps_is_refused_by_the_simulator():
    with nengo.Network() as net:
        npd.LiveDistribution(nengo.Node([0.0]), window=0.01, settle=0.0096)
    with pytest.raises(ValidationError, match="nothing is left to read.*10 steps"):
        nengo.Simulator(net, progress_bar=False)
