import numpy as np
import pytest
from kmodels import mlp

from nengo_permadrop import models
from nengo_permadrop.datasets.base import Split
from nengo_permadrop.keras_layers import keras
from nengo_permadrop.training.evaluation import mean_scores, predict, scores


def rows(n, rng):
    inputs = {"x": rng.randn(n, 6).astype(np.float32)}
    return Split(inputs, rng.randn(n, 1).astype(np.float32), {})


def test_scores(rng):
    target, prediction = rng.randn(2, 50, 1)
    found = scores(target, prediction)
    assert found["mse"] == pytest.approx(np.mean((target - prediction) ** 2))
    assert found["mae"] == pytest.approx(np.mean(np.abs(target - prediction)))
    assert found["r2"] == pytest.approx(1 - found["mse"] / np.var(target))
    corr = np.corrcoef(target[:, 0], prediction[:, 0])[0, 1]
    assert found["corr"] == pytest.approx(corr)


def test_scores_of_constants_are_not_numbers():
    found = scores(np.ones((3, 1)), np.zeros((3, 1)))
    assert np.isnan(found["r2"]) and np.isnan(found["corr"]) and found["mse"] == 1


@pytest.mark.parametrize("batch_size", [3, 4, 100])
def test_predict_keeps_the_rows_apart(batch_size, rng):
    kmodel, split = mlp(rate=0.0), rows(8, rng)
    expected = kmodel.predict(split.inputs, verbose=0)
    assert np.allclose(predict(kmodel, split, batch_size), expected, atol=1e-6)


def test_mean_scores_are_of_the_mean(rng):
    kmodel, split = mlp(rate=0.0), rows(8, rng)
    expected = scores(split.target[:5], kmodel.predict(split.inputs, verbose=0)[:5])
    found = mean_scores(kmodel, split, n_draws=2, n_rows=5)
    assert found == pytest.approx(expected, abs=1e-5)
    assert models.r2(kmodel, split, n_draws=1) == pytest.approx(
        scores(split.target, kmodel.predict(split.inputs, verbose=0))["r2"], abs=1e-5
    )


def test_mean_of_draws_predicts_better_than_one(rng):
    # the targets are the mean; false alarms: none, a draw's error is its spread alone
    kmodel, split = mlp(rate=0.5), rows(50, rng)
    mean = np.mean([predict(kmodel, split) for _ in range(50)], axis=0)
    split = Split(split.inputs, mean, {})
    one, many = (mean_scores(kmodel, split, n_draws=n) for n in (1, 50))
    assert many["mse"] < one["mse"] / 2


@pytest.mark.parametrize("options", [{"training": True}, {}])
def test_scores_have_dropout_that_keras_would_turn_off(options, rng):
    """Keras 3's ``predict`` does, with training=True, too."""
    inp = keras.Input((6,))
    x = keras.layers.Dropout(0.5)(keras.layers.Dense(50)(inp), **options)
    kmodel, split = keras.Model(inp, keras.layers.Dense(1)(x)), rows(50, rng)
    one, other = (mean_scores(kmodel, split, n_draws=1, seed=seed) for seed in (0, 1))
    assert one["mse"] != other["mse"]
    assert mean_scores(kmodel, split, n_draws=1)["mse"] == one["mse"]
