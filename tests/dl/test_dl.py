"""Dropout and SoftLIF on NengoDL: simulation, training, and trained parameters."""

import warnings

import nengo
import numpy as np
import pytest

import nengo_permadrop as npd
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.dropout.transforms import PermanentDropout

nengo_dl = pytest.importorskip("nengo_dl")
tf = pytest.importorskip("tensorflow")

from nengo_permadrop import dl  # noqa: E402

RATE = 0.4
pytestmark = pytest.mark.filterwarnings("ignore:No GPU support")


def simulator(net, **kwargs):
    return nengo_dl.Simulator(net, progress_bar=False, **kwargs)


def softlif(n, **kwargs):
    """SoftLIF neurons as the recipe has them."""
    return nengo.Ensemble(
        n,
        1,
        neuron_type=npd.SoftLIF(amplitude=0.01, **kwargs),
        gain=np.full(n, 2.0),
        bias=np.ones(n),
    ).neurons


def network(redraw=None, init=None, seed=0):
    """5 inputs, 2 hidden layers with dropout, 3 outputs; all of rate neurons."""
    rng = np.random.RandomState(seed)

    def dropout(size_out, size_in):
        weights = rng.randn(size_out, size_in) / np.sqrt(size_in)
        return PermanentDropout((size_out, size_in), weights, RATE, redraw)

    with nengo.Network(seed=seed) as net:
        net.stimulus = nengo.Node(np.linspace(-1, 1, 5), label="stimulus")
        a, b = softlif(16), softlif(12, gamma=0.05)
        out = nengo.Node(size_in=3)
        nengo.Connection(
            net.stimulus, a, transform=rng.randn(16, 5) * 0.5, synapse=None
        )
        net.dropouts = [
            nengo.Connection(a, b, transform=dropout(12, 16), synapse=None, seed=8),
            nengo.Connection(b, out, transform=dropout(3, 12), synapse=None, seed=9),
        ]
        net.probe = nengo.Probe(out)
    return net


def reference(net, steps=1):
    """The probe's values on the reference simulator, ``(steps, outputs)``."""
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(steps)
        return sim.data[net.probe]


def relays(*dropouts, n_items, **kwargs):
    """A simulator whose probes give the scales of dropouts: 0 or ``1 / (1 - rate)``."""
    with nengo.Network(seed=0) as net:
        ones = nengo.Node(np.ones(dropouts[0][0].size_in))
        for transform, seed in dropouts:
            out = nengo.Node(size_in=transform.size_out)
            nengo.Connection(ones, out, transform=transform, synapse=None, seed=seed)
            nengo.Probe(out)
    return simulator(net, minibatch_size=n_items, **kwargs)


def scales(sim, training, steps=1):
    """What the probes of `relays` give, ``(items, steps, units)`` each."""
    n_units = sim.keras_model.inputs[0].shape[-1]
    inputs = [
        tf.ones((sim.minibatch_size, steps, n_units)),
        tf.fill((sim.minibatch_size, 1), steps),
    ]
    outputs = sim.keras_model(inputs, training=training)
    return [output.numpy() for output in outputs[:-1]]


# SoftLIF


@pytest.mark.parametrize("amplitude", [1, 0.01])
def test_softlif_step_is_numpys(amplitude):
    currents = np.concatenate([np.linspace(-80, 20, 401), np.linspace(0.9, 1.1, 101)])
    n = len(currents)
    with nengo.Network() as net:
        probes = []
        for gamma, tau_rc, tau_ref in ((0.02, 0.02, 0.002), (0.1, 0.05, 0.004)):
            neurons = nengo.Ensemble(
                n,
                1,
                neuron_type=npd.SoftLIF(gamma, tau_rc, tau_ref, amplitude),
                gain=np.ones(n),
                bias=currents,
            ).neurons
            probes.append(nengo.Probe(neurons))
    with simulator(net) as sim, nengo.Simulator(net, progress_bar=False) as expected:
        sim.run_steps(1)
        expected.run_steps(1)
        for probe in probes:
            values = expected.data[probe]
            assert values.max() > 100 * values.min() > 0
            assert np.allclose(sim.data[probe], values, rtol=1e-5, atol=0)


def test_softlif_runs_in_tensorflow():
    with nengo.Network() as net:
        softlif(3)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*native TensorFlow implementation")
        simulator(net).close()


