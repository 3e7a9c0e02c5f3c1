"""Live statistics equal those of the values that were taken, on every backend."""

import pickle

import nengo
import numpy as np
import pytest
import scipy.stats
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop import testing
from nengo_permadrop.ks import ks_pvalue

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
    expected = scipy.stats.ks_2samp(values, samples(size=20), axis=0).statistic
    assert np.allclose(statistic[-1], expected)
