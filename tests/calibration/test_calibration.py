import pickle

import nengo
import numpy as np
import pytest
from kmodels import combo, mlp, observations
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.calibration.fitting import _line
from nengo_permadrop.calibration.parts import Part, correct
from nengo_permadrop.sources.keras.layers import PermanentDropout, SoftLIF, keras

# of networks that need it
pytestmark = pytest.mark.filterwarnings("ignore:.* may not agree")

FAST = dict(n_draws=8, presentation_time=0.15, settle=0.05)


@pytest.fixture(scope="module")
def kmodel():
    """With a tail under the threshold, that LIF lacks, of much of the signal."""
    model = mlp(units=(30, 30))
    for layer in model.layers:
        if isinstance(layer, SoftLIF):
            layer.gamma = 0.3
    return model


@pytest.fixture(scope="module")
def X(kmodel):
    return observations(kmodel, 64)


@pytest.fixture(scope="module")
def calibrated(kmodel, X):
    conv = npd.Converter(kmodel, seed=0)
    npd.calibrate(conv, X, **FAST)
    return conv


def corrections(conv):
    return [(c.layer, c.gain, c.bias) for c in conv.calibration.corrections]


def same(a, b):
    return all(
        name == other and np.array_equal(gain, gain_b) and np.array_equal(bias, bias_b)
        for (name, gain, bias), (other, gain_b, bias_b) in zip(
            corrections(a), corrections(b)
        )
    )


def test_takes_the_error_back_on_held_out_observations(calibrated):
    # gain and bias can't undo all of it: what neurons lack depends on the observation
    calibration = calibrated.calibration
    assert calibration.n_observations == 48 and calibration.n_held_out == 16
    assert len(calibration.corrections) == 2  # of hidden2 and y; hidden1 has no error
    for correction in calibration.corrections:
        assert correction.before > 0.08
        assert correction.after < 0.85 * correction.before


def test_draws_come_nearer_to_the_classical_ones(calibrated, kmodel):
    # the mean over 400 observations, 16 draws each, has a standard error of about
    # sqrt(2 / 6400) = 0.018 sd
    X = observations(kmodel, 400, seed=1)
    classical = npd.sample(kmodel, X, n_draws=16, backend="keras", progress=False)

    def bias(conv):
        spiking = npd.sample(conv, X, n_draws=16, progress=False)
        return abs(np.mean((spiking.mean() - classical.mean()) / classical.std()))

    assert bias(calibrated) < 0.5 * bias(npd.Converter(kmodel))


def test_same_seed_same_corrections(calibrated, kmodel, X):
    again, other = (npd.Converter(kmodel, seed=5) for _ in range(2))
    npd.calibrate(again, X, **FAST)  # the converter's own masks make no difference
    npd.calibrate(other, X, seed=1, **FAST)
    assert same(calibrated, again)
    assert not same(calibrated, other)


def test_verify_and_pickle(calibrated, kmodel, X):
    assert calibrated.verify(X) < 1e-4  # the conversion, not the corrections
    copy = pickle.loads(pickle.dumps(calibrated))
    assert same(calibrated, copy)
    one, other = (
        npd.sample(conv, X, n_draws=2, progress=False).values
        for conv in (calibrated, copy)
    )
    assert np.array_equal(one, other)
    fresh = npd.sample(npd.Converter(kmodel, seed=0), X, n_draws=2, progress=False)
    assert not np.allclose(one, fresh.values)


def test_calibration_in_words(calibrated):
    assert "hidden" not in repr(calibrated.calibration)
    assert "48 observations" in repr(calibrated.calibration)
    lines = str(calibrated.calibration).splitlines()
    assert lines[-1].split()[0] == "y" and len(lines) == 3
    assert npd.Converter(mlp(units=(4,))).calibration is None


def test_biases_only(kmodel, X):
    conv = npd.Converter(kmodel)
    for correction in npd.calibrate(conv, X, gains=False, **FAST).corrections:
        assert np.all(correction.gain == 1)
        assert np.any(correction.bias != 0)


def test_all_layers_but_the_first_of_each_input():
    model = combo()
    conv = npd.Converter(model)
    calibration = npd.calibrate(conv, observations(model, 8), **FAST)
    n_first = 3  # one per input; the shared encoder is used twice
    assert len(calibration.corrections) == len(conv.all_ensembles) - n_first + 1
    assert calibration.corrections[-1].layer == "growth"


def test_output_without_a_bias_gets_one():
    inp = keras.Input((3,), name="x")
    x = SoftLIF()(keras.layers.Dense(10)(inp))
    x = PermanentDropout(0.2)(x)
    model = keras.Model(inp, keras.layers.Dense(2, use_bias=False, name="y")(x))
    conv = npd.Converter(model)
    (correction,) = npd.calibrate(conv, observations(model, 8), **FAST).corrections
    (bias,) = (node for node in conv.all_nodes if node.size_in == 0)
    assert np.array_equal(bias.output, correction.bias)


