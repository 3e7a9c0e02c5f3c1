import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop import combo, models
from nengo_permadrop.sources.keras.layers import keras

SMALL = dict(dense=(7, 6), dense_feature_layers=(5, 4))


def observations(kmodel, n=4):
    rng = np.random.RandomState(0)
    return {tensor.name: rng.randn(n, tensor.shape[1]) for tensor in kmodel.inputs}


def class_names(kmodel):
    return [type(layer).__name__ for layer in kmodel.layers]


def test_candles_size_by_default():
    kmodel = combo.model(n_genes=9, n_descriptors=11)

    def dense(*sizes):
        return sum((n + 1) * m for n, m in zip(sizes, sizes[1:]))

    assert kmodel.count_params() == (
        dense(9, 1000, 1000, 1000)
        + dense(11, 1000, 1000, 1000)  # one encoder for both drugs
        + dense(3000, 1000, 1000, 1000, 1)
    )
    assert [tensor.name for tensor in kmodel.inputs] == ["cell", "drug1", "drug2"]


@pytest.mark.parametrize("activation", ["softlif", "relu"])
def test_dropout_follows_every_hidden_layer(activation):
    kmodel = combo.model(3, 2, activation=activation, rate=0.3, **SMALL)
    encoder = kmodel.get_layer("drug_encoder")
    name = {"softlif": "SoftLIF", "relu": "Activation"}[activation]
    block = ["Dense", name, "PermanentDropout"]
    assert class_names(encoder) == ["InputLayer", *block, *block]
    assert class_names(kmodel)[-7:] == [*block, *block, "Dense"]
    conv = npd.Converter(kmodel)
    assert len(conv.dropouts) == 2 + 2 * 2 + 2
    assert {dropout.rate for dropout in conv.dropouts} == {0.3}
    assert conv.verify(observations(kmodel)) < 1e-5


def test_drugs_share_their_encoder():
    kmodel = combo.model(3, 2, rate=0, **SMALL)
    X = observations(kmodel)
    encoded = keras.Model(kmodel.inputs, kmodel.get_layer("encoded").output)
    swapped = {**X, "drug1": X["drug2"], "drug2": X["drug1"]}
    one, other = encoded.predict(X, verbose=0), encoded.predict(swapped, verbose=0)
    assert np.array_equal(one[:, 4:8], other[:, 8:])
    assert np.array_equal(one[:, 8:], other[:, 4:8])
    assert not np.array_equal(one[:, 4:8], one[:, 8:])


def test_residual_sums_where_widths_match_after_encoders():
    """As in CANDLE: not in the encoders, nor from the 12 concatenated units to 6."""
    kmodel = combo.model(
        3, 2, dense=(6, 6, 5), dense_feature_layers=(4, 4), residual=True
    )
    sums = [layer.name for layer in kmodel.layers if type(layer).__name__ == "Add"]
    assert sums == ["hidden2_residual"]
    assert "Add" not in class_names(kmodel.get_layer("cell_encoder"))
    assert npd.Converter(kmodel).verify(observations(kmodel)) < 1e-5


def test_seed_decides_the_weights():
    def weights(seed):
        return combo.model(3, 2, seed=seed, **SMALL).get_weights()

    one, same, other = weights(1), weights(1), weights(2)
    assert all(np.array_equal(a, b) for a, b in zip(one, same))
    kernels = [(a, b) for a, b in zip(one, other) if a.ndim == 2]
    assert not any(np.array_equal(a, b) for a, b in kernels)


def test_target_is_that_of_the_curves():
    pytest.importorskip("nengo_loihi")
    kmodel = combo.model(3, 2, target="loihi", **SMALL)
    assert kmodel.get_layer("hidden1_softlif").target == "loihi"


def test_combo_small_is_the_same_network():
    small = models.combo_small(3, 2, units=6, seed=5)
    same = combo.model(3, 2, dense=(6,) * 3, dense_feature_layers=(6,) * 3, seed=5)
    assert small.to_json() == same.to_json()
    pairs = zip(small.get_weights(), same.get_weights())
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_unknown_activation_is_refused():
    with pytest.raises(ValidationError, match="softlif, relu, got 'tanh'"):
        combo.model(3, 2, activation="tanh")
