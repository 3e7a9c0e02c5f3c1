import json

import numpy as np
import pytest
from kmodels import layers, observations, values

import nengo_permadrop as npd
from nengo_permadrop.sources.keras.layers import (
    PermanentDropout,
    SoftLIF,
    keras,
    softlif,
)
from nengo_permadrop.sources.keras.loading import load_model

X = np.linspace(-8, 8, 4001, dtype=np.float32)


def gradient(layer, x, **kwargs):
    """Values of a layer, and their derivatives, on any backend of Keras."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        y, backward = jax.vjp(lambda x: layer(x, **kwargs), x)
        return np.asarray(y), np.asarray(backward(np.ones_like(y))[0])
    if backend == "torch":
        import torch

        x = torch.tensor(x, requires_grad=True)
        y = layer(x, **kwargs)
        y.sum().backward()
        return values(y), x.grad.numpy()
    import tensorflow as tf

    x = tf.Variable(x)
    with tf.GradientTape() as tape:
        y = layer(x, **kwargs)
    return y.numpy(), tape.gradient(y, x).numpy()


@pytest.mark.parametrize(
    "kwargs",
    [{}, dict(gamma=0.1, gain=1.5, amplitude=0.02, tau_rc=0.03, tau_ref=0.001)],
)
def test_softlif_is_the_neuron_type(kwargs):
    layer = SoftLIF(**kwargs)
    neuron = npd.SoftLIF(layer.gamma, layer.tau_rc, layer.tau_ref, layer.amplitude)
    expected = neuron.rates(X[:, None].astype(float), layer.gain, [1.0])[:, 0]
    assert np.allclose(layer(X), expected, atol=1e-5)


def test_softlif_activation_function():
    assert np.allclose(softlif(X), SoftLIF()(X))
    assert np.allclose(layers.Activation(softlif)(X), SoftLIF()(X))
    if keras.__version__.startswith("2."):  # Keras 3 knows its own names only
        assert np.allclose(layers.Activation("softlif")(X), SoftLIF()(X))


@pytest.mark.parametrize("noise", SoftLIF.NOISES)
@pytest.mark.parametrize("x", [X, X * 1e6])
def test_gradient_is_that_of_the_clean_rate(noise, x):
    _, clean = gradient(SoftLIF(), x)
    y, noisy = gradient(SoftLIF(noise=noise), x, training=True)
    assert np.isfinite(y).all() and np.isfinite(noisy).all()
    assert np.array_equal(noisy, clean)
    assert clean.min() >= 0


@pytest.mark.parametrize("noise", ["lowpass", "alpha", "alpharc"])
def test_noise_is_a_filtered_regular_spike_train(noise):
    tau_s, rate, n = 0.005, 80.0, 20_000
    layer = SoftLIF(noise=noise, tau_s=tau_s, amplitude=1.0, gain=1.0)
    period = 1 / rate
    rho = 1 / np.expm1((period - layer.tau_ref) / layer.tau_rc)
    x = np.full(n, layer.gamma * np.log(np.expm1(rho / layer.gamma)), dtype=np.float32)
    keras.utils.set_random_seed(0)
    noisy = values(layer(x, training=True))

    # numerically: spikes every period through the impulse response, from one phase on
    dt = period / 500
    t = np.arange(0, 0.5, dt)
    alpha = t / tau_s**2 * np.exp(-t / tau_s)
    response = {"lowpass": np.exp(-t / tau_s) / tau_s, "alpha": alpha}.get(noise)
    if response is None:
        membrane = np.exp(-t / layer.tau_rc) / layer.tau_rc
        response = np.convolve(alpha, membrane)[: len(t)] * dt
    folded = response[: len(t) // 500 * 500].reshape(-1, 500).sum(axis=0)

    # a mean of n has sd std / sqrt(n): 5 sd, a false alarm has p = 6e-7
    assert abs(noisy.mean() - rate) < 5 * folded.std() / np.sqrt(n) + 0.002 * rate
    assert np.isclose(noisy.std(), folded.std(), rtol=0.03)
    assert np.isclose(noisy.min(), folded.min(), rtol=0.02)
    assert np.isclose(noisy.max(), folded.max(), rtol=0.02)
    clean = SoftLIF(amplitude=1.0, gain=1.0)
    assert np.array_equal(values(layer(x)), values(clean(x)))  # inference


def test_noise_is_new_in_every_step_of_training():
    """In compiled functions, too, which may keep what they were traced with."""
    inp = keras.Input((200,))
    kmodel = keras.Model(inp, SoftLIF(noise="alpha")(inp))
    kmodel.compile(optimizer="sgd", loss="mse")
    x = np.ones((4, 200), dtype=np.float32)
    losses = [kmodel.train_on_batch(x, x) for _ in range(3)]
    kmodel.reset_metrics()
    losses.append(kmodel.train_on_batch(x, x))
    assert np.isfinite(losses).all() and len(set(map(float, losses))) == 4


def test_loihi_target_is_loihis_tuning_curve():
    loihi = pytest.importorskip("nengo_loihi").neurons
    layer = SoftLIF(target="loihi")
    y, grad = gradient(layer, X)
    neuron = loihi.LoihiLIF(amplitude=layer.amplitude)
    expected = loihi.loihi_rates(
        neuron, X[:, None].astype(float), layer.gain, np.ones(1), dt=0.001
    )[:, 0]
    # float32 may round a period that is nearly whole to the next step
    assert np.mean(np.abs(y - expected) > 1e-5) < 0.005
    assert np.array_equal(grad, gradient(SoftLIF(), X)[1])


@pytest.mark.parametrize(
    "kwargs, name",
    [
        (dict(gamma=0), "gamma"),
        (dict(amplitude=-1), "amplitude"),
        (dict(tau_ref=-1), "tau_ref"),
        (dict(target="gpu"), "target"),
        (dict(noise="pink"), "noise"),
        (dict(noise="alpharc", tau_s=0.02), "tau_s"),
    ],
)
def test_softlif_invalid_parameters(kwargs, name):
    with pytest.raises(ValueError, match=name):
        SoftLIF(**kwargs)


def test_dropout_is_on_in_prediction():
    # 3000 units at rate 0.4 keep 1800 +- 27: 5 sd, a false alarm has p = 6e-7
    keras.utils.set_random_seed(0)
    dropout = PermanentDropout(0.4)
    for training in (None, False, True):
        y = values(dropout(np.ones((1, 3000), dtype=np.float32), training=training))
        assert set(np.unique(y)) == {0.0, np.float32(1 / 0.6)}
        assert abs((y > 0).sum() - 1800) < 5 * 27
    with pytest.raises(ValueError, match="rate"):
        PermanentDropout(1.0)


@pytest.fixture(scope="module")
def full_model():
    """A model with each parameter off its default."""
    inp = keras.Input((3,))
    x = layers.Dense(4, activation=softlif)(inp)
    x = PermanentDropout(0.3, noise_shape=(None, 4), seed=7)(x)
    x = SoftLIF(0.03, 0.04, 0.001, 0.2, 1.5, "nengo", "lowpass", 0.004)(x)
    return keras.Model(inp, x)


# the folder of a SavedModel is no format of Keras 3
SUFFIXES = [".h5", ".keras"] + ([""] if keras.__version__.startswith("2.") else [])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_all_parameters_survive_saving(full_model, suffix, tmp_path):
    path = str(tmp_path / f"model{suffix}")
    full_model.save(path)
    # the folder of a SavedModel is a program
    ours = load_model(path, trust=not suffix)
    for loaded in (ours, keras.models.load_model(path, compile=False)):
        for old, new in zip(full_model.layers, loaded.layers):
            assert type(new).__name__ == type(old).__name__
            # JSON has lists where Keras had tuples
            assert json.dumps(new.get_config()) == json.dumps(old.get_config())
        assert type(loaded.layers[2]) is PermanentDropout
        assert all(map(np.array_equal, full_model.get_weights(), loaded.get_weights()))


def test_candles_models_load(tmp_path):
    class Dropout(keras.layers.Dropout):  # as CANDLE's keras utilities have it
        def call(self, x, mask=None):
            drop = getattr(keras.backend, "dropout", None) or keras.random.dropout
            return drop(x, self.rate)

    Dropout.__name__ = "PermanentDropout"
    kmodel = keras.Sequential([layers.Dense(4, input_shape=(3,)), Dropout(0.25)])
    path = str(tmp_path / "saved.uq.model.h5")
    kmodel.save(path)
    loaded = load_model(path)
    assert type(loaded.layers[1]) is PermanentDropout
    assert loaded.layers[1].rate == 0.25


def test_nengo_extras_softlif_loads(tmp_path):
    extras = pytest.importorskip("nengo_extras.keras")
    kmodel = keras.Sequential(
        [
            layers.Dense(4, input_shape=(3,)),
            extras.SoftLIF(sigma=0.05, amplitude=0.01, tau_rc=0.03),
        ]
    )
    path = str(tmp_path / "model.h5")
    kmodel.save(path)
    loaded = load_model(path)
    assert type(loaded.layers[1]) is SoftLIF
    x = observations(kmodel, 5)[0].astype(np.float32)
    assert np.allclose(kmodel(x), loaded(x), atol=1e-5)
