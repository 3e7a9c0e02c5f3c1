"""Links: functions between the readout and the model's output."""

import warnings

import nengo
import numpy as np
import pytest
from kmodels import keras, layers, values
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.graph.links import LINK_NAMES, apply_link
from nengo_permadrop.graph.writer import GraphWriter
from nengo_permadrop.sources.keras.files import read_file

X = np.random.RandomState(0).normal(size=(4, 5))

KERAS = {
    "softmax": "softmax",
    "sigmoid": "sigmoid",
    "exponential": "exp",
    "softplus": "softplus",
}


def body(n=1):
    inputs = x = keras.Input((5,), name="x")
    for _ in range(n):
        x = layers.Dropout(0.2)(layers.Dense(20, "relu")(x))
    return inputs, x


def model(activation, seed=0):
    keras.utils.set_random_seed(seed)
    inputs, x = body()
    return keras.Model(inputs, layers.Dense(3, activation, name="y")(x))


def drawn(*args, **kwargs):
    return npd.sample(*args, n_draws=3, progress=False, **kwargs)


@pytest.mark.parametrize("activation", KERAS)
def test_an_outputs_activation_is_a_link(activation):
    kmodel = model(activation)
    conv = npd.Converter(kmodel)
    assert conv.links == {"y": KERAS[activation]}
    assert len(conv.ensembles) == 1
    assert conv.verify(X) < 1e-5
    samples = drawn(conv, X)
    assert samples.link == KERAS[activation]
    expected = apply_link(KERAS[activation], samples.logits)
    assert np.array_equal(samples.values, expected)
    assert samples.logits.std() > 0


@pytest.mark.parametrize("activation", KERAS)
def test_the_classical_answers_are_keras_own(activation):
    kmodel = model(activation)
    samples = npd.sample(kmodel, X, 1, backend="keras", progress=False)
    forward = npd.sources.registry.source_of(kmodel).forward(kmodel)
    (logits,) = forward([X])
    expected = values(kmodel(X))
    assert np.allclose(apply_link(KERAS[activation], logits), expected, atol=1e-6)
    assert samples.link == KERAS[activation] and samples.logits is not None


def test_the_formulas():
    x = np.array([[-1.0, 0.5, 2.0]])
    assert np.allclose(apply_link("exp", x), np.exp(x))
    assert np.allclose(apply_link("sigmoid", x), 1 / (1 + np.exp(-x)))
    assert np.allclose(apply_link("softmax", x), np.exp(x) / np.exp(x).sum())
    assert np.allclose(apply_link("softplus", x), np.log(1 + np.exp(x)))
    assert set(LINK_NAMES) == set(KERAS.values())
    assert apply_link("exp", x.astype(np.float32)).dtype == np.float32
    assert apply_link("softmax", [[1, 1]]).tolist() == [[0.5, 0.5]]
    with pytest.raises(ValidationError, match="no link 'tanh'"):
        apply_link("tanh", x)


def test_a_softmax_goes_over_the_last_axis():
    inputs, x = body()
    y = layers.Softmax(name="y")(layers.Reshape((2, 3))(layers.Dense(6)(x)))
    kmodel = keras.Model(inputs, y)
    for samples in (drawn(kmodel, X), drawn(kmodel, X, backend="keras")):
        assert samples.values.shape == (3, 4, 6)
        parts = samples.values.reshape(3, 4, 2, 3)
        assert np.allclose(parts.sum(axis=-1), 1)


@pytest.mark.parametrize("wrapped", ["dense", "softmax"])
def test_of_each_step(wrapped):
    inputs, x = body()
    y = layers.Reshape((2, 10))(x)
    if wrapped == "dense":
        y = layers.TimeDistributed(layers.Dense(3, "softmax"), name="y")(y)
    else:
        y = layers.TimeDistributed(layers.Softmax(), name="y")(layers.Dense(3)(y))
    kmodel = keras.Model(inputs, y)
    conv = npd.Converter(kmodel)
    assert conv.links == {"y": "softmax"} and conv.verify(X) < 1e-5
    for samples in (drawn(conv, X), drawn(kmodel, X, backend="keras")):
        assert np.allclose(samples.values.reshape(3, 4, 2, 3).sum(axis=-1), 1)


def test_another_axis_is_refused():
    inputs, x = body()
    y = layers.Softmax(axis=1)(layers.Reshape((2, 3))(layers.Dense(6)(x)))
    with pytest.raises(npd.ConversionError, match="has axis=1.*axis=-1"):
        npd.Converter(keras.Model(inputs, y))


def test_each_output_has_its_own():
    inputs, x = body()
    outputs = [
        layers.Dense(2, "softmax", name="a")(x),
        layers.Dense(2, name="b")(x),
        layers.Activation("exponential", name="c")(layers.Dense(2)(x)),
    ]
    conv = npd.Converter(keras.Model(inputs, outputs))
    assert conv.links == {"a": "softmax", "c": "exp"}
    assert conv.verify(X) < 1e-5
    for name in conv.outputs:
        samples = drawn(conv, X, output=name)
        assert samples.link == conv.links.get(name)
        assert (samples.logits is None) == (name == "b")


@pytest.mark.parametrize("activation", ["softmax", "exponential"])
def test_in_the_middle_it_is_refused(activation):
    inputs, x = body()
    y = layers.Dense(2)(layers.Dense(4, activation, name="gate")(x))
    with pytest.raises(npd.ConversionError, match="layer 'gate'.*other layers take"):
        npd.Converter(keras.Model(inputs, y))


