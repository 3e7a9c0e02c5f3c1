"""Verifying conversions of models that compute in other precisions than float32."""

import numpy as np
import pytest
from kmodels import combo, keras, layers, mlp, observations, values

import nengo_permadrop as npd
from nengo_permadrop import keras_layers
from nengo_permadrop.graph.graph import Affine

POLICIES = ("float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
HALF = POLICIES[1:]


@pytest.fixture
def policy(request):
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(request.param)
    yield request.param
    keras.mixed_precision.set_global_policy(before)


def many_layers():
    """Of each kind that has weights, or takes several values."""
    inputs = keras.Input((2, 3), name="x")
    x = layers.Flatten()(inputs)
    x = layers.BatchNormalization(moving_mean_initializer="ones")(x)
    x = layers.Dense(6, activation="relu")(x)
    x = layers.average([layers.Dropout(0.3)(x), x])
    inner = keras.Input((6,))
    nested = keras.Model(inner, layers.Dense(4, activation="tanh")(inner))
    x = layers.concatenate([nested(x), layers.Dense(3, activation="sigmoid")(x)])
    return keras.Model(inputs, layers.Dense(2)(x))


@pytest.mark.parametrize("policy", POLICIES, indirect=True)
@pytest.mark.parametrize("make", [mlp, combo, many_layers])
def test_verifies(policy, make):
    kmodel = make()
    assert kmodel.layers[-1].dtype_policy.name == policy
    # as sharply as in float32: Keras's own rounding doesn't count
    assert npd.Converter(kmodel).verify(observations(kmodel, 5)) < 1e-5


@pytest.mark.parametrize("policy", HALF, indirect=True)
def test_keras_rounding_is_above_the_tolerance(policy):
    """Otherwise the tests here would show nothing."""
    kmodel = mlp()
    single = keras.models.clone_model(
        kmodel,
        clone_function=lambda layer: type(layer).from_config(
            {**layer.get_config(), "dtype": "float32"}
        ),
    )
    single.set_weights([np.asarray(w, np.float32) for w in kmodel.get_weights()])
    for layer in [*kmodel.layers, *single.layers]:
        if isinstance(layer, keras_layers.PermanentDropout):
            layer.rate = 0.0
    (rows,) = observations(kmodel, 5)
    rounding = np.abs(values(kmodel(rows)).astype(float) - values(single(rows))).max()
    assert rounding > 2e-4


@pytest.mark.parametrize("policy", HALF, indirect=True)
@pytest.mark.parametrize("change", [1.01, -1.0])
def test_wrong_conversion_fails(policy, change):
    """One weight of hundreds by a hundredth: far less than Keras's rounding."""
    kmodel = mlp()
    conv = npd.Converter(kmodel)
    affine = next(op for op in conv.graph.operations if isinstance(op, Affine))
    (matrix,) = affine.matrices
    matrix[np.unravel_index(np.argmax(np.abs(matrix)), matrix.shape)] *= change
    with pytest.raises(npd.ConversionError, match="differs from Keras"):
        conv.verify(observations(kmodel, 20))


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
def test_overflow_is_not_rounding(policy):
    inputs = keras.Input((3,), name="x")
    large = keras.initializers.Constant(300.0)
    x = layers.Dense(4, activation="relu", kernel_initializer=large)(inputs)
    kmodel = keras.Model(inputs, layers.Dense(1, kernel_initializer=large)(x))
    conv = npd.Converter(kmodel)
    with pytest.raises(npd.ConversionError, match="own answers in float16 are off"):
        conv.verify(np.full((2, 3), 10.0))


@pytest.mark.parametrize("policy", HALF, indirect=True)
def test_models_stay_as_they_are(policy):
    kmodel = mlp()
    before = [weight.copy() for weight in kmodel.get_weights()]
    npd.Converter(kmodel).verify(observations(kmodel, 2))
    assert all(layer.dtype_policy.name == policy for layer in kmodel.layers[1:])
    for old, new in zip(before, kmodel.get_weights(), strict=True):
        np.testing.assert_array_equal(np.asarray(old, float), np.asarray(new, float))
