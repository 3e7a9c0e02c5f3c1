"""SoftLIF and PermanentDropout as PyTorch modules."""

import copy
import io
import pickle

import numpy as np
import pytest
from nengo.exceptions import ValidationError

torch = pytest.importorskip("torch")

import nengo_permadrop as npd  # noqa: E402
from nengo_permadrop.neurons.loihi import discretised_constants  # noqa: E402
from nengo_permadrop.sources.torch.rate_curves import (  # noqa: E402
    filtered_spikes,
    softlif_rate,
)
from nengo_permadrop.torch_layers import (  # noqa: E402
    PermanentDropout,
    SoftLIF,
    set_gamma,
    softlif,
)

X = np.linspace(-8, 8, 4001, dtype=np.float32)
OTHER = dict(gamma=0.1, gain=1.5, amplitude=0.02, tau_rc=0.03, tau_ref=0.001)


def gradient(layer, x):
    """Values of a layer, and their derivatives."""
    x = torch.tensor(x, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    return y.detach().numpy(), x.grad.numpy()


def keras_layer(**kwargs):
    """The Keras layer, on the same backend as its gradients."""
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "torch":
        pytest.skip("Keras runs on another backend")
    from nengo_permadrop import keras_layers

    return keras_layers.SoftLIF(**kwargs)


@pytest.mark.parametrize("kwargs", [{}, OTHER, dict(target="loihi")], ids=str)
@pytest.mark.parametrize("scale", [1, 1e6])
def test_softlif_is_the_keras_layer(kwargs, scale):
    if "target" in kwargs:
        pytest.importorskip("nengo_loihi")  # which the Keras layer asks
    expected, slope = gradient(keras_layer(**kwargs), scale * X)
    found, own_slope = gradient(SoftLIF(**kwargs), scale * X)
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert np.allclose(own_slope, slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kwargs", [{}, OTHER])
def test_softlif_is_the_neuron_type(kwargs):
    layer = SoftLIF(**kwargs)
    neuron = npd.SoftLIF(layer.gamma, layer.tau_rc, layer.tau_ref, layer.amplitude)
    X64 = X.astype(float)
    expected = neuron.rates(X64[:, None], layer.gain, [1.0])[:, 0]
    assert np.allclose(layer(torch.tensor(X64)), expected, rtol=1e-8, atol=1e-12)
    assert np.allclose(layer(torch.tensor(X)), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(softlif(torch.tensor(X), **kwargs), layer(torch.tensor(X)))
    # the derivative is that of the values
    x = torch.linspace(-1, 2, 60, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x, atol=1e-6)


def test_loihi_target_is_loihis_tuning_curve():
    layer = SoftLIF(target="loihi", tau_rc=0.03, tau_ref=0.0021)
    y, slope = gradient(layer, X.astype(float))
    tau_rc, tau_ref = discretised_constants(0.03, 0.0021)
    current = np.maximum(layer.gain * X.astype(float), 1e-300)
    period = np.ceil((tau_ref + tau_rc * np.log1p(1 / current)) / 0.001)
    expected = np.where(X > 0, layer.amplitude / (0.001 * period), 0.0)
    assert np.allclose(y, expected, rtol=1e-9)
    smooth = SoftLIF(tau_rc=0.03, tau_ref=0.0021)
    assert np.array_equal(slope, gradient(smooth, X.astype(float))[1])
    assert len(np.unique(np.round(y, 9))) < 200  # of periods, not of inputs


@pytest.mark.parametrize("noise", SoftLIF.NOISES[1:])
def test_noise_is_that_of_the_keras_layer(noise):
    keras_layer()
    from nengo_permadrop.sources.keras.layers import _filtered_spikes

    rng = np.random.RandomState(0)
    period, phase = torch.tensor(rng.uniform(0.002, 0.5, (2, 500)), dtype=torch.float32)
    arguments = period, phase / 0.5, noise, 0.005, 0.02
    expected = _filtered_spikes(*arguments).numpy()
    assert np.allclose(filtered_spikes(*arguments), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("noise", SoftLIF.NOISES[1:])
def test_noise_is_in_training_only_and_leaves_the_gradient(noise):
    layer = SoftLIF(noise=noise).train()
    clean, slope = gradient(SoftLIF(), X)
    torch.manual_seed(0)
    noisy, noisy_slope = gradient(layer, X)
    again, _ = gradient(layer, X)
    assert np.isfinite(noisy).all()
    assert np.array_equal(noisy_slope, slope)
    assert not np.array_equal(noisy, again)
    assert np.array_equal(gradient(layer.eval(), X)[0], clean)
    # its mean is the rate: 20,000 of them are off by 5 standard errors with p = 6e-7
    noisy = layer.train()(torch.full((20_000,), 1.0)).double()
    error = noisy.mean() - layer.eval()(torch.ones(1)).item()
    assert abs(error) < 5 * noisy.std() / 20_000**0.5


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


@pytest.mark.parametrize(
    "layer",
    [
        SoftLIF(),
        SoftLIF(**OTHER, target="loihi", noise="lowpass", tau_s=0.003),
        PermanentDropout(0.25),
        PermanentDropout(0.1, noise_shape=(None, 1, 3), seed=5),
    ],
)
def test_layers_keep_their_parameters(layer):
    """Through their text, copies and pickles; their state is no weight."""
    text = repr(layer)
    for other in (
        eval(text),
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
    ):
        assert type(other) is type(layer) and repr(other) == text
    assert not layer.state_dict()
    layer.load_state_dict({})


def test_state_of_a_module_round_trips():
    def made():
        return torch.nn.Sequential(
            torch.nn.Linear(3, 5),
            SoftLIF(),
            PermanentDropout(0.5),
            torch.nn.Linear(5, 1),
        )

    module, other = made(), made()
    kept = io.BytesIO()
    torch.save(module.state_dict(), kept)
    kept.seek(0)
    other.load_state_dict(torch.load(kept, weights_only=True))
    x = torch.ones(4, 3)
    for each in (module, other):
        torch.manual_seed(1)
        each.answers = each.eval()(x)
    assert torch.equal(module.answers, other.answers)


def test_set_gamma_sharpens_all_layers():
    module = torch.nn.Sequential(SoftLIF(), torch.nn.Sequential(SoftLIF(gamma=0.1)))
    set_gamma(module, 0.002)
    assert [each.gamma for each in module.modules() if hasattr(each, "gamma")] == [
        *(0.002, 0.002)
    ]
    x = torch.tensor([-0.1])
    assert module[0](x) < SoftLIF()(x) / 5
    with pytest.raises(ValidationError, match="gamma"):
        set_gamma(module, 0)
    with pytest.raises(ValidationError, match="no SoftLIF layer"):
        set_gamma(torch.nn.ReLU(), 0.1)


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("training", [False, True])
def test_dropout_is_on_in_both_modes(seed, training):
    # 3000 units at rate 0.4 keep 1800 +- 27: 5 sd, a false alarm has p = 6e-7
    torch.manual_seed(0)
    layer = PermanentDropout(0.4, seed=seed).train(training)
    x = torch.ones(1, 3000, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert set(np.unique(y.detach())) == {0.0, np.float32(1 / 0.6)}
    assert torch.equal(x.grad, y.detach())
    assert abs(int((y > 0).sum()) - 1800) < 5 * 27
    assert not torch.equal(layer(x), y)


def test_dropout_of_a_seed_has_a_stream_of_its_own():
    x = torch.ones(2, 50)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    layer = PermanentDropout(0.5, seed=7)
    masks = [layer(x) for _ in range(3)]
    assert torch.equal(torch.get_rng_state(), state)
    twin = PermanentDropout(0.5, seed=7)
    assert all(torch.equal(twin(x), mask) for mask in masks)
    assert not torch.equal(masks[0], masks[1])
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(x), twin(x))  # goes on where the layer is
        twin = copy.deepcopy(layer)
    assert not torch.equal(PermanentDropout(0.5, seed=8)(x), masks[0])


def test_dropout_of_groups():
    torch.manual_seed(0)
    y = PermanentDropout(0.5, noise_shape=(None, 1, 20))(torch.ones(8, 6, 20))
    assert torch.equal(y, y[:, :1].expand(8, 6, 20))
    assert not torch.equal(y[0], y[1]) and set(np.unique(y)) == {0.0, 2.0}
    with pytest.raises(ValueError, match="noise_shape"):
        PermanentDropout(0.5, noise_shape=(None, 1))(torch.ones(8, 6, 20))


@pytest.mark.parametrize("rate", [1.0, -0.1, "0.5", None])
def test_dropout_invalid_rate(rate):
    with pytest.raises(ValueError, match="rate"):
        PermanentDropout(rate)


@pytest.mark.parametrize("training", [False, True])
def test_export_keeps_the_layers_whole(training):
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 4), SoftLIF(noise="alpha"), PermanentDropout(0.25, seed=1)
    )
    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    program = torch.export.export(module.train(training), (x,))
    calls = {
        str(n.target): n.args for n in program.graph.nodes if n.op != "placeholder"
    }
    assert calls["nengo_permadrop.softlif.default"][1:] == (
        *(0.02, 0.02, 0.002, 0.01, 2.0, "nengo"),
    )
    assert calls["aten.dropout.default"][1:] == (0.25, True)
    # whoever doesn't know the operator finds what it is made of
    targets = {str(n.target) for n in program.run_decompositions().graph.nodes}
    assert not any("nengo_permadrop" in target for target in targets)


def test_rate_is_differentiable_far_from_the_threshold():
    x = torch.tensor([-1e30, -1e3, 0.0, 1e3, 1e30], requires_grad=True)
    softlif_rate(x, 0.02, 0.02, 0.002).sum().backward()
    assert torch.isfinite(x.grad).all()
