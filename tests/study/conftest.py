"""Five networks, and what a study finds of each."""

import numpy as np
import pytest

import nengo_permadrop as npd


def rows(n, noise, seed):
    """Inputs, and targets that they explain but for noise."""
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n, 4)).astype("float32")
    y = 3 * np.sin(X[:, 0]) + 2 * X[:, 1] + noise * rng.normal(size=n)
    return X, y.astype("float32")


def network(X, y, rate=0.1, activation="softlif"):
    from nengo_permadrop.keras_layers import SoftLIF, keras

    layers = keras.layers
    keras.utils.set_random_seed(1)
    kmodel = keras.Sequential([keras.Input((4,))])
    for _ in range(2):
        bias = keras.initializers.Constant(0.2)
        kmodel.add(layers.Dense(50, None, True, "he_normal", bias))
        kmodel.add(layers.ReLU() if activation == "relu" else SoftLIF())
        kmodel.add(layers.Dropout(rate))
    kmodel.add(layers.Dense(1))
    kmodel.compile(keras.optimizers.Adam(5e-3), "mse")
    kmodel.fit(X, y, epochs=25, verbose=0)
    return kmodel


def studied(name):
    X, y = rows(400, 0.3, 0)
    options, noise = {}, 0.3
    if name == "useless":
        y = np.random.RandomState(2).permutation(y)
    if name == "overconfident":
        options, noise = {"rate": 0.03, "activation": "relu"}, 3.0
    if name == "relu":
        options = {"activation": "relu"}
    kmodel = network(X, y, **options)
    X, y = rows(300, noise, 1)
    if name == "wrong mean":
        y = y + 12
    return npd.study(kmodel, X, y, n_draws=60, observations=80, progress=False)


@pytest.fixture(scope="session", name="studies")
def _studies():
    """By name; to be left as they are."""
    for module in ("sklearn", "jinja2", "matplotlib", "keras"):
        pytest.importorskip(module)
    names = ("good", "wrong mean", "overconfident", "useless", "relu")
    return {name: studied(name) for name in names}
