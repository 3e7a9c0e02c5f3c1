import numpy as np
import pytest
from nengo.exceptions import ValidationError

pytest.importorskip("keras")
import nengo_permadrop as npd
from nengo_permadrop import datasets, models
from nengo_permadrop.neurons.softlif import SoftLIF as SoftLIFRate
from nengo_permadrop.sources.keras.layers import SoftLIF
from nengo_permadrop.training.evaluation import accuracy, are_classes, mean_predictions
from nengo_permadrop.training.recipe import SOFTLIF, softlif_at

SHAPES = dict(n_rows=60, n_validation=10, n_test=15)


@pytest.mark.parametrize("target", ["nengo", "loihi"])
def test_lenet_converts(target):
    if target == "loihi":
        pytest.importorskip("nengo_loihi")
    kmodel = models.lenet(
        (9, 8, 2), (3, 4), units=(6,), rate=0.2, n_outputs=5, target=target
    )
    conv = npd.Converter(kmodel, target=target, seed=0)
    X = np.random.RandomState(0).uniform(-1, 1, size=(4, 9, 8, 2))
    assert conv.verify(X) < 1e-5
    assert conv.n_neurons == 9 * 8 * 3 + 4 * 4 * 4 + 6
    assert conv.output.size_out == 5
    assert [dropout.rate for dropout in conv.dropouts] == [0.2] * 3
    for dropout, shape in zip(conv.dropouts, [(9, 8, 3), (4, 4, 4), (6,)]):
        mask = dropout.drawn().reshape(-1, shape[-1])
        # all pixels of a channel are dropped together
        assert (mask == mask[0]).all()


def test_lenet_is_seeded_and_made_for_the_size_of_its_images():
    a, b, c = (models.lenet((8, 8, 1), seed=seed) for seed in (1, 1, 2))
    for x, y, z in zip(a.get_weights(), b.get_weights(), c.get_weights()):
        assert np.array_equal(x, y)
        assert x.ndim == 1 or not np.array_equal(x, z)
    assert a.get_layer("conv1").kernel_size == (3, 3)
    large = models.lenet((28, 28, 1), n_outputs=3)
    assert large.get_layer("conv1").kernel_size == (5, 5)
    assert large.get_layer("hidden1").get_weights()[0].shape == (7 * 7 * 16, 120)
    assert large.output_shape == (None, 3)


@pytest.mark.parametrize("shape", [(3, 8, 1), (8, 8), (8,)])
def test_images_that_are_too_small_for_the_pools(shape):
    with pytest.raises(ValidationError, match="at least 4 x 4 pixels"):
        models.lenet(shape)


def test_images_get_a_lenet():
    data = datasets.load("shapes", **SHAPES)
    kmodel = models.for_dataset(data, filters=(2,), units=())
    assert kmodel.name == "lenet" and kmodel.input_shape == (None, 28, 28, 1)
    assert kmodel.output_shape == (None, 10)
    models.train(kmodel, data, epochs=1)
    target, mean = mean_predictions(kmodel, data.test, n_draws=2)
    assert target.shape == mean.shape == (15, 10)
    relu = models.for_dataset(data, filters=(2,), units=(), activation="relu")
    assert not any(isinstance(layer, SoftLIF) for layer in relu.layers)


def test_firing_rates_of_softlif():
    at_100 = softlif_at(100)
    assert at_100["amplitude"] == SOFTLIF["amplitude"]
    assert at_100["gain"] == pytest.approx(SOFTLIF["gain"], rel=0.02)
    for rate in (30, 200, 450):
        found = softlif_at(rate)
        current = 1 + found["gain"] * np.ones((1, 1))
        curve = SoftLIFRate(gamma=1e-4)
        assert curve.rates(current, [1.0], [0.0]) == pytest.approx(rate, rel=1e-3)
        kmodel = models.lenet((4, 4, 1), (2,), units=(), firing_rate=rate)
        (layer,) = (each for each in kmodel.layers if isinstance(each, SoftLIF))
        assert layer.gain == pytest.approx(found["gain"])
        assert layer.amplitude == pytest.approx(1 / rate)
    for rate in (0, -1, 500):
        with pytest.raises(ValidationError, match="firing_rate: must be above 0"):
            softlif_at(rate)


def test_which_targets_are_classes():
    certain = np.eye(3)[[0, 1, 2, 1]]
    soft = np.array([[0.5, 0.5, 0.0]])
    assert are_classes(certain)
    assert are_classes((certain.astype(np.float32) - 0.3) * 3.3 / 3.3 + 0.3)
    assert are_classes(np.concatenate([certain, soft]))
    assert not are_classes(np.concatenate([certain[:1], soft, soft]))  # shares
    assert not are_classes(certain[:, :1])
    assert not are_classes(2 * certain)
    assert not are_classes(certain - 0.5)
    assert not are_classes(np.array([[2.0, -1.0], [1.0, 0.0]]))
    assert not are_classes(certain[:0])


def test_accuracy():
    target = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0], [0.3, 0.7, 0]])
    assert accuracy(target, target) == 1
    assert accuracy(target, 1 - target) == 0
    # of two that are as likely, both are right; of others, the likelier one
    prediction = [[0.9, 0.5, 0.8], [0.9, 0.5, 0.8], [0, 2, 1], [2, 1, 0]]
    assert accuracy(target, np.array(prediction)) == 0.5
