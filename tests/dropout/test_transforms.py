import warnings

import nengo
import numpy as np
import pytest
from nengo.exceptions import BuildError, ValidationError

import nengo_permadrop as npd
from nengo_permadrop.dropout.builder import built_dropouts


def connect(pre, post, shape, seed=1, **kwargs):
    return nengo.Connection(
        pre, post, transform=npd.PermanentDropout(shape, **kwargs), seed=seed
    )


def kept(weights):
    return (weights != 0).any(axis=0)


def test_masks_columns_and_scales(rng):
    init = rng.uniform(1, 2, size=(4, 300))
    dropout = npd.PermanentDropout((4, 300), init=init, rate=0.25)
    weights = dropout.sample(rng=np.random.RandomState(0))
    keep = kept(weights)
    assert 0 < keep.sum() < 300
    assert np.allclose(weights[:, keep], init[:, keep] / 0.75)
    assert np.all(weights[:, ~keep] == 0)


@pytest.mark.parametrize("init", [2.0, np.arange(1.0, 6.0)])
def test_scalar_and_vector_are_diagonals(init):
    weights = npd.PermanentDropout((5, 5), init=init, rate=0).sample()
    assert np.array_equal(weights, np.eye(5) * init)


def test_distribution_as_init():
    dist = nengo.dists.Uniform(1, 2)
    dropout = npd.PermanentDropout((3, 50), init=dist, rate=0.5)
    a, b = (dropout.sample(rng=np.random.RandomState(7)) for _ in range(2))
    assert np.array_equal(a, b)
    assert a[:, kept(a)].min() >= 2 and a.max() < 4


def test_init_is_a_distribution():
    # what nengo-loihi's passthrough removal relies on to raise, rather than lose the
    # dropout
    dropout = npd.PermanentDropout((3, 2), init=np.ones((3, 2)))
    assert isinstance(dropout.init, nengo.dists.Distribution)
    with pytest.raises(ValidationError, match="size_out, size_in"):
        dropout.init.sample(3)


@pytest.mark.parametrize(
    "kwargs, attr",
    [
        (dict(rate=1.0), "rate"),
        (dict(rate=-0.1), "rate"),
        (dict(redraw=0), "redraw"),
        (dict(init=np.ones((2, 2))), "init"),
    ],
)
def test_invalid_parameters(kwargs, attr):
    with pytest.raises(ValidationError, match=attr):
        npd.PermanentDropout((2, 3), **{"init": np.ones((2, 3)), **kwargs})


def test_repr_and_equality():
    a, b = (npd.PermanentDropout((2, 2), rate=0.1, redraw=0.5) for _ in range(2))
    assert a == b and hash(a) == hash(b)
    assert a != npd.PermanentDropout((2, 2), rate=0.2, redraw=0.5)
    assert "rate=0.1" in repr(a) and "redraw=0.5" in repr(a)


@pytest.fixture
def several():
    """Connections of one seed that are built along different paths."""
    n = 40
    with nengo.Network(seed=0) as net:
        node = nengo.Node(np.ones(n))
        pre, post = nengo.Ensemble(n, 1), nengo.Ensemble(7, n)
        decoded_pre = nengo.Ensemble(2 * n, n)
        weights = nengo.dists.Uniform(1, 2)
        conns = [
            connect(pre.neurons, post.neurons, (7, n), init=weights, rate=0.4),
            connect(node, post.neurons, (7, n), init=weights, rate=0.4),
            connect(node, post, (n, n), rate=0.4),
            connect(pre.neurons, post.neurons, (7, n), init=weights, rate=0.4, seed=2),
        ]
        # decoded: Nengo has used the connection's generator for the solver by then
        decoded = connect(decoded_pre, pre, (1, n), init=np.ones((1, n)), rate=0.4)
    return net, conns, decoded


def test_mask_is_a_function_of_the_seed_alone(several):
    net, conns, decoded = several
    with nengo.Simulator(net, progress_bar=False) as sim:
        masks = [kept(sim.data[conn].weights) for conn in conns]
        assert 0 < masks[0].sum() < 40
        assert np.array_equal(masks[0], masks[1])
        assert np.array_equal(masks[0], masks[2])
        assert not np.array_equal(masks[0], masks[3])
        (built,) = (b for b in built_dropouts(sim.model) if b.conn is decoded)
        transform = np.linalg.lstsq(
            built.decoders.T, sim.data[decoded].weights.T, rcond=None
        )[0].T
        assert np.array_equal(np.abs(transform[0]) > 1e-6, masks[0])


def test_mean_over_seeds_is_the_transform_without_dropout():
    # 400 masks of 60 units at rate 0.3: a weight's mean has sd sqrt(.3 / .7 / 400) =
    # 0.033; the mean over units 0.0042. 5 sd: a false alarm has p = 6e-7
    with nengo.Network() as net:
        pre, post = nengo.Ensemble(60, 1), nengo.Ensemble(1, 1)
        conn = connect(
            pre.neurons, post.neurons, (1, 60), init=np.ones((1, 60)), rate=0.3
        )
    total = 0
    for seed in range(400):
        total += conn.transform.sample(rng=np.random.RandomState(seed)).mean()
    assert abs(total / 400 - 1) < 5 * 0.0042
    assert net.all_connections == [conn]


def redraw_network(redraw, seed=1):
    with nengo.Network(seed=0) as net:
        node, post = nengo.Node(np.ones(30)), nengo.Ensemble(3, 1)
        conn = connect(
            node, post.neurons, (3, 30), init=np.ones((3, 30)), redraw=redraw, seed=seed
        )
        conn.synapse = None
        probe = nengo.Probe(conn, "weights")
    return net, conn, probe


