"""Kernels that add sparse weights: as the vectorised steps, and in proportion."""

import nengo
import numpy as np
import pytest
from scipy import sparse

import nengo_permadrop as npd
from nengo_permadrop.batched.compiled import layout, packing, tables
from nengo_permadrop.batched.compiled.plan import find_plan

ALPHA = nengo.Alpha(0.005)


def convolution(side, channels, seed=0):
    """A 3 x 3 convolution of an image of ``side ** 2`` places, channels last."""
    rng = np.random.RandomState(seed)
    kernel = rng.uniform(-0.5, 1, size=(3, 3, channels, channels)) / (9 * channels)
    shifts = [sparse.eye(side, k=k) for k in (-1, 0, 1)]
    return sum(
        sparse.kron(sparse.kron(shifts[y], shifts[x]), kernel[y, x])
        for y in range(3)
        for x in range(3)
    ).tocsr()


def scattered(size_out, size_in, share=0.01, seed=0):
    rng = np.random.RandomState(seed)
    return sparse.random(size_out, size_in, share, "csr", random_state=rng) * 0.1


def neurons(n, neuron_type, bias=1.5):
    return nengo.Ensemble(
        n,
        1,
        neuron_type=neuron_type,
        gain=np.full(n, 40.0),
        bias=np.linspace(bias, 2 * bias, n),
        encoders=np.ones((n, 1)),
        eval_points=np.zeros((1, 1)),
    ).neurons


def connect(pre, post, weights, rate=0.3, synapse=ALPHA, seed=1):
    transform = npd.PermanentDropout(weights.shape, init=weights, rate=rate)
    nengo.Connection(pre, post, transform=transform, synapse=synapse, seed=seed)


def network(weights, neuron_type, synapse=ALPHA, extra=None):
    """Input to two layers, with sparse weights between them, and a dense readout."""
    n = weights.shape[1]
    rng = np.random.RandomState(3)
    with nengo.Network(seed=0) as net:
        net.stimulus = nengo.Node(np.zeros(n))
        a = neurons(n, neuron_type)
        b = neurons(weights.shape[0], neuron_type)
        nengo.Connection(
            net.stimulus,
            a,
            transform=nengo.Sparse((n, n), init=sparse.eye(n, format="csr") * 2),
            synapse=None,
        )
        connect(a, b, weights, synapse=synapse)
        if extra is not None:
            extra(net, a, b)
        out = nengo.Node(size_in=5)
        connect(b, out, 0.01 * rng.randn(5, weights.shape[0]), seed=2)
        net.read = [nengo.Probe(b), nengo.Probe(out, synapse=0.01)]
    return net


def dense_too(net, a, b):
    rng = np.random.RandomState(5)
    with net:
        connect(a, b, 0.001 * rng.randn(b.size_in, a.size_out), seed=1)


def from_image(net, a, b):
    n = net.stimulus.size_out
    with net:
        weights = scattered(b.size_in, n, 0.005)
        for synapse in (None, ALPHA):
            connect(net.stimulus, b, weights, synapse=synapse, seed=9)


def skips(net, a, b):
    """Part of the layer alone, and a diagonal."""
    with net:
        nengo.Connection(a[:200], b[300:500], transform=0.01, synapse=ALPHA)
        nengo.Connection(a[:700:2], b[1::2], transform=0.02, synapse=ALPHA)


LIF, RECTIFIED = nengo.LIF(), nengo.SpikingRectifiedLinear()
CASES = {
    "convolution": (convolution(13, 6), LIF, ALPHA, None),
    "direct": (convolution(13, 6), LIF, None, None),
    "lowpass": (scattered(700, 1100), LIF, nengo.Lowpass(0.01), None),
    "rectified": (scattered(700, 1100), RECTIFIED, ALPHA, None),
    "image": (scattered(700, 1100), LIF, ALPHA, from_image),
    "skips": (scattered(700, 1100), LIF, ALPHA, skips),
    "dense too": (convolution(13, 6), LIF, ALPHA, dense_too),
}


def simulate(net, n_replicas=4, steps=150, **kwargs):
    n = net.stimulus.size_out
    x = np.random.RandomState(1).uniform(-0.5, 1, size=(n_replicas, n))
    with npd.Simulator(
        net,
        n_replicas,
        seed=2,
        inputs={net.stimulus: x},
        progress_bar=False,
        **kwargs,
    ) as sim:
        sim.run_steps(steps)
    return sim


def made_tables(net, dtype=np.float32):
    sim = npd.Simulator(net, 1, seed=0, progress_bar=False)
    plan, reason = find_plan(sim.model, np.dtype(dtype))
    sim.close()
    assert plan is not None, reason
    return tables.Tables(plan, 0.001, dtype)