def test_dropout_behind_a_softmax_is_refused():
    inputs, x = body()
    y = layers.Dropout(0.1)(layers.Dense(4, "softmax", name="gate")(x))
    with pytest.raises(npd.ConversionError, match="layer 'gate'.*other layers take"):
        npd.Converter(keras.Model(inputs, y))


def test_a_sigmoid_in_the_middle_is_neurons():
    inputs, x = body()
    gate = layers.Dense(4, "sigmoid", name="gate")(x)
    kmodel = keras.Model(inputs, [layers.Dense(2, name="y")(gate), gate])
    conv = npd.Converter(kmodel)
    assert conv.links == {}
    assert "gate" in conv.firing_rates
    assert conv.verify(X) < 1e-5


def test_verify_compares_before_the_link():
    """A number that is added to all logits changes no softmax."""
    kmodel = model("softmax")
    conv = npd.Converter(kmodel)
    kernel, bias = kmodel.layers[-1].get_weights()
    kmodel.layers[-1].set_weights([kernel, bias + 1])
    with pytest.raises(npd.ConversionError, match="differs"):
        conv.verify(X)


def test_without_the_link_layers_keep_their_weights():
    kmodel = model("softmax")
    before = [w.copy() for w in kmodel.get_weights()]
    npd.Converter(kmodel).verify(X)
    drawn(kmodel, X, backend="keras")
    assert kmodel.layers[-1].activation is keras.activations.softmax
    for a, b in zip(before, kmodel.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_draws_are_those_of_the_logits():
    """The network is the one of a model that ends before the softmax."""
    kmodel = model("softmax")
    inputs, x = body()
    linear = keras.Model(inputs, layers.Dense(3, name="y")(x))
    linear.set_weights(kmodel.get_weights())
    samples, logits = (
        drawn(npd.Converter(each, seed=0), X) for each in (kmodel, linear)
    )
    assert np.array_equal(samples.logits, logits.values)
    assert logits.link is None and logits.logits is None


@pytest.mark.parametrize("run", ["restart", "single"])
def test_copies_and_single_runs(run):
    conv = npd.Converter(model("softmax"), copies=2)
    samples = drawn(conv, X, run=run)
    assert np.allclose(samples.values.sum(axis=-1), 1)


def test_files(tmp_path):
    kmodel = model("softmax")
    kmodel.save(tmp_path / "m.h5")
    assert read_file(tmp_path / "m.h5").graph.links == {"y": "softmax"}
    classical = drawn(str(tmp_path / "m.h5"), X, backend="keras")
    own = drawn(kmodel, X, backend="keras")
    assert classical.link == "softmax"
    assert np.allclose(classical.values, own.values, atol=1e-6)
    conv = npd.Converter(str(tmp_path / "m.h5"), seed=0)
    assert conv.verify(X) < 1e-5


def test_saved_and_loaded(tmp_path):
    samples = drawn(model("softmax"), X)
    found = npd.load_samples(samples.save(tmp_path / "s.npz"))
    assert found.link == "softmax"
    assert np.array_equal(found.logits, samples.logits)
    assert not found.logits.flags.writeable


def test_in_xarray():
    pytest.importorskip("xarray")
    assert drawn(model("softmax"), X).to_xarray().attrs["link"] == "softmax"


def test_checkpoints(tmp_path):
    kmodel = model("softmax")
    options = {"checkpoint": tmp_path / "c", "seed": 1}
    first, again = (drawn(kmodel, X, **options) for _ in range(2))
    assert np.array_equal(first.values, again.values)
    assert np.array_equal(first.logits, again.logits)


def test_a_probe_compares_with_the_logits():
    conv = npd.Converter(model("softmax"), seed=0)
    reference = drawn(conv, X[:1])
    probes = []
    for given in (reference, reference.logits[:, 0]):
        with nengo.Network(seed=0) as net:
            node = nengo.Node([0.1, 0.2, 0.3])
            ks = npd.KSProbe(node, given, window=0.01)
            probe = nengo.Probe(ks.output)
        with nengo.Simulator(net, progress_bar=False) as sim:
            sim.run(0.1)
        probes.append(sim.data[probe])
    assert np.array_equal(*probes)


def test_logits_of_samples_are_checked():
    values = np.ones((2, 3, 4))
    with pytest.raises(ValidationError, match="logits: must have the shape"):
        npd.PredictiveSamples(values, link="softmax", logits=np.ones((2, 3, 1)))
    with pytest.raises(ValidationError, match="a link between them"):
        npd.PredictiveSamples(values, logits=values)
    with pytest.raises(ValidationError, match="name of a link"):
        npd.PredictiveSamples(values, link=3)


def test_answers_that_overflow_are_said():
    keras.utils.set_random_seed(0)
    inputs, x = body()
    kmodel = keras.Model(inputs, layers.Dense(1, "exponential", name="y")(x))
    kernel, bias = kmodel.layers[-1].get_weights()
    kmodel.layers[-1].set_weights([kernel, bias + 2000])
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(ValidationError, match="finite"):
            drawn(kmodel, X, backend="keras")


def test_a_writers_link():
    writer = GraphWriter()
    x = writer.input("x", (2,))
    y = writer.activation("y", "Y", x, "softmax")
    writer.output("y", y)
    writer.output("again", y)
    writer.link("y")
    assert writer.graph.links == {"y": "softmax", "again": "softmax"}
    conv = npd.Converter(writer.graph)
    assert conv.links == writer.graph.links and not conv.ensembles
    with pytest.raises(ValidationError, match="doesn't end with one of"):
        writer.link("again")