@pytest.mark.parametrize("units", [2, 5])
def test_constants_that_are_dropped_are_scaled_with_the_rest(units):
    """Those of a batch normalisation, of the output's size and of another one."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(units, "relu")])
    model.add(layers.BatchNormalization(beta_initializer="ones"))
    model.add(PermanentDropout(0.3))
    model.add(layers.Dense(2, use_bias=False, name="y"))
    conv = npd.Converter(model, neurons="rate", seed=0)
    gain, bias = np.array([1.5, 0.5]), np.array([-0.25, 3.0])
    X = observations(model, 3)

    def answers():
        return npd.sample(
            conv, X, 10, settle=0.1, presentation_time=0.11, progress=False
        ).values

    before = answers()
    correct(conv, Part("y", None), gain, bias)
    assert np.ptp(before, axis=0).min() > 0
    assert np.allclose(answers(), gain * before + bias, rtol=1e-4, atol=1e-5)


def test_noise_of_spikes_does_not_weaken_the_gain():
    rng = np.random.RandomState(0)
    rate = rng.randn(100, 200, 3)
    # noise as strong as the signal would halve a gain that is fitted the other way
    spiking = (rate - 0.5) / 1.1 + rng.randn(100, 200, 3)
    gain, bias = _line(spiking, rate, gains=True)
    # standard errors of 0.008
    assert np.allclose(gain, 1.1, atol=0.04)
    assert np.allclose(bias, 0.5, atol=0.04)
    rate[..., 0] = 2.0  # a constant current has no gain
    gain, bias = _line(rate + 0.25, rate, gains=True)
    assert np.allclose(gain, 1) and np.allclose(bias, -0.25)


def test_gains_at_their_limits_are_told(kmodel, X):
    conv = npd.Converter(kmodel)
    too_early = {"presentation_time": 0.02, "settle": 0.0}
    with pytest.warns(UserWarning, match=r"gains of .*'y' \(1 of 1\) would have to"):
        calibration = npd.calibrate(conv, X, **{**FAST, **too_early})
    assert calibration.corrections[-1].gain == 1.25


@pytest.mark.parametrize(
    "kwargs, attr",
    [
        (dict(n_draws=0), "n_draws"),
        (dict(settle=0.2, presentation_time=0.1), "settle"),
        (dict(settle=-0.1), "settle"),
        (dict(dt=0), "dt"),
        (dict(X_calibration=np.zeros((3, 6))), "X_calibration"),
        (dict(X_calibration=np.zeros((8, 5))), "X"),
    ],
)
def test_errors(kmodel, kwargs, attr):
    conv = npd.Converter(kmodel)
    with pytest.raises(ValidationError, match=attr):
        npd.calibrate(conv, **{"X_calibration": np.zeros((8, 6)), **kwargs})
    assert conv.calibration is None


def test_what_can_not_be_calibrated(calibrated, kmodel, X):
    with nengo.Network() as net:
        rate = npd.Converter(kmodel, neurons="rate")
    for conv, why in (
        (net, "Network"),
        (rate, "rate neurons"),
        (calibrated, "calibrated"),
    ):
        with pytest.raises(ValidationError, match=why):
            npd.calibrate(conv, X)


def test_copies_are_corrected_alike(kmodel, X, calibrated):
    conv = npd.Converter(kmodel, seed=0, copies=3)
    npd.calibrate(conv, X, **FAST)
    assert all(copy.calibration is conv.calibration for copy in conv.copies)
    neurons = [
        (ensemble.gain, ensemble.bias)
        for ensemble in [*conv.all_ensembles, *calibrated.all_ensembles]
    ]
    one = len(calibrated.all_ensembles)
    assert len(neurons) == 4 * one
    for number, (gain, bias) in enumerate(neurons):
        assert np.array_equal(gain, neurons[number % one][0])
        assert np.array_equal(bias, neurons[number % one][1])
    samples = npd.sample(conv, X, n_draws=3, seed=0, progress=False)
    assert samples.values.shape == (3, 64, 1)


def test_networks_for_loihi():
    pytest.importorskip("nengo_loihi")
    model = mlp(units=(30, 30, 30), target="loihi")
    with nengo.Network(seed=0):
        # a short synapse, so that there is enough to correct
        options = dict(target="loihi", synapse=0.002, seed=0)
        plain, conv = (npd.Converter(model, **options) for _ in range(2))
    calibration = npd.calibrate(
        conv, observations(model, 64), **{**FAST, "n_draws": 64}
    )
    assert calibration.corrections[-1].after < 0.8 * calibration.corrections[-1].before
    assert conv.verify(observations(model, 4)) < 1e-4

    def draws(network, backend):
        return npd.sample(
            network,
            observations(model, 4, seed=1),
            n_draws=6,
            backend=backend,
            presentation_time=0.3,
            settle=0.05,
            progress=False,
        ).values.ravel()

    # the batched simulator, which measures, is near the emulator, and what is corrected
    # on the one is corrected on the other
    before, emulated = (draws(plain, name) for name in ("batched", "nengo_loihi"))
    assert np.corrcoef(before, emulated)[0, 1] > 0.99
    moved = draws(conv, "batched") - before, draws(conv, "nengo_loihi") - emulated
    assert np.corrcoef(*moved)[0, 1] > 0.7
