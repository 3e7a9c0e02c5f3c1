"""Batch normalisation around dropout, folded into the weights beside it."""

import nengo
import numpy as np
import pytest
from kmodels import PermanentDropout, SoftLIF, keras, layers

import nengo_permadrop as npd

RATE = 0.3
X = np.random.RandomState(0).randn(4, 3)


def normed(seed):
    random = keras.initializers.RandomNormal
    return layers.BatchNormalization(
        beta_initializer=random(0.3, 0.5, seed=seed),
        gamma_initializer=random(1.0, 0.2, seed=seed + 1),
        moving_mean_initializer=random(0.5, 0.3, seed=seed + 2),
    )


def model(order, target="nengo"):
    """Two hidden layers; what follows each activation, in an order."""
    keras.utils.set_random_seed(1)
    parts = {"n": lambda i: normed(10 * i), "d": lambda i: PermanentDropout(RATE)}
    x = inputs = keras.Input((3,))
    for i in range(2):
        x = layers.Dense(12, kernel_initializer="he_normal", name=f"dense{i}")(x)
        x = SoftLIF(target=target)(x)
        for letter in order:
            x = parts[letter](i)(x)
    return keras.Model(inputs, layers.Dense(1)(x))


@pytest.mark.parametrize("order", ["nd", "dn", "nnd"])
@pytest.mark.parametrize("simulator", [nengo.Simulator, npd.Simulator])
def test_same_draw_as_the_classical_network(order, simulator):
    """Mask by mask: what is added to a unit is dropped with the unit."""
    kmodel = model(order)
    conv = npd.Converter(kmodel, neurons="rate", seed=2)
    masks = [dropout.keep() for dropout in conv.dropouts]
    expected, left = X[:1], iter(masks)
    for layer in kmodel.layers[1:]:
        if isinstance(layer, PermanentDropout):
            expected = expected * next(left) / (1 - RATE)
        else:
            expected = np.asarray(layer(expected))
    assert 0 < np.sum(masks) < np.size(masks)
    with conv:
        stimulus = nengo.Node(X[0])
        nengo.Connection(stimulus, conv.input, synapse=None)
        probe = nengo.Probe(conv.output)
    with simulator(conv, progress_bar=False) as sim:
        sim.run(0.02)
    assert np.allclose(sim.data[probe][-1], expected[0], atol=1e-5)


def test_spikes_agree_and_energy_is_counted():
    """The KS test's limit is that of once in 1000."""
    kmodel = model("nd")
    conv = npd.Converter(kmodel)
    spiking = npd.sample(conv, X, n_draws=100, progress=False)
    classical = npd.sample(kmodel, X, n_draws=100, backend="keras", progress=False)
    assert npd.ks_agreement(spiking, classical).pvalue.min() > 0.001 / X.shape[0]
    assert np.isfinite(spiking.values).all()
    assert npd.energy(conv, X[:1], n_draws=2) is not None
