"""Inputs that are dropped together, and those that are multiplied by noise."""

import pickle

import nengo
import numpy as np
import pytest
from batched_helpers import assert_replicas_match, layered_network
from nengo.exceptions import ValidationError
from scipy import stats

import nengo_permadrop as npd
from nengo_permadrop.calibration.bypass import with_weights
from nengo_permadrop.dropout.masks import keep_mask, mask_key, scale_factors
from nengo_permadrop.dropout.processes import MaskProcess
from nengo_permadrop.sampling.single_run import let_masks_travel
from nengo_permadrop.support.digest import digest

GROUPS = np.array([2, 0, 0, 7, 2, 2, 7, 0])
GAUSSIAN = {"noise": "gaussian"}


def keys(n, seed=0):
    return np.array([mask_key(np.random.RandomState(seed + i)) for i in range(n)])


def channels(size_in):
    """Groups of three inputs each that don't lie side by side."""
    return np.arange(size_in) % max(1, size_in // 3)


def grouped(size_in):
    return {"groups": channels(size_in)}


def gaussian(size_in):
    return GAUSSIAN


def both(size_in):
    return {**GAUSSIAN, **grouped(size_in)}


# masks


def test_units_of_a_group_share_the_number_of_the_group():
    whole = keep_mask(keys(20), 8, 0.5, redraw_index=3)
    masks = keep_mask(keys(20), 8, 0.5, redraw_index=3, groups=GROUPS)
    assert np.array_equal(masks, whole[:, GROUPS])
    # numbers need not follow each other, nor be small
    far = keep_mask(keys(20), 8, 0.5, groups=GROUPS + 2**40)
    assert far.shape == (20, 8) and np.array_equal(far[:, 0], far[:, 4])


def test_groups_of_one_change_nothing():
    options = {"redraw_index": 1, "groups": np.arange(8)}
    assert np.array_equal(
        keep_mask(keys(5), 8, 0.3, **options), keep_mask(keys(5), 8, 0.3, 1)
    )
    for noise in ("bernoulli", "gaussian"):
        assert np.array_equal(
            scale_factors(keys(5), 8, 0.3, noise=noise, **options),
            scale_factors(keys(5), 8, 0.3, 1, noise=noise),
        )


def test_known_factors():
    # pinned: published seeds must keep their noise from version to version
    key = mask_key(np.random.RandomState(1))
    factors = scale_factors(key, 3, 0.2, noise="gaussian")
    known = [1.2767570707980829, 0.4172364577862189, 1.653386290544522]
    assert np.allclose(factors, known, rtol=1e-14, atol=0)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_gaussian_noise_is_normal(rate):
    # a Kolmogorov-Smirnov test each of 2: they alarm falsely with p = 2e-4 together
    factors = scale_factors(keys(100), 300, rate, noise="gaussian")
    deviation = np.sqrt(rate / (1 - rate))
    assert stats.kstest(factors.ravel(), stats.norm(1, deviation).cdf).pvalue > 1e-4


def test_noise_is_independent_between_keys_redraws_and_units():
    # correlations of n pairs are normal with sd 1 / sqrt(n) for independent noise; 3
    # tests at 5 sd, so a false alarm has p = 2e-6
    noise = scale_factors(keys(100), 400, 0.5, noise="gaussian")
    redrawn = scale_factors(keys(100), 400, 0.5, redraw_index=1, noise="gaussian")
    for a, b in (
        (noise[:-1], noise[1:]),
        (noise, redrawn),
        (noise[:, :-1], noise[:, 1:]),
    ):
        a, b = a.ravel(), b.ravel()
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(a.size)


def test_groups_are_independent_of_each_other():
    # as above, 1 test at 5 sd: p = 6e-7
    groups = np.repeat(np.arange(200), 2)
    masks = keep_mask(keys(200), 400, 0.5, groups=groups).astype(float)
    a, b = masks[:, 1:-1:2].ravel(), masks[:, 2::2].ravel()
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(a.size)


# the transform


def test_weights_of_a_group_and_of_noise():
    weights = np.arange(1.0, 25).reshape(3, 8)
    rng = np.random.RandomState(4)
    factors = scale_factors(mask_key(rng), 8, 0.3, groups=GROUPS, noise="gaussian")
    dropout = npd.PermanentDropout(
        (3, 8), weights, 0.3, None, GROUPS.tolist(), "gaussian"
    )
    sampled = dropout.sample(rng=np.random.RandomState(4))
    assert np.allclose(sampled, weights * factors)
    assert np.unique(factors).size == 3


def test_equality_hash_pickles_digests_and_copies():
    kinds = [
        npd.PermanentDropout((3, 8), np.ones((3, 8)), **kwargs)
        for kwargs in (
            {},
            {"groups": GROUPS},
            {"groups": GROUPS + 1},
            GAUSSIAN,
            {"groups": GROUPS, **GAUSSIAN},
        )
    ]
    assert len({digest(each) for each in kinds}) == len(kinds)
    for i, each in enumerate(kinds):
        same = pickle.loads(pickle.dumps(each))
        assert same == each and hash(same) == hash(each)
        assert not any(each == other for other in kinds[i + 1 :])
        changed = each.replaced(init=np.zeros((2, 8)), redraw=0.1)
        assert changed.shape == (2, 8) and changed.redraw == 0.1
        assert changed.noise == each.noise
        assert np.array_equal(changed.groups, each.groups)
    assert "groups=<3 groups>, noise='gaussian'" in repr(kinds[-1])


@pytest.mark.parametrize(
    "options, attr",
    [
        ({"groups": [0, 1]}, "groups"),
        ({"groups": np.zeros((8, 1), int)}, "groups"),
        ({"groups": [0.5] * 8}, "groups"),
        ({"groups": [-1] * 8}, "groups"),
        ({"groups": np.full(8, 2**63, dtype=np.uint64)}, "groups"),
        ({"noise": "uniform"}, "noise"),
    ],
)
def test_arguments_out_of_range(options, attr):
    with pytest.raises(ValidationError, match=attr) as error:
        npd.PermanentDropout((3, 8), np.ones((3, 8)), **options)
    assert error.value.attr == attr


# backends


@pytest.mark.parametrize("options", [grouped, gaussian, both])
@pytest.mark.parametrize("redraw", [None, 0.01])
def test_batched_replicas_are_the_references(options, redraw):
    assert_replicas_match(layered_network(redraw=redraw, options=options))


@pytest.mark.parametrize("options", [grouped, both])
def test_kernels_and_steps_agree(options):
    """With a Node that is dropped, which kernels run with noise, too."""
    net = layered_network(options=grouped, redraw=0.01)
    with net:
        source = nengo.Node(np.linspace(1, 2, 6))
        transform = npd.PermanentDropout(
            (2, 6),
            np.random.RandomState(0).randn(2, 6),
            rate=0.4,
            redraw=0.01,
            **options(6),
        )
        nengo.Connection(source, net.output, transform=transform, synapse=None)
    planned, stepped = (
        npd.Simulator(
            net, 3, seed=2, optimize=optimize, dtype="float64", progress_bar=False
        )
        for optimize in (True, False)
    )
    assert planned.plan is not None, planned.fallback_reason
    for sim in (planned, stepped):
        sim.run_steps(40)
    values, expected = (sim.data[net.probe] for sim in (planned, stepped))
    assert np.ptp(expected, axis=0).min() > 0
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12)
    assert planned.replica_bytes > 0