def test_redraw():
    net, conn, probe = redraw_network(0.005)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(0.02)
        masks = (sim.data[probe] != 0).any(axis=1)
        for k in range(4):
            window = masks[5 * k : 5 * k + 5]
            assert (window == window[0]).all()
            if k > 0:
                assert not np.array_equal(window[0], masks[5 * k - 1])
        data = sim.data[probe].copy()
        sim.reset(seed=5)
        sim.run(0.02)
        assert np.array_equal(sim.data[probe], data)

    # the first masks are those of the same connection without redraw
    conn.transform = npd.PermanentDropout((3, 30), init=np.ones((3, 30)))
    with nengo.Simulator(net, progress_bar=False) as sim:
        assert np.array_equal(sim.data[conn].weights, data[0])


def test_redraws_coincide_with_presentations():
    net, _, probe = redraw_network(0.003)
    with net:
        shown = nengo.Node(nengo.processes.PresentInput([[1], [2], [3]], 0.003))
        shown_probe = nengo.Probe(shown)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(0.009)
    masks = (sim.data[probe] != 0).any(axis=1)
    changes = np.flatnonzero((masks[1:] != masks[:-1]).any(axis=1))
    assert np.array_equal(changes, np.flatnonzero(np.diff(sim.data[shown_probe][:, 0])))


@pytest.mark.parametrize("simulator", ["nengo", "permadrop", "replicas", "dl", "loihi"])
@pytest.mark.parametrize("times", [{"redraw": 0.0125}, {"redraw_delay": 0.0004}])
def test_redraws_are_whole_time_steps(simulator, times):
    make = {
        "nengo": nengo.Simulator,
        "permadrop": npd.Simulator,
        "replicas": lambda net, **kwargs: npd.Simulator(net, n_replicas=2, **kwargs),
    }
    if simulator == "dl":
        make["dl"] = pytest.importorskip("nengo_dl").Simulator
        import nengo_permadrop.dl  # noqa: F401
    elif simulator == "loihi":
        make["loihi"] = pytest.importorskip("nengo_loihi").Simulator
    times = {"redraw": 0.01, **times}
    for gate in (False, True):
        with nengo.Network(seed=0) as net:
            if gate:
                neurons = nengo.Ensemble(5, 1).neurons
                gated = npd.networks.DropoutGate(neurons, redraw=times["redraw"])
                gated.redraw_every(times["redraw"], times.get("redraw_delay", 0.0))
            else:
                dropout = npd.PermanentDropout((5, 5), **times)
                node, post = nengo.Node(np.ones(5)), nengo.Node(size_in=5)
                nengo.Connection(node, post, transform=dropout, label="dropped")
                nengo.Probe(post)
                nengo.Ensemble(5, 1)  # for Loihi, which wants one on its chip
        with pytest.raises(ValidationError) as error:
            make[simulator](net, progress_bar=False)
        message = str(error.value)
        assert "whole number of time steps of 0.001 s" in message
        assert "nearest is 0.012 s" in message or "nearest is 0 s" in message
        assert ("MaskProcess" if gate else "dropped") in message
        assert next(reversed(times)) in message


def test_dropping_dimensions_warns():
    def network(pre, size_in, rate=0.5):
        with nengo.Network(seed=0) as net:
            ens, post = nengo.Ensemble(20, 4, label="ens"), nengo.Node(size_in=1)
            node = nengo.Node(size_in=4)
            nengo.Connection(ens, node)
            pre = {"ens": ens, "slice": ens[:4], "neurons": ens.neurons, "node": node}[
                pre
            ]
            init = np.ones((1, size_in))
            dropout = npd.PermanentDropout((1, size_in), init=init, rate=rate)
            nengo.Connection(pre, post, transform=dropout, label="dropped")
        return net

    makers = [nengo.Simulator, npd.Simulator]
    for make in makers:
        for pre in ("ens", "slice"):
            with pytest.warns(UserWarning, match="dropped.*dimensions.*4 inputs.*ens"):
                make(network(pre, 4), progress_bar=False).close()
        for args in (("neurons", 20), ("node", 4), ("ens", 4, 0.0)):
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)
                make(network(*args), progress_bar=False).close()


def test_equal_transforms_keep_masks_of_their_own():
    # equal frozen transforms are one dictionary key; state must go by connection
    with nengo.Network() as net:
        node, post = nengo.Node(np.ones(50)), nengo.Ensemble(1, 1)
        conns = [
            connect(
                node, post.neurons, (1, 50), init=np.ones((1, 50)), seed=s, redraw=1
            )
            for s in (1, 2)
        ]
        probes = [nengo.Probe(conn, "weights") for conn in conns]
    assert conns[0].transform == conns[1].transform
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(2)
        assert not np.array_equal(sim.data[probes[0]], sim.data[probes[1]])


def test_redraw_where_weights_are_constants_raises():
    dropout = npd.PermanentDropout((2, 2), redraw=0.1)
    with pytest.raises(BuildError, match="redrawn every 0.1 s"):
        dropout.sample(rng=np.random)
    assert dropout.sample().shape == dropout.shape  # to look at, as Nengo GUI does


def test_only_as_a_connections_transform():
    model = nengo.builder.Model()
    with pytest.raises(BuildError, match="transform of a connection"):
        model.build(npd.PermanentDropout((2, 2)), nengo.builder.Signal(np.zeros(2)))
