"""BatchNormalization between an activation and its dropout."""

import nengo
import numpy as np
import pytest

import nengo_permadrop as npd
from nengo_permadrop.converter.meanfield.model import MeanField
from nengo_permadrop.keras_layers import keras

layers = keras.layers

pytestmark = pytest.mark.filterwarnings(
    "ignore::nengo_permadrop.converter.checks.AgreementWarning"
)


def normalised(order, units=12, rate=0.3, n_outputs=2):
    """Two hidden layers; ``order`` of activation, batch normalisation and dropout."""
    keras.utils.set_random_seed(0)
    rng = np.random.RandomState(0)
    x = inp = keras.Input((4,), name="x")
    for _ in range(2):
        x = layers.Dense(units)(x)
        for kind in order:
            if kind == "b":
                layer = layers.BatchNormalization()
                x = layer(x)
                gamma, var = rng.uniform(0.5, 1.5, (2, units))
                beta, mean = rng.normal(size=(2, units))
                layer.set_weights([gamma, beta, mean, var])
            else:
                x = {"a": layers.ReLU(), "d": layers.Dropout(rate)}[kind](x)
    return keras.Model(inp, layers.Dense(n_outputs)(x))


@pytest.fixture(scope="module", name="kmodel")
def _kmodel():
    return normalised("abd")


X = np.random.RandomState(1).normal(size=(5, 4))


@pytest.mark.parametrize("order", ("abd", "adb", "bad", "abbd"))
@pytest.mark.parametrize("target", ("nengo", "loihi"))
def test_it_is_folded(order, target):
    if target == "loihi":
        pytest.importorskip("nengo_loihi")
    kmodel = normalised(order)
    conv = npd.Converter(kmodel, target=target, seed=2)
    assert conv.verify(X) < 1e-5  # with masks, too
    # inputs, outputs, and what always gives the same
    others = {*conv.inputs.values(), *conv.outputs.values()}
    for node in {*conv.all_nodes} - others:
        assert isinstance(node.output, np.ndarray)
    shifts = [node for node in conv.all_nodes if node.label.endswith(".shift")]
    assert len(shifts) == (2 if order in ("abd", "abbd") else 0)


def test_the_shift_is_dropped_with_its_unit(kmodel):
    conv = npd.Converter(kmodel, seed=2)
    for dropout in conv.dropouts:
        (mask,) = dropout.masks
        own, shift = mask.connections
        assert own.seed == shift.seed == mask.seed
        assert isinstance(shift.pre_obj, nengo.Node)
    shift = conv.dropouts[0].masks[0].connections[1]
    with conv:
        probe = nengo.Probe(shift, "weights")
    with nengo.Simulator(conv, progress_bar=False) as sim:
        sim.step()
    kept = (sim.data[probe][-1] != 0).any(axis=0)
    assert np.array_equal(kept, conv.dropouts[0].keep())


def test_same_draws_on_all_backends(kmodel):
    conv = npd.Converter(kmodel, seed=2)
    options = dict(n_draws=3, presentation_time=0.05, settle=0.0, progress=False)
    one_by_one = npd.sample(conv, X, backend="nengo", **options)
    together = npd.sample(conv, X, **options)
    assert together.values == pytest.approx(one_by_one.values, abs=1e-4)
    pytest.importorskip("nengo_dl")
    on_dl = npd.sample(conv, X, backend="nengo_dl", **options)
    assert on_dl.values == pytest.approx(one_by_one.values, abs=1e-4)


@pytest.mark.parametrize("target, backend", (("nengo", None), ("loihi", "nengo_loihi")))
def test_energy_and_chip(kmodel, target, backend):
    if backend is not None:
        pytest.importorskip(backend)
    conv = npd.Converter(kmodel, target=target, seed=2)
    counted = npd.energy(conv, X, n_draws=2, presentation_time=0.05, settle=0.01)
    assert counted.to_frame()["spikes"].sum() > 0
    if backend is not None:
        draws = npd.sample(
            conv,
            X[:1],
            2,
            backend=backend,
            presentation_time=0.06,
            settle=0.03,
            progress=False,
        )
        assert np.isfinite(draws.values).all()


def test_theory_knows_the_shift(kmodel):
    """Mean answers with masks, against the classical ones of the same masks."""
    conv = npd.Converter(kmodel, seed=2, neurons="rate", synapse=nengo.Lowpass(0.001))
    model = MeanField(conv)
    masks = [np.tile(d.keep() / 0.7, (len(X), 1)) for d in conv.dropouts]
    found = model.forward([X], masks)[conv.output]
    with conv:
        shown = nengo.Node(nengo.processes.PresentInput(X, 0.02))
        nengo.Connection(shown, conv.input, synapse=None)
        probe = nengo.Probe(conv.output)
    with nengo.Simulator(conv, progress_bar=False) as sim:
        sim.run_steps(20 * len(X))
    # each row at its end, when what it was before has left the synapses
    assert sim.data[probe][19::20] == pytest.approx(found, abs=1e-4)


def test_calibrated_and_reported(kmodel):
    conv = npd.Converter(kmodel, seed=2)
    rows = np.random.RandomState(2).normal(size=(16, 4))
    times = {"presentation_time": 0.1, "settle": 0.05}
    npd.calibrate(conv, rows, 2, method="weights", **times)
    assert conv.verify(X) < 1e-5
    assert "neurons" in str(conv.report(X))


def test_gates_say_what_they_cannot_drop(kmodel):
    pytest.importorskip("nengo_loihi")
    with pytest.raises(npd.ConversionError, match="shifted"):
        npd.Converter(kmodel, target="loihi", redraw=0.05)