@pytest.mark.parametrize("case", CASES)
def test_kernels_equal_steps(case):
    net = network(*CASES[case])
    made = simulate(net, dtype="float64")
    expected = simulate(net, dtype="float64", optimize=False)
    assert made.plan is not None and expected.plan is None
    spikes, out = net.read
    assert 0.005 < (expected.data[spikes] > 0).mean() < 0.9
    np.testing.assert_array_equal(made.data[spikes] > 0, expected.data[spikes] > 0)
    np.testing.assert_allclose(
        made.data[out], expected.data[out], rtol=1e-8, atol=1e-11
    )


@pytest.mark.parametrize("case, is_sparse", [("convolution", 1), ("dense too", 0)])
def test_what_is_kept_sparse(case, is_sparse):
    made = made_tables(network(*CASES[case]))
    assert made.populations[1, layout.P_SPARSE] == is_sparse


def test_many_spikes_a_step():
    """Neurons that fire more often than lists have room for: counted, or multiplied."""
    weights = scattered(300, 400, 0.02)
    net = network(weights, RECTIFIED)
    rates = np.linspace(500, 400_000, 400)
    net.ensembles[0].bias = rates
    with net:
        probe = nengo.Probe(net.ensembles[0].neurons)
    made = simulate(net, n_replicas=2, steps=70, dtype="float64")
    expected = simulate(net, n_replicas=2, steps=70, dtype="float64", optimize=False)
    assert expected.data[probe].max() * 0.001 > 300
    np.testing.assert_array_equal(made.data[probe], expected.data[probe])
    np.testing.assert_allclose(
        made.data[net.read[1]], expected.data[net.read[1]], rtol=1e-7, atol=1e-9
    )


def test_draws_do_not_depend_on_how_replicas_are_run():
    net = network(*CASES["convolution"])
    whole = simulate(net, n_replicas=5).data[net.read[1]]
    x = np.random.RandomState(1).uniform(-0.5, 1, size=(5, net.stimulus.size_out))
    with npd.Simulator(
        net, 5, seed=2, inputs={net.stimulus: x}, progress_bar=False
    ) as sim:
        for _ in range(15):
            sim.run_steps(10)
        np.testing.assert_array_equal(sim.data[net.read[1]], whole)


def test_convolutions_keep_their_kernels_only():
    """However large the image is; lists of runs are as long as there are weights."""
    kept, runs = [], []
    for side in (12, 24, 48):
        weights = convolution(side, 16)
        made = made_tables(network(weights, LIF))
        assert made.populations[1, layout.P_SPARSE]
        blocks = made.sparse[1][:, layout.R_BLOCKS].sum()
        runs.append(blocks * layout.LANES / weights.nnz)
        readout = 5 * side**2 * 16
        kept.append(made.weights.size - 1 - readout)
    # those of the edges are kept, too
    assert kept[0] == kept[1] == kept[2] <= 3 * 9 * 16 * 16
    np.testing.assert_allclose(runs, 1.0, rtol=0.01)


def test_growth_is_that_of_the_weights():
    """Twice the neurons with as many weights each: twice the memory."""
    sizes = []
    for n in (2000, 4000, 8000):
        made = made_tables(network(scattered(n, n, 20 / n), LIF))
        arrays = (made.weights, *made.sparse)
        sizes.append(sum(array.nbytes for array in arrays))
        assert made.populations[1, layout.P_SPARSE]
    np.testing.assert_allclose(np.diff(np.log2(sizes)), 1.0, atol=0.12)


@pytest.mark.parametrize("share", [0.001, 0.2])
def test_packed_runs_are_the_weights(share):
    weights = scattered(100, 300, share, seed=4)
    runs = packing.TileRuns(weights, np.float64)
    packed = packing.PackedWeights()
    places = packed.add(runs)
    again = packed.add(runs)
    np.testing.assert_array_equal(again, places)
    values = packed.weights(np.float64)
    found = np.zeros((100 + layout.LANES, 300))
    for source, target, blocks, place in zip(
        runs.sources, runs.targets, runs.blocks, places
    ):
        n = blocks * layout.LANES
        found[target : target + n, source] += values[place : place + n]
    np.testing.assert_array_equal(found[:100], weights.toarray())
    assert not found[100:].any()


def test_different_weights_of_one_hash(monkeypatch):
    monkeypatch.setattr(
        packing.TileRuns, "hashes", lambda self: np.zeros(len(self.sources), np.uint64)
    )
    test_kernels_equal_steps("convolution")
