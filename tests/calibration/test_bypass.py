"""Connections past layers of neurons, which a fit of weights can use."""

import nengo
import numpy as np
import pytest

import nengo_permadrop as npd
from nengo_permadrop.calibration import weights
from nengo_permadrop.calibration.bypass import add_bypass, remove_bypass
from nengo_permadrop.calibration.weights import copy_weights, fit_weights
from nengo_permadrop.converter.meanfield.model import MeanField
from nengo_permadrop.converter.twins import rate_twin
from nengo_permadrop.keras_layers import PermanentDropout, SoftLIF, keras
from nengo_permadrop.support.isolation import own_network

layers = keras.layers


def hidden(x, units, rate=0.2):
    dense = layers.Dense(units, kernel_initializer="he_normal")(x)
    return PermanentDropout(rate)(SoftLIF()(dense))


def model(units=(20, 15, 10), n_outputs=2):
    keras.utils.set_random_seed(0)
    x = inp = keras.Input((4,), name="x")
    for n in units:
        x = hidden(x, n)
    return keras.Model(inp, layers.Dense(n_outputs)(x))


def rows(n, n_inputs=4):
    return np.random.RandomState(1).uniform(-1, 1, size=(n, n_inputs))


def ways(conv):
    """Label of the ensemble, and of the output, of each connection that was added."""
    return [(c.pre_obj.ensemble.label, c.post_obj.label) for c in conv.bypass]


def test_all_layers_but_the_last_get_one_with_their_own_masks():
    conv = npd.Converter(model(), seed=3, neurons="rate")  # no random voltages
    X = rows(3)
    options = dict(n_draws=4, seed=1, progress=False)
    before = npd.sample(conv, X, **options).values
    own = list(conv.connections)
    add_bypass(conv)
    labels = [ensemble.label for ensemble in conv.ensembles]
    assert ways(conv) == [(label, conv.output.label) for label in labels[:2]]
    assert [c for c in conv.connections if c not in own] == conv.bypass
    for dropout, conn in zip(conv.dropouts, conv.bypass):
        (mask,) = dropout.masks
        assert mask.connections[-1] is conn and conn.seed == mask.seed
        assert conn.transform.rate == 0.2
        assert not conn.transform.init.base.any()
    # weights of 0 change nothing
    assert npd.sample(conv, X, **options).values == pytest.approx(before, abs=1e-6)
    conv.reseed(11)
    for mask in (mask for dropout in conv.dropouts for mask in dropout.masks):
        assert {conn.seed for conn in mask.connections} == {mask.seed}
    remove_bypass(conv)
    assert conv.connections == own and not conv.bypass
    assert all(len(d.connections) == 1 for d in conv.dropouts)


def test_what_comes_through_it_has_the_masks_of_its_layer():
    conv = npd.Converter(model((12, 8), 1), seed=3)
    add_bypass(conv)
    (conn,) = conv.bypass
    init = np.random.RandomState(0).normal(size=(1, 12))
    conn.transform = npd.PermanentDropout((1, 12), init=init, rate=0.2)
    (through,) = (c for c in conv.dropouts[0].connections if c is not conn)
    with conv:
        probes = [nengo.Probe(each, "weights") for each in (conn, through)]
    with nengo.Simulator(conv, progress_bar=False) as sim:
        sim.step()
        kept = [(sim.data[probe][-1] != 0).any(axis=0) for probe in probes]
    assert np.array_equal(*kept) and 0 < kept[0].sum() < 12


def test_only_where_there_is_a_layer_to_go_past_and_one_mask():
    keras.utils.set_random_seed(0)
    inp = keras.Input((4,), name="x")
    first = hidden(inp, 10)
    undropped = SoftLIF()(layers.Dense(9)(inp))
    twice = [PermanentDropout(rate)(undropped) for rate in (0.1, 0.3)]
    last = hidden(layers.concatenate([first, *twice]), 8)
    outputs = [layers.Dense(1, name="y")(last), layers.Dense(2, name="z")(first)]
    relu = layers.Dense(3, activation="relu", name="r")(last)
    graph = keras.Model(inp, [*outputs, relu])
    conv = npd.Converter(graph, seed=0)
    add_bypass(conv)
    first, *_, last = [conv.ensembles[0].label, conv.ensembles[2].label]
    found = ways(conv)
    # no way from the layer with two masks, and none to z, which has a layer directly
    assert (first, conv.outputs["y"].label) in found
    assert {post for _, post in found} <= {
        node.label for name, node in conv.outputs.items() if name != "z"
    }
    assert all(len(pre) > 0 and pre != conv.ensembles[1].label for pre, _ in found)
    for other in (model((8,)), keras.Model(inp, layers.Dense(2)(inp))):
        conv = npd.Converter(other, seed=0)
        add_bypass(conv)
        assert not conv.bypass


def mean_field_bias(conv, X, n_masks=64):
    """Root mean square over rows, in standard deviations over masks."""
    with own_network(0):
        classical = MeanField(rate_twin(conv))
    spiking = MeanField(conv)
    inputs = [np.repeat(X, n_masks, axis=0)]
    masks = spiking.draw_masks(len(inputs[0]), np.random.RandomState(5))
    own, expected = (
        field.forward(inputs, masks)[net.outputs[0]].reshape(len(X), n_masks, -1)
        for field, net in ((spiking, spiking), (classical, classical))
    )
    return np.sqrt(np.mean(((own - expected).mean(axis=1) / expected.std(axis=1)) ** 2))


@pytest.fixture(scope="module", name="digits")
def _digits():
    """A network that has learned digits a little, and pixels; from scikit-learn."""
    data = pytest.importorskip("sklearn.datasets").load_digits()
    X, classes = data.data / 8 - 1, np.eye(10)[data.target]
    keras.utils.set_random_seed(0)
    x = inp = keras.Input((64,))
    for _ in range(2):
        bias = keras.initializers.Constant(0.2)
        dense = layers.Dense(60, None, True, "he_normal", bias)
        x = PermanentDropout(0.1)(SoftLIF(gamma=0.05)(dense(x)))
    kmodel = keras.Model(inp, layers.Dense(10)(x))
    kmodel.compile(keras.optimizers.Adam(3e-3), "mse")
    kmodel.fit(X[:1000], classes[:1000], epochs=15, verbose=0)
    return kmodel, X


def test_the_fit_uses_it_and_leaves_less_bias(monkeypatch, digits):
    """For rows that aren't fitted; 0.72 of the bias that is left without."""
    kmodel, X = digits
    found = {}
    for allowed in (True, False):
        conv = npd.Converter(kmodel, seed=0, first_layer="exact")
        if not allowed:
            monkeypatch.setattr(weights, "add_bypass", lambda conv: None)
        fit_weights(conv, [X[:1000]], seed=0, dt=0.001)
        assert bool(conv.bypass) == allowed
        found[allowed] = mean_field_bias(conv, X[1200:1260])
    assert found[True] < 0.85 * found[False] < 0.06


def test_copies_get_it_too():
    kmodel, X = model((12, 8), 1), rows(40)
    conv = npd.Converter(kmodel, seed=0)
    fit_weights(conv, [X], seed=0, dt=0.001)
    other = npd.Converter(kmodel, seed=7, redraw=0.05)
    copy_weights(conv, other)
    (theirs,), (own,) = other.bypass, conv.bypass
    assert np.array_equal(theirs.transform.init.base, own.transform.init.base)
    assert own.transform.init.base.any()
    assert theirs.transform.redraw == 0.05
    assert conv.copy().bypass[0].label == own.label
