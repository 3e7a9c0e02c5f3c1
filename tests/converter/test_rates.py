"""Firing rates of layers: chosen by weights, by rows, or given."""

import nengo
import numpy as np
import pytest
from kmodels import combo, layers, mlp, observations
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.converter.rates import QUANTILE, activity, firing_rates, made_up
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.graph.graph import Activation
from nengo_permadrop.graph.writer import GraphWriter
from nengo_permadrop.neurons.activations import (
    _ACTIVATIONS,
    ActivationNeurons,
    register_activation,
)
from nengo_permadrop.sources.keras.layers import PermanentDropout, keras
from nengo_permadrop.sources.registry import read_model
from nengo_permadrop.targets.registry import get_target

NENGO = get_target("nengo")


def functional(n_inputs, build):
    keras.utils.set_random_seed(0)
    inp = keras.Input((n_inputs,), name="x")
    return keras.Model(inp, build(inp))


def keras_activations(model, X, classes=("Activation", "ReLU")):
    """By name of the layer, without dropout."""
    chosen = [layer for layer in model.layers if type(layer).__name__ in classes]
    outputs = keras.Model(model.inputs, [layer.output for layer in chosen])
    found = outputs.predict(X, verbose=0)
    found = found if isinstance(found, list) else [found]
    return {layer.name: each for layer, each in zip(chosen, found)}


def high_rates(conv, model, X):
    """Rates, in Hz, of the 99th percentile of each layer's activations in Keras."""
    return {
        name: conv.firing_rates[name] * np.quantile(np.abs(each), QUANTILE)
        for name, each in keras_activations(model, X).items()
    }


@pytest.mark.parametrize("activation", ("relu", "sigmoid", "tanh"))
def test_defaults_fit_standardised_data(activation):
    model = mlp(units=(40, 40, 40, 40), rate=0.0, activation=activation)
    rates = high_rates(npd.Converter(model), model, observations(model, 2000, seed=7))
    assert len(rates) == 4
    assert all(250 < rate < 1000 for rate in rates.values())


@pytest.mark.parametrize("n", (1, 50))
@pytest.mark.parametrize("activation", ("relu", "sigmoid", "tanh"))
def test_rows_decide_where_they_are_given(activation, n):
    model = mlp(units=(40, 40, 40), rate=0.0, activation=activation)
    X = 5 + 30 * observations(model, n, seed=3)[0]  # nothing like standardised data
    rates = high_rates(npd.Converter(model, X=X), model, X)
    assert list(rates.values()) == pytest.approx([NENGO.firing_rate] * 3, rel=1e-4)


def test_rows_are_seen_with_masks():
    options = dict(units=(50, 50), rate=0.5, activation="relu")
    model, plain = mlp(**options), mlp(**options, dropout=layers.Dropout)
    X = observations(model, 256, seed=3)[0]
    converters = (
        npd.Converter(model, X=X),
        npd.Converter(plain, X=X),
        npd.Converter(plain, X=X, dropout="off"),
    )
    permanent, same, off = ([*conv.firing_rates.values()] for conv in converters)
    assert permanent == pytest.approx(same)
    assert permanent[0] == pytest.approx(off[0])
    # of twice the activations, or none, the 99th percentile is larger
    assert permanent[1] < 0.95 * off[1]


def test_many_rows_are_thinned_evenly():
    model = mlp(units=(10,), rate=0.0, activation="relu")
    X = observations(model, 1000)[0]
    X[:, 0] = np.linspace(0, 100, 1000)  # the largest come last
    rates = high_rates(npd.Converter(model, X=X), model, X)
    assert list(rates.values()) == pytest.approx([NENGO.firing_rate], rel=0.05)


def normalised(between=False, after=False):
    """A network of raw inputs, with batch normalisation that has seen them."""

    def build(x):
        x = layers.BatchNormalization(name="first")(x)
        for _ in range(3):
            x = layers.Dense(30, kernel_initializer="he_normal")(x)
            x = layers.BatchNormalization()(x) if between else x
            x = layers.ReLU()(x)
            x = layers.BatchNormalization()(x) if after else x
        return layers.Dense(1)(PermanentDropout(0.1)(x))

    model = functional(5, build)
    X = 50 + 10 * np.random.RandomState(0).randn(500, 5)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            seen = keras.Model(model.inputs, layer.input).predict(X, verbose=0)
            gamma, beta, _, _ = layer.get_weights()
            layer.set_weights([3 * gamma, beta + 0.5, seen.mean(0), seen.var(0)])
    return model, X