def test_gradients_are_finite():
    net = network()
    x = np.array([-1e4, -100, -1, 0, 1, 100, 1e4]).repeat(5).reshape(7, 1, 5)
    with simulator(net, minibatch_size=7) as sim:
        with tf.GradientTape() as tape:
            y, _ = sim.keras_model(
                [tf.constant(x, tf.float32), tf.ones((7, 1), "int32")]
            )
        gradients = tape.gradient(y, sim.keras_model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert any(np.any(gradient) for gradient in gradients)


# simulating


def test_equals_the_reference():
    net = network()
    with simulator(net, minibatch_size=2) as sim:
        sim.run_steps(2)
        assert np.allclose(sim.data[net.probe], reference(net, 2), atol=1e-5)


def test_decoded_connection_equals_the_reference():
    with nengo.Network(seed=1) as net:
        a = nengo.Ensemble(30, 3, neuron_type=npd.SoftLIF())
        b = nengo.Ensemble(20, 2, neuron_type=npd.SoftLIF())
        nengo.Connection(nengo.Node([0.5, -0.3, 0.7]), a, synapse=None)
        dropout = PermanentDropout((2, 3), init=nengo.dists.Uniform(-1, 1), rate=0.4)
        solver = nengo.solvers.LstsqL2(weights=True)
        for kwargs in ({}, {"solver": solver}):
            nengo.Connection(a, b, transform=dropout, synapse=None, **kwargs)
        net.probe = nengo.Probe(b)
    with simulator(net) as sim:
        sim.run_steps(3)
        assert np.allclose(sim.data[net.probe], reference(net, 3), atol=1e-4)


def test_what_is_trained_has_no_mask():
    net = network()
    with simulator(net) as sim:
        for conn in net.dropouts:
            base = conn.transform.init.base
            assert np.allclose(sim.data[conn].weights, base)
            assert sim.model.sig[conn]["weights"].trainable


def test_masks_of_items():
    net = network()
    mask_seeds = [5, 6, 5]
    with simulator(net, minibatch_size=3) as sim:
        dl.set_masks(sim, mask_seeds)
        sim.run_steps(1)
        items = sim.data[net.probe][:, 0]
        # neither a prediction, which resets the state, nor a reset forgets them
        for _ in range(2):
            predicted = sim.predict(n_steps=1)[net.probe][:, 0]
        assert np.array_equal(predicted, items)
        sim.reset()
        sim.run_steps(1)
        assert np.array_equal(sim.data[net.probe][:, 0], items)
        dl.set_masks(sim, None)
        sim.run_steps(1)
        own = sim.data[net.probe][:, -1]
    assert np.allclose(own, reference(net), atol=1e-5)
    assert np.array_equal(items[0], items[2])
    assert not np.allclose(items[0], items[1], atol=0.01)
    seeds = [conn.seed for conn in net.dropouts]
    for mask_seed, item in zip(mask_seeds, items):
        for conn, seed in zip(net.dropouts, seeds):
            conn.seed = derive_seed(seed, mask_seed)
        assert np.allclose(item, reference(net)[0], atol=1e-5)


def test_items_of_a_minibatch_share_masks_until_they_are_told_apart():
    """As docs/live.rst has it: values of their own, of masks that are not."""
    with nengo.Network(seed=0) as net:
        stimulus, target = nengo.Node(np.ones(20)), nengo.Node(size_in=1)
        init = np.random.RandomState(0).randn(1, 20)
        dropout = PermanentDropout((1, 20), init, rate=0.5, redraw=0.002)
        nengo.Connection(stimulus, target, transform=dropout, synapse=None)
        live = npd.LiveDistribution(target, window=0.002)
        probe = nengo.Probe(live.value)
    with simulator(net, minibatch_size=3) as sim:
        sim.run_steps(10)
        data = sim.data[probe][:, -1, 0]
        assert (data == data[0]).all()
        dl.set_masks(sim, range(3))
        sim.run_steps(10)
        assert len(np.unique(sim.data[probe][:, -1, 0])) == 3


def test_dropping_dimensions_warns():
    with nengo.Network(seed=0) as net:
        ens, post = nengo.Ensemble(10, 2, label="ens"), nengo.Node(size_in=2)
        conn = nengo.Connection(ens, post, transform=PermanentDropout((2, 2)))
        nengo.Probe(post)
    with pytest.warns(UserWarning, match="drops dimensions.*2 inputs"):
        simulator(net).close()
    conn.transform = PermanentDropout((2, 2), rate=0.0)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*drops dimensions")
        simulator(net).close()


def test_masks_need_a_seed_an_item():
    with simulator(network(), minibatch_size=3) as sim:
        with pytest.raises(nengo.exceptions.ValidationError, match="3 items"):
            dl.set_masks(sim, [1, 2])
    with nengo.Network() as net:
        nengo.Ensemble(5, 1)
    with simulator(net) as sim:
        with pytest.raises(nengo.exceptions.ValidationError, match="no permanent"):
            dl.set_masks(sim, [1])


def test_only_state_of_items_has_initial_values():
    net = network()
    with simulator(net) as sim:
        signals = sim.model.sig[net.dropouts[0]]
        for signal in (signals["weights"], sim.model.step, signals["weighted"]):
            with pytest.raises(nengo.exceptions.ValidationError, match="each item"):
                dl.set_initial(sim, {signal: np.zeros(signal.shape)})


KINDS = {
    "groups": {"groups": np.arange(12) % 4},
    "gaussian": {"noise": "gaussian"},
    "both": {"groups": np.arange(12) % 4, "noise": "gaussian"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_training_draws_groups_and_noise(kind):
    # means and variances of n numbers a batch: 2 tests at 5 sd of each of 3 kinds and 2
    # batches, a false alarm has p = 7e-6
    dropout = PermanentDropout((12, 12), 1.0, 0.2, **KINDS[kind])
    with relays((dropout, 3), (dropout, 3), n_items=2000) as sim:
        batches = [scales(sim, training=True) for _ in range(2)]
    n = 2000 * (4 if "groups" in KINDS[kind] else 12)
    for first, second in batches:
        assert np.array_equal(first, second)  # of one key
        values = first[:, 0]
        if "groups" in KINDS[kind]:
            assert np.array_equal(values, np.tile(values[:, :4], 3))
            assert (
                np.abs(np.corrcoef(values[:, :4].T) - np.eye(4)).max() < 5 / 2000**0.5
            )
            values = values[:, :4]
        variance = 0.2 / 0.8
        assert abs(values.mean() - 1) < 5 * np.sqrt(variance / n)
        fourth = 3 * variance**2 if "noise" in KINDS[kind] else 0.205
        assert abs(values.var() - variance) < 5 * np.sqrt((fourth - variance**2) / n)
        n_different = np.unique(values).size
        assert (n_different > 1000) if "noise" in KINDS[kind] else n_different == 2
    assert not np.array_equal(batches[0][0], batches[1][0])


@pytest.mark.parametrize("kind", KINDS)
def test_trained_parameters_keep_the_kind(kind):
    with nengo.Network(seed=0) as net:
        pre, post = softlif(12), softlif(3)
        dropout = PermanentDropout((3, 12), np.ones((3, 12)), 0.2, **KINDS[kind])
        conn = nengo.Connection(pre, post, transform=dropout)
        nengo.Probe(post)
    with simulator(net) as sim:
        sim.freeze_params(net)
    assert conn.transform is not dropout
    assert conn.transform == dropout


@pytest.mark.parametrize("redraw", [0.007, 0.001, 3 * 0.001])
def test_redraw_at_the_references_steps(redraw):
    # 90 steps: 7 ms are soon misplaced by the time in float32
    net = network(redraw=redraw)
    expected = reference(net, 90)
    assert len(np.unique(expected[:, 0])) > 5
    with simulator(net) as sim:
        sim.run_steps(90)
        assert np.allclose(sim.data[net.probe], expected, atol=1e-5)
        sim.reset()
        for steps in (1, 11, 78):
            sim.run_steps(steps)
        assert np.allclose(sim.data[net.probe], expected, atol=1e-5)
        dl.set_masks(sim, [4])
        sim.run_steps(90)
        items = sim.data[net.probe][-90:]
    for conn in net.dropouts:
        conn.seed = derive_seed(conn.seed, 4)
    assert np.allclose(items, reference(net, 90), atol=1e-5)
    assert not np.allclose(items, expected, atol=0.01)


def test_learning_rule_is_an_error():
    with nengo.Network() as net:
        a, b = nengo.Ensemble(5, 1), nengo.Ensemble(5, 1)
        nengo.Connection(
            a, b, transform=PermanentDropout((1, 1)), learning_rule_type=nengo.PES()
        )
    with pytest.raises(nengo.exceptions.ValidationError, match="learning rule"):
        simulator(net)


# training


def test_training_takes_new_masks_for_every_item_and_batch():
    n_items, n = 20, 100
    with relays((PermanentDropout((n, n), rate=RATE), 3), n_items=n_items) as sim:
        (fixed,) = scales(sim, training=False)
        first, second = (scales(sim, training=True)[0][:, 0] for _ in range(2))
    assert np.ptp(fixed, axis=0).max() == 0  # simulation: the connection's mask
    masks = np.concatenate([first, second]) > 0
    assert np.allclose(first[first > 0], 1 / (1 - RATE))
    assert len(np.unique(masks, axis=0)) == 2 * n_items
    # units are independent between items and batches: all three bounds are 5 standard
    # deviations of binomial counts, false alarms in less than one of a million
    kept = masks.mean()
    assert abs(kept - (1 - RATE)) < 5 * np.sqrt(RATE * (1 - RATE) / masks.size)
    both = (masks[:-1] & masks[1:]).mean()
    p = (1 - RATE) ** 2
    assert abs(both - p) < 5 * np.sqrt(2 * p * (1 - p) / masks[1:].size)
    assert abs((masks[:n_items] & masks[n_items:]).mean() - p) < 5 * np.sqrt(
        p * (1 - p) / (n_items * n)
    )


def test_every_batch_of_fit_has_new_masks():
    n = 100
    y = np.random.RandomState(0).uniform(size=(1, 1, n))  # a loss tells masks apart
    with relays((PermanentDropout((n, n), rate=RATE), 3), n_items=1) as sim:
        losses = []
        for _ in range(2):  # compiling again, too, goes on with new masks
            sim.compile(loss="mse", optimizer=tf.optimizers.SGD(0.0))
            for _ in range(2):
                fit = sim.fit(np.ones((1, 1, n)), y, epochs=3, verbose=0)
                losses.extend(fit.history["loss"])
    assert len(np.unique(losses)) == 12


def test_connections_of_one_layer_share_masks_in_training():
    transform = PermanentDropout((50, 50), rate=RATE)
    other = PermanentDropout((50, 50), init=np.eye(50)[::-1], rate=RATE)
    with relays((transform, 3), (other, 3), (transform, 4), n_items=4) as sim:
        a, b, c = scales(sim, training=True)
    assert np.array_equal(a, b[:, :, ::-1])
    assert not np.array_equal(a, c)


def test_training_masks_last_for_a_presentation():
    for redraw, n_masks in ((None, 1), (0.002, 3)):
        transform = PermanentDropout((50, 50), rate=RATE, redraw=redraw)
        with relays((transform, 3), n_items=2) as sim:
            (values,) = scales(sim, training=True, steps=6)
        assert len(np.unique(values[0], axis=0)) == n_masks
        if redraw is not None:
            assert np.array_equal(values[:, 0], values[:, 1])
            assert not np.array_equal(values[:, 1], values[:, 2])


def test_gradient_flows_through_kept_weights_only():
    n = 30
    with relays((PermanentDropout((n, n), rate=RATE), 3), n_items=1) as sim:
        (weights,) = sim.keras_model.trainable_variables
        with tf.GradientTape() as tape:
            scale, _ = sim.keras_model(
                [tf.ones((1, 1, n)), tf.ones((1, 1), "int32")], training=True
            )
        gradient = tape.gradient(scale, weights).numpy()
    kept = scale.numpy().ravel() > 0
    assert 0 < kept.sum() < n
    assert np.allclose(gradient, np.where(kept, 1 / (1 - RATE), 0.0))


@pytest.fixture(scope="module")
def trained():
    """A trained network, its loss per epoch, and its answers on NengoDL."""
    rng = np.random.RandomState(1)
    x = rng.uniform(-1, 1, size=(256, 1, 5)).astype(np.float32)
    y = np.stack([x.sum(axis=-1), x[..., 0] * 2, x[..., 1] ** 2], axis=-1)
    net = network()
    initial = [conn.transform.init.base.copy() for conn in net.dropouts]
    with simulator(net, minibatch_size=32, seed=0) as sim:
        sim.compile(loss="mse", optimizer=tf.optimizers.Adam(0.01))
        history = sim.fit(x, y, epochs=30, verbose=0).history["loss"]
        sim.freeze_params(net)
        answers = sim.predict(n_steps=2)[net.probe][0]
    return net, history, answers, initial


def test_training_reduces_the_loss(trained):
    _, history, _, _ = trained
    assert history[-1] < 0.6 * history[0]


def test_frozen_network_keeps_its_dropout(trained):
    net, _, answers, initial = trained
    for conn, weights in zip(net.dropouts, initial):
        assert type(conn.transform) is PermanentDropout
        assert conn.transform.rate == RATE
        base = conn.transform.init.base
        # all columns were trained, also those that this simulator's masks drop
        assert np.all(np.abs(base - weights).max(axis=0) > 1e-3)
    assert np.allclose(reference(net, 2), answers, atol=1e-4)


def test_trained_network_samples_with_spiking_neurons(trained):
    net, _, _, _ = trained
    net = net.copy()
    for ensemble in net.all_ensembles:
        ensemble.neuron_type = npd.spiking(ensemble.neuron_type)
    for conn in net.all_connections:
        if isinstance(conn.pre_obj, nengo.ensemble.Neurons):
            conn.synapse = nengo.Alpha(0.005)
    (stimulus,) = (node for node in net.nodes if node.label == "stimulus")
    (output,) = (node for node in net.nodes if node is not stimulus)
    x = np.random.RandomState(2).uniform(-1, 1, size=(4, 5))
    a, b = (
        npd.sample(
            net, {stimulus: x}, 10, backend=backend, output=output, progress=False
        ).values
        for backend in ("nengo", "nengo_dl")
    )
    assert np.allclose(a, b, atol=1e-3)
    assert a.std(axis=0).min() > 0.01


# parameters


def test_parameters_keep_redraw_in_every_form():
    net = network(redraw=0.01)
    conn = net.dropouts[0]
    conn.label = "conn"
    with simulator(net) as sim:
        alone = sim.get_nengo_params(conn)
        (listed,) = sim.get_nengo_params([conn])
        named = sim.get_nengo_params([conn], as_dict=True)
    for params in (alone, listed, named["conn"]):
        assert repr(params["transform"]) == repr(conn.transform)
        assert np.allclose(params["transform"].init.base, conn.transform.init.base)


def test_parameters_of_decoded_connection():
    with nengo.Network(seed=1) as net:
        a = nengo.Ensemble(30, 3, neuron_type=npd.SoftLIF())
        out = nengo.Node(size_in=2)
        nengo.Connection(nengo.Node([0.5, -0.3, 0.7]), a, synapse=None)
        dropout = PermanentDropout((2, 3), init=np.ones((2, 3)), rate=0.4)
        conn = nengo.Connection(
            a, out, function=np.sin, transform=dropout, synapse=None, seed=5
        )
        net.probe = nengo.Probe(out)
    expected = reference(net, 2)
    with simulator(net) as sim:
        sim.freeze_params(net)
    assert isinstance(conn.transform, PermanentDropout)
    assert np.allclose(reference(net, 2), expected, atol=1e-4)


def test_parameters_that_contain_encoders_are_an_error():
    with nengo.Network(seed=1) as net:
        a, b = nengo.Ensemble(10, 2), nengo.Ensemble(10, 2)
        nengo.Connection(
            a,
            b,
            transform=PermanentDropout((2, 2)),
            solver=nengo.solvers.LstsqL2(weights=True),
        )
    with simulator(net) as sim:
        with pytest.raises(nengo.exceptions.ValidationError, match="encoders"):
            sim.freeze_params(net)


# installing


@pytest.fixture
def uninstalled():
    dl.uninstall()
    yield
    dl.install()


def test_install_is_idempotent():
    builders = dict(nengo_dl.builder.NengoBuilder.builders)
    method = nengo_dl.Simulator.get_nengo_params
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dl.install()
    assert nengo_dl.builder.NengoBuilder.builders == builders
    assert nengo_dl.Simulator.get_nengo_params is method


def test_without_it_masks_are_constant_and_a_warning_says_so(uninstalled):
    net = network()
    with pytest.warns(UserWarning, match="import nengo_permadrop.dl"):
        sim = simulator(net)
    with sim:
        sim.run_steps(2)
        assert np.allclose(sim.data[net.probe], reference(net, 2), atol=1e-5)
        dl.install()  # too late for this simulator
        with pytest.raises(nengo.exceptions.ValidationError, match="masked weights"):
            sim.freeze_params(net)
