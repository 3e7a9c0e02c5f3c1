import logging

import nengo
import numpy as np
import pytest
from kmodels import mlp
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.backends.base import Replicas, get_backend
from nengo_permadrop.backends.nengo_loihi.runner import LoihiRunner
from nengo_permadrop.backends.problems import make_problem
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.execution.pool import process_pool

pytest.importorskip("nengo_loihi")
FAST = dict(
    backend="nengo_loihi",
    presentation_time=0.05,
    settle=0.03,
    n_draws=3,
    progress=False,
)
X = np.random.RandomState(0).randn(3, 6)


@pytest.fixture(scope="module")
def kmodel():
    return mlp(units=(20, 20, 20), rate=0.3, target="loihi")


@pytest.fixture(scope="module")
def conv(kmodel):
    return npd.Converter(kmodel, target="loihi")


def test_samples(conv):
    samples = npd.sample(conv, X, seed=4, **FAST)
    assert samples.values.shape == (3, 3, 1)
    assert np.unique(samples.values).size == 9
    assert samples.meta["cores"] == 2
    assert samples.meta["chip_neurons"] == 40 and samples.meta["host_neurons"] == 20
    assert samples.meta["chip_spikes_per_step"] > 0
    assert samples.meta["host_spikes_per_step"] > 0


def test_seed_fixes_samples_and_draws_do_not_depend_on_their_number(conv):
    three = npd.sample(conv, X, seed=4, **FAST)
    two = npd.sample(conv, X[:2], seed=4, **{**FAST, "n_draws": 2})
    assert np.array_equal(three.values[:2, :2], two.values)
    other = npd.sample(conv, X, seed=5, **FAST)
    assert not np.isclose(three.values, other.values).any()


def test_processes_give_the_same(conv):
    serial = npd.sample(conv, X, seed=4, **FAST)
    with process_pool(2) as executor:
        parallel = npd.sample(conv, X, seed=4, executor=executor, **FAST)
    assert np.array_equal(serial.values, parallel.values)


def test_a_draw_may_have_one_mask_for_all_observations(conv):
    same = np.repeat(X[:1], 3, axis=0)
    options = {**FAST, "presentation_time": 0.3}
    values = npd.sample(conv, same, masks="draw", **options).values
    within, between = values.std(axis=1).mean(), values.mean(axis=1).std()
    assert within < between / 3  # only the first layer's initial voltages


@pytest.mark.parametrize("n_layers", [2, 3])
def test_replicas_are_fresh_simulators(n_layers):
    """One build with rewritten weights gives what one build per replica gives."""
    kmodel = mlp(units=(12,) * n_layers, rate=0.4, target="loihi")
    conv = npd.Converter(kmodel, target="loihi")
    times = {"presentation_time": 0.05, "settle": 0.03}
    problem = make_problem(get_backend("nengo_loihi"), conv, X, **times)
    rows = [0, 2, 2], [5, 6, 6], [7, 8, 9]
    replicas = Replicas(*(np.array(row) for row in rows), problem.X)
    reused, fresh = (LoihiRunner(problem, reuse=reuse) for reuse in (True, False))
    assert np.array_equal(reused(replicas), fresh(replicas))


def test_replicas_have_the_masks_of_their_seeds(kmodel):
    """As a simulator that is built by hand, with connections of the derived seeds."""
    import nengo_loihi

    conv = npd.Converter(kmodel, target="loihi")
    times = {"presentation_time": 0.3, "settle": 0.1}
    problem = make_problem(get_backend("nengo_loihi"), conv, X, **times)
    mask_seeds = np.arange(6)
    zeros = np.zeros(6, dtype=int)
    answers = LoihiRunner(problem)(Replicas(zeros, mask_seeds, zeros, problem.X))[:, 0]
    expected = []
    for mask_seed in mask_seeds:
        with nengo.Network(seed=0) as net:
            by_hand = npd.Converter(kmodel, target="loihi", seed=0)
            by_hand.reseed(0)
            for dropout in by_hand.dropouts:
                for conn in dropout.connections:
                    conn.seed = derive_seed(conn.seed, mask_seed)
            nengo.Connection(nengo.Node(X[0]), by_hand.input, synapse=None)
            probe = nengo.Probe(by_hand.output)
        with nengo_loihi.Simulator(net, progress_bar=False) as sim:
            sim.run(0.3)
            expected.append(np.asarray(sim.data[probe])[100:].mean())
    # other initial voltages in the first layer
    assert np.corrcoef(answers, expected)[0, 1] > 0.99
    assert np.abs(answers - expected).max() < 0.3 * np.std(expected)