@pytest.mark.parametrize(
    "where", ({}, {"between": True}, {"after": True}), ids=lambda where: str([*where])
)
def test_batch_normalisation_tells_of_the_data(where):
    model, X = normalised(**where)
    rates = high_rates(npd.Converter(model), model, X)
    assert len(rates) == 3
    assert all(250 < rate < 1000 for rate in rates.values())
    # which the weights alone don't
    graph = read_model(model)
    graph.statistics.clear()
    blind = firing_rates(graph, NENGO)
    ratio = [
        conv / blind[name] for name, conv in npd.Converter(model).firing_rates.items()
    ]
    assert max(ratio) > 1.5 or min(ratio) < 0.6


def test_one_rate_for_all():
    model = mlp(units=(8, 8), activation="relu")
    conv = npd.Converter(model, scale_firing_rates=80)
    assert set(conv.firing_rates.values()) == {80.0}
    assert [ens.gain[0] for ens in conv.all_ensembles] == [80.0, 80.0]


def test_named_rates():
    model = mlp(units=(8, 8), activation="relu")
    name, other = (layer.name for layer in model.layers if "activation" in layer.name)
    default = npd.Converter(model)
    conv = npd.Converter(model, scale_firing_rates={other: 123}, copies=2)
    assert conv.firing_rates == {name: default.firing_rates[name], other: 123.0}
    for copy in conv.copies:
        assert copy.layers[other].ensemble.gain == pytest.approx(123.0)
        assert copy.firing_rates == conv.firing_rates
    assert conv.verify(observations(model, 5)) < 1e-4


def shared():
    """A model that is used twice, and another one with a layer of the same name."""
    keras.utils.set_random_seed(0)
    models = []
    for name in ("drug", "cell"):
        inp = keras.Input((3,))
        out = layers.Dense(4, activation="relu", name="dense")(inp)
        models.append(keras.Model(inp, out, name=name))
    drug, cell = models
    a, b, c = (keras.Input((3,), name=name) for name in "abc")
    return keras.Model([a, b, c], layers.concatenate([drug(a), drug(b), cell(c)]))


def test_a_path_says_more_than_a_name():
    paths = ["drug[0]/dense", "drug[1]/dense", "cell/dense"]
    model = shared()
    assert list(npd.Converter(model).firing_rates) == paths
    for given in (
        {"dense": 10, "cell/dense": 20, "drug[1]/dense": 30},
        {"drug[1]/dense": 30, "cell/dense": 20, "dense": 10},
    ):
        conv = npd.Converter(model, scale_firing_rates=given)
        assert list(conv.firing_rates) == paths
        assert list(conv.firing_rates.values()) == [10, 30, 20]


@pytest.mark.parametrize(
    "given, error, words",
    (
        ({"nowhere": 100}, ValidationError, ["'nowhere'", "there are hidden, soft"]),
        ({"soft": 100}, ConversionError, ["layer 'soft'", "amplitude"]),
        ({"hidden": 0}, ValidationError, [r"scale_firing_rates\['hidden'\]", "> 0"]),
        ({"hidden": np.nan}, ValidationError, [r"\['hidden'\]", "nan"]),
        ({"hidden": "fast"}, ValidationError, [r"\['hidden'\]", "fast"]),
        ({3: 100}, ValidationError, ["'3'"]),
        (-1, ValidationError, ["scale_firing_rates", "-1"]),
        (True, ValidationError, ["scale_firing_rates", "True"]),
        ([100, 200], ValidationError, ["scale_firing_rates"]),
    ),
    ids=str,
)
def test_errors_name_the_layer(given, error, words):
    from nengo_permadrop.sources.keras.layers import SoftLIF

    def build(x):
        x = layers.Dense(4, activation="relu", name="hidden")(x)
        return SoftLIF(name="soft")(layers.Dense(4)(x))

    with pytest.raises(error) as caught:
        npd.Converter(functional(3, build), scale_firing_rates=given)
    for word in words:
        caught.match(word)