def test_noise_on_spikes_is_run_by_steps():
    with npd.Simulator(layered_network(options=gaussian), 2, progress_bar=False) as sim:
        assert sim.plan is None and "multiplies spikes" in sim.fallback_reason


@pytest.mark.parametrize("options", [grouped, gaussian, both])
@pytest.mark.parametrize("redraw", [None, 0.01])
def test_nengo_dl_has_the_same_draws(options, redraw):
    pytest.importorskip("nengo_dl")
    net = layered_network(n=(20, 9), redraw=redraw, options=options)
    samples = [
        npd.sample(
            net,
            {net.stimulus: np.ones((2, 4))},
            output=net.output,
            n_draws=3,
            backend=backend,
            presentation_time=0.03,
            settle=0.0,
            progress=False,
        ).values
        for backend in ("nengo", "batched", "nengo_dl")
    ]
    assert samples[0].std() > 0.01
    for other in samples[1:]:
        np.testing.assert_allclose(other, samples[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("options", [grouped, gaussian, both])
def test_nengo_loihi_has_the_same_weights(options):
    nengo_loihi = pytest.importorskip("nengo_loihi")
    net = layered_network(n=(12, 9), synapse=nengo.Lowpass(0.005), options=options)
    nengo_loihi.add_params(net)
    net.config[net.layers[0]].on_chip = False
    for layer in net.layers:
        layer.neuron_type = nengo_loihi.LoihiLIF(amplitude=0.01)
    kwargs = dict(
        output=net.output,
        n_draws=4,
        presentation_time=0.2,
        settle=0.1,
        progress=False,
    )
    X = {net.stimulus: np.ones((1, 4))}
    chip = npd.sample(net, X, backend="nengo_loihi", **kwargs).values.ravel()
    own = npd.sample(net, X, backend="nengo", **kwargs).values.ravel()
    # weights and times are rounded on the chip: draws by other masks differ by far more
    assert np.abs(chip - own).max() < 0.2 * np.abs(own - np.roll(own, 2)).max()


# what copies transforms


def test_what_changes_weights_or_times_keeps_the_kind():
    net = layered_network(options=both)
    for conn in net.all_connections:
        if isinstance(conn.transform, npd.PermanentDropout):
            other = with_weights(conn.transform, np.zeros((7, conn.size_in)))
            assert other.shape == (7, conn.size_in)
            assert other.noise == "gaussian"
            assert np.array_equal(other.groups, channels(conn.size_in))


def test_single_runs_keep_the_kind():
    net = layered_network(options=both)
    let_masks_travel(net, 0.1)
    found = [
        conn.transform
        for conn in net.all_connections
        if isinstance(conn.transform, npd.PermanentDropout)
    ]
    assert len(found) == 3
    for transform in found:
        assert transform.redraw == 0.1 and transform.noise == "gaussian"
        assert np.array_equal(transform.groups, channels(transform.size_in))


def test_mask_process_and_gate_take_groups():
    process = MaskProcess(8, 0.5, None, seed=3, groups=GROUPS)
    signal = process.reseeded(5).run_steps(1)[0]
    key = mask_key(np.random.RandomState(5))
    assert np.array_equal(signal == 0, keep_mask(key, 8, 0.5, groups=GROUPS))
    with nengo.Network():
        neurons = nengo.Ensemble(8, 1).neurons
        gate = npd.networks.DropoutGate(neurons, redraw=0.1, seed=5, groups=GROUPS)
    assert np.array_equal(gate.node.output.groups, GROUPS)
    gate.redraw_every(0.2, delay=0.01)
    gate.reseed(3)
    assert np.array_equal(gate.node.output.groups, GROUPS)
    with pytest.raises(ValidationError, match="groups"), nengo.Network():
        npd.networks.DropoutGate(nengo.Ensemble(8, 1).neurons, groups=[1])


def test_decoders_know_groups(rng):
    """They are best on average over masks of groups, by brute force."""
    activities = rng.uniform(0, 100, size=(60, 6))
    targets = rng.uniform(-1, 1, size=(60, 1))
    groups, rate = [0, 1, 1, 2, 0, 2], 0.3
    solver = npd.networks.DropoutL2(rate, reg=0.0, groups=groups)
    decoders, _ = solver(activities, targets)

    def error(decoders):
        total = 0.0
        for bits in np.ndindex(2, 2, 2):
            share = np.prod([1 - rate if bit else rate for bit in bits])
            kept = np.array(bits)[groups] / (1 - rate)
            difference = (activities * kept) @ decoders - targets
            total += share * np.sum(difference**2)
        return total

    least = error(decoders)
    for _ in range(20):
        assert error(decoders + 1e-4 * rng.randn(6, 1)) > least
    plain, _ = npd.networks.DropoutL2(rate, reg=0.0)(activities, targets)
    assert error(plain) > least * 1.001


@pytest.mark.parametrize("noise", ["bernoulli", "gaussian"])
def test_decoded_connections_take_kinds(noise):
    groups = np.arange(20) // 4
    with nengo.Network(seed=0):
        ens, out = nengo.Ensemble(20, 1), nengo.Node(size_in=1)
        conn = npd.networks.connect_dropped(
            ens, out, rate=0.2, groups=groups, noise=noise
        )
        with pytest.raises(ValidationError, match="groups"):
            npd.networks.connect_dropped(ens, out, rate=0.2, groups=[1])
    assert conn.transform.noise == noise
    assert np.array_equal(conn.transform.groups, groups)
