"""Dropout is on in our answers, whatever Keras's ``predict`` makes of it.

Keras 3's sets ``training=False`` for all layers, those too that were called with
``training=True``.
"""

import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.keras_layers import PermanentDropout, keras

RATE, UNITS = 0.3, 50
layers = keras.layers


def called_with_training(x):
    return layers.Dropout(RATE)(x, training=True)


KINDS = {
    "training=True": called_with_training,
    "PermanentDropout": PermanentDropout(RATE),
    "Dropout": layers.Dropout(RATE),
}


def model(dropout):
    """One that gives its input, with some of it dropped."""
    inp = keras.Input((UNITS,))
    same = layers.Dense(UNITS, kernel_initializer="identity", use_bias=False)
    return keras.Model(inp, same(dropout(inp)))


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_on(kind):
    kmodel = model(KINDS[kind])
    X = np.random.RandomState(0).uniform(1, 2, size=(5, UNITS)).astype(np.float32)
    kmodel.predict(X, verbose=0)  # leaves nothing behind that would turn it off
    samples = npd.sample(kmodel, X, n_draws=40, backend="keras", progress=False)
    kept = samples.values != 0
    expected = np.broadcast_to(X / (1 - RATE), kept.shape)
    assert samples.values[kept] == pytest.approx(expected[kept], rel=1e-6)
    # 10,000 units, five standard deviations of 0.0046: one false alarm in 10**6 seeds
    assert np.mean(~kept) == pytest.approx(RATE, abs=0.023)
    # every row of every draw has a mask of its own: equal ones have a probability of
    # 0.58**50 a pair
    rows = kept.reshape(-1, UNITS)
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_only_with_dropout_are_there_draws():
    """The check above can fail: without dropout there are no draws to make."""
    with pytest.raises(ValidationError, match="no permanent dropout"):
        npd.sample(model(lambda x: x), np.ones((1, UNITS)), backend="keras")


def test_of_a_trained_model():
    kmodel = model(called_with_training)
    kmodel.compile(optimizer="sgd", loss="mse")
    X = np.ones((8, UNITS), dtype=np.float32)
    kmodel.fit(X, X, verbose=0)
    samples = npd.sample(kmodel, X[:2], n_draws=10, backend="keras", progress=False)
    assert samples.std().min() > 0