def test_layers_that_have_learned_their_rates_have_no_others():
    model = mlp(units=(6, 6))
    with pytest.raises(ConversionError, match="no layer of the model has rates"):
        npd.Converter(model, scale_firing_rates=100)
    conv = npd.Converter(model, X=observations(model, 3), copies=2)
    assert [copy.firing_rates for copy in conv.copies] == [{}, {}]


def test_a_table_of_no_rates_is_refused():
    with pytest.raises(ValidationError, match="names no layer; give None"):
        npd.Converter(mlp(units=(6,), activation="relu"), scale_firing_rates={})


@pytest.mark.parametrize("kind", ("relu", "sigmoid", "tanh"))
def test_dead_layers_have_a_rate(kind):
    def build(x):
        zero = keras.initializers.Constant(-1e3 if kind == "relu" else 0.0)
        options = {} if kind == "relu" else {"kernel_initializer": "zeros"}
        x = layers.Dense(5, activation=kind, bias_initializer=zero, **options)(x)
        return layers.Dense(1)(PermanentDropout(0.2)(x))

    model = functional(3, build)
    conv = npd.Converter(model)
    (rate,) = conv.firing_rates.values()
    assert rate == pytest.approx({"sigmoid": 1000.0}.get(kind, 500.0))
    assert conv.verify(observations(model, 4)) < 1e-4


def test_layers_of_which_hardly_any_unit_is_active():
    def build(x):
        bias = np.full(1000, -1e3)
        bias[0] = 1.0
        x = layers.Dense(
            1000,
            activation="relu",
            kernel_initializer="zeros",
            bias_initializer=keras.initializers.Constant(bias),
        )(x)
        return layers.Dense(1)(x)

    (rate,) = npd.Converter(functional(3, build)).firing_rates.values()
    assert rate == NENGO.firing_rate  # not of the 99th percentile, which is 0


@pytest.mark.parametrize("value", (np.nan, np.inf))
def test_activations_that_are_not_finite_are_named(value):
    model = mlp(units=(4, 4), activation="relu")
    weights = model.get_weights()
    weights[0][:] = value
    name = next(layer.name for layer in model.layers if "activation" in layer.name)
    with pytest.raises(ConversionError, match=f"layer '{name}'.*infinite or NaN"):
        npd.Converter(model, X=np.full((3, 6), 1e300))
    model.set_weights(weights)
    with pytest.raises(ConversionError, match=f"layer '{name}'.*infinite or NaN"):
        npd.Converter(model)


@pytest.mark.filterwarnings("ignore::nengo_permadrop.converter.checks.AgreementWarning")
@pytest.mark.parametrize("factor", (1e6, 1e-6, 1e-30))
@pytest.mark.parametrize("activation", ("relu", "sigmoid", "tanh"))
def test_any_scale_of_activations_gives_the_same_spikes(activation, factor):
    """Of what two layers scale up and down again."""

    def build(factor):
        def layer(x):
            x = layers.Dense(8, kernel_initializer="he_normal")(x)
            x = layers.Activation(activation, name="one")(x)
            x = layers.Dense(8, activation="relu", name="two")(x)
            return layers.Dense(1)(PermanentDropout(0.2)(x))

        model = functional(4, layer)
        scaled = model.get_layer("two").get_weights()
        model.get_layer("two").set_weights([w * np.float32(factor) for w in scaled])
        return model

    model, plain = build(factor), build(1)
    X = observations(model, 6)
    conv, same = npd.Converter(model, seed=0), npd.Converter(plain, seed=0)
    assert conv.firing_rates["two"] * factor == pytest.approx(same.firing_rates["two"])
    one, other = (
        npd.sample(each, X, n_draws=3, progress=False).values for each in (conv, same)
    )
    assert one / factor == pytest.approx(
        other, rel=0.05, abs=0.02 * np.abs(other).max()
    )


def test_large_inputs_of_a_sigmoid_are_no_warning(recwarn):
    model = mlp(units=(5,), activation="sigmoid")
    npd.Converter(model, X=1e5 * observations(model, 3)[0])
    assert not [each for each in recwarn if "overflow" in str(each.message)]


