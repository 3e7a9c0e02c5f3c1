"""Decoded connections of which neurons are dropped."""

import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.dropout.masks import keep_mask, mask_key
from nengo_permadrop.dropout.networks import DropoutL2, connect_dropped

RATE = 0.3


def network(x=0.6, n=60, post_size=1, **options):
    """A population of rate neurons whose square is decoded, and what made it."""
    with nengo.Network(seed=3) as net:
        net.stimulus, net.out = nengo.Node([x]), nengo.Node(size_in=post_size)
        net.ens = nengo.Ensemble(n, 1, neuron_type=nengo.LIFRate())
        nengo.Connection(net.stimulus, net.ens, synapse=None)
        options = {"function": np.square, "synapse": None, "seed": 5, **options}
        net.conn = connect_dropped(net.ens, net.out, RATE, **options)
        net.probe = nengo.Probe(net.out)
    return net


def activities(net, x):
    drive = np.array([[x]]) @ net.ens.encoders.T
    return net.ens.neuron_type.rates(drive, net.ens.gain, net.ens.bias)[0]


def test_drops_neurons_by_the_seeds_mask():
    net = network()
    parts = net.conn.transform.init.base[0] * activities(net, 0.6)
    keep = keep_mask(mask_key(np.random.RandomState(5)), 60, RATE)
    for simulator in (nengo.Simulator, npd.Simulator):
        with simulator(net, progress_bar=False) as sim:
            sim.run(0.01)
        assert np.allclose(sim.data[net.probe][-1], parts @ keep / (1 - RATE))


@pytest.mark.parametrize("backend", ["batched", "nengo"])
def test_has_the_mean_and_variance_of_theory(backend):
    """Each fails once in 1000 seeds by chance; it was not chosen."""
    net, n_draws = network(), 400 if backend == "batched" else 50
    parts = net.conn.transform.init.base[0] * activities(net, 0.6)
    samples = npd.sample(
        net,
        {net.stimulus: [[0.6]]},
        n_draws=n_draws,
        output=net.out,
        backend=backend,
        settle=0.002,
        presentation_time=0.004,
        progress=False,
    )
    values = samples.values[:, 0, 0]
    variance = RATE / (1 - RATE) * np.sum(parts**2)
    z = (values.mean() - parts.sum()) / np.sqrt(variance / n_draws)
    assert abs(z) < 3.3
    # a sum over 60 neurons: kurtosis a little over that of a normal distribution
    assert abs(values.var() / variance - 1) < 3.3 * np.sqrt(3 / n_draws)
    assert abs(parts.sum() - 0.36) < 0.05


def test_solver_is_best_on_average(rng):
    """Its gradient of the expected error vanishes; and masks confirm the formula."""
    A, Y = rng.uniform(0, 100, (50, 8)), rng.standard_normal((50, 2))
    decoders, _ = DropoutL2(RATE, reg=0)(A, Y)
    factor = RATE / (1 - RATE)

    def error(D):
        noise = factor * np.sum(np.sum(A**2, axis=0)[:, np.newaxis] * D**2)
        return np.sum((A @ D - Y) ** 2) + noise

    masks = (np.arange(256)[:, np.newaxis] >> np.arange(8)) % 2  # all of them
    weights = np.prod(np.where(masks, 1 - RATE, RATE), axis=1)
    errors = [np.sum((A * m / (1 - RATE) @ decoders - Y) ** 2) for m in masks]
    assert np.isclose(weights @ errors, error(decoders))
    for _ in range(10):
        step = 1e-3 * np.abs(decoders).max() * rng.standard_normal(decoders.shape)
        assert error(decoders + step) > error(decoders)
    plain, _ = nengo.solvers.LstsqL2(reg=0.0)(A, Y)
    assert error(decoders) < error(plain)


def test_without_dropout_it_is_a_decoded_connection():
    with nengo.Network(seed=1) as net:
        stimulus = nengo.Node([0.3, -0.4])
        ens = nengo.Ensemble(80, 2, seed=7, neuron_type=nengo.LIFRate())
        a, b = nengo.Node(size_in=3), nengo.Node(size_in=3)
        nengo.Connection(stimulus, ens, synapse=None)
        solver = nengo.solvers.LstsqL2(reg=0.1)
        options = {"transform": [[1, 0], [0, 2], [1, 1]], "solver": solver}
        connect_dropped(ens, a, 0.0, synapse=None, **options)
        nengo.Connection(ens, b, synapse=None, **options)
        probes = nengo.Probe(a), nengo.Probe(b)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(0.01)
    assert np.allclose(*(sim.data[probe] for probe in probes), atol=1e-4)


def test_a_seeded_network_is_the_same_each_time():
    one, two = network(), network()
    assert np.array_equal(one.conn.transform.init.base, two.conn.transform.init.base)
    assert np.array_equal(one.ens.encoders, two.ens.encoders)


def test_redraws():
    net = network(redraw=0.01)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(0.1)
    windows = sim.data[net.probe].reshape(10, 10)
    assert np.ptp(windows[:, 1:], axis=1).max() < 1e-9
    assert len(np.unique(windows[:, -1].round(9))) == 10


def test_nengo_dl_has_the_same_draw():
    nengo_dl = pytest.importorskip("nengo_dl")
    net = network()
    data = []
    for simulator in (nengo.Simulator, nengo_dl.Simulator):
        with simulator(net, progress_bar=False) as sim:
            sim.run(0.01)
        data.append(np.reshape(sim.data[net.probe], -1)[-1])
    assert np.isclose(*data, atol=1e-5)


@pytest.mark.parametrize(
    "change, attr",
    [
        ({"pre": "neurons"}, "pre"),
        ({"pre": "direct"}, "pre"),
        ({"rate": 1.0}, "rate"),
        ({"transform": np.ones((2, 5))}, "transform"),
        ({"solver": nengo.solvers.LstsqL2(weights=True)}, "solver"),
    ],
)
def test_refuses(change, attr):
    options = dict(change)
    with nengo.Network() as net:
        ens, out = nengo.Ensemble(10, 1), nengo.Node(size_in=1)
        direct = nengo.Ensemble(1, 1, neuron_type=nengo.Direct())
        pre = {"neurons": ens.neurons, "direct": direct}.get(
            options.pop("pre", ""), ens
        )
        n_before = len(net.all_objects)
        with pytest.raises(ValidationError, match=attr):
            connect_dropped(pre, out, options.pop("rate", 0.5), **options)
    assert len(net.all_objects) == n_before