def test_draws_follow_those_of_the_reference(conv):
    """Draw by draw: correlated above 0.99, without bias, and of the same spread."""
    options = {**FAST, "presentation_time": 0.4, "settle": 0.1, "n_draws": 8}
    loihi = npd.sample(conv, X, **options)
    reference = npd.sample(conv, X, **{**options, "backend": "nengo"})
    a, b = (
        (samples.values - reference.mean()) / reference.std()
        for samples in (loihi, reference)
    )
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99
    assert abs((a - b).mean()) < 0.05
    assert 0.9 < a.std() / b.std() < 1.1


def test_distribution_is_that_of_the_classical_network(kmodel, conv):
    """No p-value under 0.01 / 4: one false alarm in a hundred."""
    X = np.random.RandomState(1).randn(4, 6)
    options = {**FAST, "presentation_time": 0.15, "n_draws": 40}
    loihi = npd.sample(conv, X, **options)
    classical = npd.sample(kmodel, X, n_draws=40, backend="keras", progress=False)
    assert npd.ks_agreement(loihi, classical).pvalue.min() >= 0.01 / 4


def test_plain_networks():
    with nengo.Network(seed=1) as net:
        a, b = (
            nengo.Ensemble(n, 1, label=label) for n, label in ((40, "a"), (20, "b"))
        )
        x = nengo.Node(size_in=1)
        nengo.Connection(x, a)
        weights = nengo.dists.Gaussian(0, 0.002)
        dropout = npd.PermanentDropout((20, 40), init=weights, rate=0.3)
        nengo.Connection(a.neurons, b.neurons, transform=dropout)
    samples = npd.sample(net, {x: [[0.5], [-0.5]]}, output=b.neurons, **FAST)
    assert samples.values.shape == (3, 2, 20)
    assert np.unique(samples.values[:, :, :].reshape(6, -1), axis=0).shape[0] == 6


def test_a_network_for_nengo_is_refused(kmodel):
    with pytest.warns(UserWarning, match="quantised rates of a chip"):
        conv = npd.Converter(kmodel)
    with pytest.raises(ValidationError, match="target='loihi'"):
        npd.sample(conv, X, **FAST)


def test_training_for_nengo_and_running_on_loihi_warns():
    with pytest.warns(UserWarning, match="'soft_lif.*learned with rates that Loihi"):
        npd.Converter(mlp(), target="loihi")


def test_options(conv):
    samples = npd.sample(conv, X[:1], backend_options={"target": "sim"}, **FAST)
    assert np.array_equal(samples.values, npd.sample(conv, X[:1], **FAST).values)
    with pytest.raises(ValidationError, match="no option boards; it has target"):
        npd.sample(conv, X, backend_options={"boards": 2}, **FAST)
    with pytest.raises(ValidationError, match="'sim' or 'loihi', got 'simulator'"):
        npd.sample(conv, X, backend_options={"target": "simulator"}, **FAST)


def test_what_it_needs_is_said_before_it_runs(conv, caplog):
    with caplog.at_level(logging.INFO, logger="nengo_permadrop"):
        npd.sample(conv, X[:1], **{**FAST, "n_draws": 1})
    said = [r.message for r in caplog.records if "of 128 cores" in r.message]
    assert len(said) == 1


def test_verified_with_loihis_curve(kmodel, conv):
    assert conv.verify(X) < 1e-4


@pytest.mark.filterwarnings("ignore:all draws of")  # of 10 units, with 3 draws
def test_study_trains_and_converts_for_loihi():
    from nengo_permadrop.study.run import study

    result = study(
        "diabetes",
        backend="nengo_loihi",
        n_draws=3,
        observations=2,
        epochs=1,
        model_options={"units": (10, 10)},
        workers=1,
        progress=False,
    )
    assert result.model.get_layer("hidden1_softlif").target == "loihi"
    assert result.samples_spiking.meta["cores"] == 1
    assert result.network["verification_error"] < 1e-4


def test_steps_in_which_the_chip_would_lose_spikes_raise(conv):
    with pytest.raises(ValidationError, match="spike twice in a time step of 0.002 s"):
        npd.sample(conv, X, dt=0.002, **FAST)
