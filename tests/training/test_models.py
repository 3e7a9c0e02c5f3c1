import numpy as np
import pytest
from kmodels import values
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop import datasets, models
from nengo_permadrop.sources.keras.layers import SoftLIF, keras

pytest.importorskip("sklearn")


def test_anneal_sharpens_all_layers_and_trains_on():
    data = datasets.load("diabetes")
    inp, inner = keras.Input((10,), name="input"), keras.Input((10,))
    layers = [SoftLIF(name=name) for name in ("inner", "outer")]
    x = keras.Model(inner, layers[0](keras.layers.Dense(6)(inner)), name="nested")(inp)
    x = layers[1](keras.layers.Dense(6)(x))
    model = keras.Model(inp, keras.layers.Dense(1)(x))
    models.train(model, data, epochs=1)  # keras has traced the first gamma
    before = [weights.copy() for weights in model.get_weights()]
    history = models.anneal(model, data, gamma=0.003, epochs=1)
    assert len(history["loss"]) == 1
    assert [layer.gamma for layer in layers] == [0.003, 0.003]
    assert any(not np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
    # what is saved has the new curve, and what is predicted
    sharp = keras.models.clone_model(model)
    sharp.set_weights(model.get_weights())
    rows = data.test.inputs["input"]
    assert np.allclose(values(sharp(rows)), model.predict(rows, verbose=0), atol=1e-5)
    for layer in layers:
        layer.gamma = 0.02
    assert not np.allclose(values(sharp(rows)), values(model(rows)), atol=1e-4)


def test_anneal_errors():
    data = datasets.load("diabetes")
    model = models.for_dataset(data, units=(5,))
    with pytest.raises(ValidationError, match="gamma"):
        models.anneal(model, data, gamma=0, epochs=1)
    inp = keras.Input((10,))
    plain = keras.Model(inp, keras.layers.Dense(1)(inp))
    with pytest.raises(ValidationError, match="no SoftLIF"):
        models.anneal(plain, data, epochs=1)


def test_as_many_outputs_as_the_target_has_columns():
    digits = datasets.load("digits")
    assert models.for_dataset(digits, units=(5,)).output_shape == (None, 10)
    assert models.for_dataset(digits, units=(5,), n_outputs=2).output_shape == (None, 2)


@pytest.mark.parametrize("outputs", [1, 3])
def test_outputs_of_combo_small(outputs):
    kmodel = models.combo_small(3, 2, units=4, n_outputs=outputs)
    assert kmodel.output_shape == (None, outputs)
    data = datasets.load("combo-small")
    given = {} if outputs == 1 else {"n_outputs": outputs}
    kmodel = models.for_dataset(data, units=4, **given)
    assert kmodel.output_shape == (None, outputs)
    conv = npd.Converter(kmodel)
    assert conv.output.size_out == outputs


@pytest.mark.parametrize("activation, kind", [("softlif", SoftLIF), ("relu", None)])
def test_activation_of_hidden_layers(activation, kind):
    kind = kind or keras.layers.Activation
    for model, n in (
        (models.mlp(3, (5, 4), activation=activation), 2),
        (models.combo_small(3, 2, units=4, activation=activation), 9),
    ):
        found = [each for each in model._flatten_layers() if isinstance(each, kind)]
        assert len(found) == n
        assert all(layer.name.endswith(f"_{activation}") for layer in found)
        conv = npd.Converter(model)
        assert bool(conv.firing_rates) is (activation == "relu")
    # the initial weights are the same, whatever follows them
    one, other = (
        models.mlp(3, (5,), seed=3, activation=a) for a in ("softlif", "relu")
    )
    for a, b in zip(one.get_weights(), other.get_weights()):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("build", [models.mlp, models.combo_small])
@pytest.mark.parametrize("activation", ["tanh", None, 1, ["relu"]])
def test_unknown_activations(build, activation):
    given = (3,) if build is models.mlp else (3, 2)
    with pytest.raises(
        ValidationError, match="activation: must be one of softlif, relu"
    ):
        build(*given, activation=activation)