def test_half_precision():
    keras.mixed_precision.set_global_policy("float16")
    try:
        model = mlp(units=(8, 8), activation="relu")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    single = keras.models.clone_model(mlp(units=(8, 8), activation="relu"))
    single.set_weights([w.astype(np.float32) for w in model.get_weights()])
    found, expected = (npd.Converter(each).firing_rates for each in (model, single))
    assert list(found.values()) == pytest.approx(list(expected.values()), rel=1e-6)


def test_loihis_neurons_fire_less_often():
    # rates above are quantised to coarse steps, and bias the next layer
    assert get_target("loihi").firing_rate < 0.3 * NENGO.firing_rate
    pytest.importorskip("nengo_loihi")
    model = mlp(units=(10,), activation="relu")
    (loihi,) = npd.Converter(model, target="loihi").firing_rates.values()
    (nengo_rate,) = npd.Converter(model).firing_rates.values()
    ratio = get_target("loihi").firing_rate / NENGO.firing_rate
    assert loihi == pytest.approx(ratio * nengo_rate)


def test_a_multiple_of_the_targets_rate():
    graph = read_model(mlp(units=(4, 4), activation="relu"))
    one, third = (firing_rates(graph, NENGO, multiple=m) for m in (1, 1 / 3))
    assert third == pytest.approx({path: rate / 3 for path, rate in one.items()})


@pytest.fixture
def absolute():
    """A kind of activation that another package has, and that has its own rate."""

    @register_activation("test-absolute")
    def _absolute(rate, own=None):
        if own is None:  # scaled
            return ActivationNeurons(
                nengo.RectifiedLinear(1 / rate), rate, 0.0, 1.0, True
            )
        assert rate is None or rate > 0
        return ActivationNeurons(nengo.RectifiedLinear(1 / own), own, 0.0, 1.0, False)

    yield "test-absolute"
    del _ACTIVATIONS._units["test-absolute"]


def gated(kind, **parameters):
    """A layer with two activations, of which the second is 100 times as large."""
    writer = GraphWriter()
    x = writer.input("x", (3,))
    for factor, options in ((1.0, {}), (100.0, parameters)):
        each = writer.affine("glu", "GLU", [x], [factor * np.eye(3)], (3,))
        x = writer.activation("glu", "GLU", each, kind, **options)
    writer.output("y", x)
    return writer.graph


def test_a_layer_with_several_activations_has_one_rate(absolute):
    graph = gated(absolute)
    found = activity(graph, [np.ones((2, 3))])
    assert found["glu"] == pytest.approx(np.tile([1.0] * 3 + [100.0] * 3, (2, 1)))
    rates = firing_rates(graph, NENGO, X=[np.ones((2, 3))])
    assert rates == {"glu": NENGO.firing_rate / 100}
    assert firing_rates(graph, NENGO, {"glu": 7}) == {"glu": 7.0}
    mixed = gated(absolute, own=50.0)
    assert firing_rates(mixed, NENGO, {"glu": 7}) == {"glu": 7.0}
    assert len(npd.Converter(mixed, scale_firing_rates=9).all_ensembles) == 2


def test_made_up_rows_are_always_the_same():
    graph = read_model(combo())
    one, other = made_up(graph), made_up(graph)
    assert [x.shape[1] for x in one] == [5, 4, 4]
    assert all(np.array_equal(x, y) for x, y in zip(one, other))
    kinds = [op for op in graph.operations if isinstance(op, Activation)]
    assert set(activity(graph)) == {operation.path for operation in kinds}


@pytest.mark.parametrize(
    "X, words",
    (
        (np.ones((4, 5)), "shape"),
        (np.ones((0, 6)), "no observations"),
        (np.full((2, 6), np.nan), "nan"),
        ("rows", "real numbers"),
    ),
)
def test_wrong_rows(X, words):
    with pytest.raises(ValidationError, match=words):
        npd.Converter(mlp(units=(3,), activation="relu"), X=X)


def test_rates_are_kept_by_copies_pickles_and_the_classical_twin():
    from nengo_permadrop.converter.twins import rate_twin

    model = mlp(units=(8, 8), activation="relu")
    conv = npd.Converter(model, X=100 * observations(model, 20)[0])
    assert conv.copy().firing_rates == conv.firing_rates
    assert rate_twin(conv).firing_rates == conv.firing_rates
