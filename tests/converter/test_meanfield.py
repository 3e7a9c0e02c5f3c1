"""Mean answers by theory, against simulations and finite differences."""

import nengo
import numpy as np
import pytest
from kmodels import combo, hidden, layers, mlp, observations
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.converter.meanfield.curves import Curve
from nengo_permadrop.converter.meanfield.model import MeanField
from nengo_permadrop.converter.meanfield.noise import SpikeNoise
from nengo_permadrop.converter.twins import rate_twin
from nengo_permadrop.sampling.pairs import paired_samples
from nengo_permadrop.sources.keras.layers import PermanentDropout, keras

DT = 0.001


@pytest.mark.parametrize(
    "synapse",
    (
        None,
        nengo.Alpha(0.005),
        nengo.Lowpass(0.002),
        nengo.Lowpass(0.03),
        nengo.synapses.Triangle(0.01),
    ),
    ids=str,
)
def test_noise_is_that_of_filtered_regular_spikes(synapse):
    # not of rates that are a simple part of 1 / dt, which is a notch in the noise
    rates = np.array([0.7, 3.0, 11.0, 47.0, 131.0, 271.0, 613.0, 789.0])
    n_phases, n_settle, n_steps = 400, 300, 5300
    phases = (np.arange(n_phases) + 0.5) / n_phases
    noise = SpikeNoise(synapse, DT)
    for rate in rates:
        counts = np.floor(phases + np.arange(n_steps + 1)[:, None] * rate * DT)
        spikes = np.diff(counts, axis=0) / DT
        filtered = spikes if synapse is None else synapse.filt(spikes, dt=DT, y0=0)
        # over all phases and times: in the mean, too, there is some of it
        variance = np.mean((filtered[n_settle:] - rate) ** 2)
        found = noise.variance(np.array([[rate, -rate]]))
        assert found == pytest.approx(np.full((1, 2), variance), rel=0.05, abs=1e-3)
    assert noise.variance(np.zeros(3)) == pytest.approx(np.zeros(3))


CURVES = [  # neurons, their currents, the noise on them, and errors: largest, and mean,
    # relative to the largest output. LIF neurons average noise over their membrane's
    # time constant, which is taken for a factor; the others are exact for normal noise.
    (nengo.LIF(amplitude=0.01), (0.5, 4.0), 0.1, 0.05, 0.003),
    (nengo.LIF(amplitude=0.01), (0.5, 4.0), 0.5, 0.09, 0.01),
    (nengo.SpikingRectifiedLinear(0.01), (-200.0, 400.0), 100.0, 0.005, 0.001),
    (nengo.RegularSpiking(nengo.Sigmoid(0.002), 0.01), (-4.0, 4.0), 1.5, 0.005, 0.001),
    (nengo.RegularSpiking(nengo.Tanh(0.002), 0.01), (-2.0, 2.0), 0.7, 0.005, 0.001),
    (
        nengo.RegularSpiking(npd.SoftLIF(gamma=0.1), 0.01),
        (0.5, 4.0),
        0.4,
        0.005,
        0.001,
    ),
]


@pytest.mark.parametrize("neuron_type, currents, std, largest, mean", CURVES, ids=str)
def test_mean_rates_are_those_of_noisy_neurons(
    neuron_type, currents, std, largest, mean
):
    """Noise from 40 neurons that fire at 48 to 75 Hz, with weights of both signs."""
    n, n_in, synapse = 25, 40, nengo.Alpha(0.005)
    currents = np.linspace(*currents, n)
    rates = 60.0 * np.linspace(0.8, 1.25, n_in)
    rng = np.random.RandomState(0)
    weights = rng.choice([-1.0, 1.0], size=(n, n_in))
    spread = np.sqrt(weights**2 @ SpikeNoise(synapse, DT).variance(rates))
    weights *= (std / spread)[:, None]
    with nengo.Network(seed=0) as net:
        pre = nengo.Ensemble(
            n_in,
            1,
            neuron_type=nengo.SpikingRectifiedLinear(),
            gain=np.ones(n_in),
            bias=rates,
        )
        post = nengo.Ensemble(
            n,
            1,
            neuron_type=neuron_type,
            gain=np.ones(n),
            bias=currents - weights @ rates,
            eval_points=np.zeros((1, 1)),
        )
        nengo.Connection(pre.neurons, post.neurons, transform=weights, synapse=synapse)
        probe = nengo.Probe(post.neurons)
    with npd.Simulator(net, n_replicas=200, seed=0, progress_bar=False) as sim:
        simulated = sim.run_mean(0.6, [probe], 0.1)[0].mean(axis=0)
    found = Curve(neuron_type).mean(currents[None], np.full((1, n), std))[0]
    scale = np.abs(simulated).max()
    assert np.abs(found - simulated).max() < largest * scale
    assert abs(np.mean(found - simulated)) < mean * scale


SLOPES = [
    nengo.LIF(amplitude=0.01),
    nengo.LIFRate(amplitude=0.01),
    nengo.SpikingRectifiedLinear(0.01),
    nengo.RectifiedLinear(0.01),
    nengo.RegularSpiking(nengo.Sigmoid(0.002), 0.01),
    npd.SoftLIF(gamma=0.1, amplitude=0.01),
]


@pytest.mark.parametrize("std", (0.0, 0.4))
@pytest.mark.parametrize("neuron_type", SLOPES, ids=str)
def test_slopes_of_curves_are_finite_differences(neuron_type, std):
    curve, width = Curve(neuron_type), 0.02
    current = np.linspace(1.1, 5, 40)[None]
    std = np.full_like(current, std)
    output, slope = curve.mean(current, std, slope=True)
    assert np.array_equal(output, curve.mean(current, std))
    above, below = (curve.mean(current + d, std) for d in (width, -width))
    expected, tolerance = (above - below) / (2 * width), 0.01
    if isinstance(neuron_type, nengo.LIF) and std.any():
        # the mean is a sum over few points, whose differences depend on where they are
        expected, tolerance = lif_slope(current, curve._share * std, neuron_type), 0.1
    assert slope == pytest.approx(expected, rel=0.02, abs=tolerance * expected.max())


def lif_slope(current, std, neuron_type):
    """By a sum over very many points."""
    z = np.linspace(-6, 6, 20001)[:, None]
    weights = np.exp(-0.5 * z**2) / np.sum(np.exp(-0.5 * z**2))
    rates = neuron_type.rates((current + z * std).ravel(), 1.0, 0.0).reshape(len(z), -1)
    return np.sum(weights * z * rates, axis=0) / std


def test_rates_of_a_silent_neuron_are_zero():
    for neuron_type in (nengo.LIF(), nengo.SpikingRectifiedLinear()):
        current = np.full((2, 3), -5.0)
        output, slope = Curve(neuron_type).mean(current, np.zeros((2, 3)), slope=True)
        assert np.abs(output).max() < 1e-100 and np.abs(slope).max() < 1e-100


MODELS = {
    "softlif": lambda: mlp(units=(12, 9)),
    "relu": lambda: mlp(units=(12, 9), activation="relu"),
    "tanh": lambda: mlp(units=(12, 9), activation="tanh"),
    "combo": combo,
    "dropout of sums and inputs": lambda: built(
        lambda x: hidden(
            PermanentDropout(0.3)(
                layers.add([hidden(PermanentDropout(0.2)(x), 8, 0.1), hidden(x, 8, 0)])
            ),
            5,
            0.3,
        )
    ),
    "no neurons": lambda: built(lambda x: layers.Dense(2)(PermanentDropout(0.3)(x))),
}


def built(build):
    keras.utils.set_random_seed(0)
    inp = keras.Input((4,), name="x")
    return keras.Model(inp, build(inp))


@pytest.mark.parametrize("name", MODELS)
def test_rate_networks_are_computed_exactly(name):
    model = MODELS[name]()
    X = observations(model, 6)
    conv = npd.Converter(model, seed=0)
    field = MeanField(rate_twin(conv))
    means = field.forward([x.reshape(6, -1) for x in X])
    for node, expected in zip(field.outputs, npd_without_dropout(model, X)):
        assert means[node] == pytest.approx(expected, abs=1e-5)
    assert field.spikes(means) == 0


def npd_without_dropout(model, X):
    from nengo_permadrop.sources.keras.forward import KerasForward

    return [y.reshape(len(y), -1) for y in KerasForward(model)(X)]


def test_masks_are_where_the_network_has_them():
    model = combo(rate=0.4)
    conv = npd.Converter(model, seed=0)
    field = MeanField(rate_twin(conv))
    assert len(field.mask_sizes) == sum(len(d.masks) for d in conv.dropouts)
    assert {rate for _, rate in field.mask_sizes} == {0.4}
    masks = field.draw_masks(2000, np.random.RandomState(0))
    for mask, (size, _) in zip(masks, field.mask_sizes):
        assert mask.shape == (2000, size)
        assert set(np.unique(mask)) == {0.0, 1 / 0.6}
        # 5 standard errors
        assert mask.mean() == pytest.approx(1.0, abs=5 * np.sqrt(2 / 3 / mask.size))
    # without masks nothing is dropped; with those that are 1, either
    X = [x.reshape(3, -1) for x in observations(model, 3)]
    ones = [np.ones((3, size)) for size, _ in field.mask_sizes]
    plain, same = (field.forward(X, each) for each in (None, ones))
    for node in field.outputs:
        assert np.array_equal(plain[node], same[node])
    zeros = [np.zeros((3, size)) for size, _ in field.mask_sizes]
    dropped = field.forward(X, zeros)[field.outputs[0]]
    assert np.ptp(dropped) == pytest.approx(0)


@pytest.mark.parametrize(
    "name, neurons",  # slopes of LIF neurons aren't differences of their means; above
    [
        *((name, "rate") for name in ("softlif", "relu", "tanh", "combo")),
        *((name, "spiking") for name in ("relu", "tanh")),
    ],
)
def test_backward_is_finite_differences(name, neurons):
    model = MODELS[name]()
    conv = npd.Converter(model, seed=0)
    with nengo.Network(seed=0):
        conv = conv if neurons == "spiking" else rate_twin(conv)
    field = MeanField(conv)
    rng = np.random.RandomState(0)
    X = [x.reshape(5, -1) for x in observations(model, 5)]
    masks = field.draw_masks(5, rng)
    slopes = {}
    means = field.forward(X, masks, slopes)
    wanted = {node: rng.randn(*means[node].shape) for node in field.outputs}
    by_weights, by_bias = field.backward(means, slopes, wanted, masks)

    # the noise is taken as it is: it doesn't change with weights, nor do its effects
    if neurons == "spiking":
        frozen = {}
        for layer in field.layers:
            if layer.curve is not None:
                layer.curve.mean = _recorded(layer.curve, frozen)
        field.forward(X, masks)
        for layer in field.layers:
            if layer.curve is not None:
                layer.curve.mean = _replayed(layer.curve, frozen)

    def loss():
        found = field.forward(X, masks)
        return sum(float(np.sum(found[node] * wanted[node])) for node in field.outputs)

    def difference(array, index, width=1e-4):
        values = []
        for step in (width, -width):
            array[index] += step
            values.append(loss())
            array[index] -= step
        return (values[0] - values[1]) / (2 * width)

    assert len(by_bias) == len(field.layers)
    found, expected = [], []
    for layer in field.layers:
        scale = 1.0 if layer.curve is None else np.abs(layer.gain).mean()
        layer.bias = np.array(layer.bias, dtype=float)
        for j in range(min(3, layer.bias.size)):
            found.append(by_bias[layer][j])
            expected.append(difference(layer.bias, j, 1e-4 * scale))
        for edge in layer.edges:
            edge.weights = np.array(edge.weights)
            for _ in range(3):
                index = tuple(rng.randint(n) for n in edge.weights.shape)
                found.append(by_weights[edge][index])
                expected.append(difference(edge.weights, index))
    found, expected = np.array(found), np.array(expected)
    assert np.linalg.norm(expected) > 0
    assert np.linalg.norm(found - expected) < 0.005 * np.linalg.norm(expected)


def _recorded(curve, frozen):
    original = type(curve).mean

    def mean(current, std, slope=False):
        frozen[curve] = std
        return original(curve, current, std, slope)

    return mean


def _replayed(curve, frozen):
    original = type(curve).mean

    def mean(current, std, slope=False):
        return original(curve, current, frozen[curve], slope)

    return mean


@pytest.mark.parametrize("units", ((40, 40), (40, 40, 40)))
def test_predicts_the_paired_bias_of_relu_networks(units):
    model = mlp(units=units, rate=0.15, activation="relu", seed=len(units))
    X = 0.2 * observations(model, 30)[0]  # few spikes for each activation
    conv = npd.Converter(model, scale_firing_rates=100, seed=0)
    spiking, classical = paired_samples(
        conv, X, n_draws=40, presentation_time=0.6, settle=0.1
    )
    seen = (spiking.values - classical.values).mean(axis=0)[:, 0]

    model, rates = MeanField(conv), MeanField(rate_twin(conv))
    n_masks = 400  # so that chance is in what is seen only
    rows = np.repeat(X, n_masks, axis=0)
    masks = model.draw_masks(len(rows), np.random.RandomState(0))
    mean, reference = (
        field.forward([rows], masks)[field.outputs[0]] for field in (model, rates)
    )
    predicted = (mean - reference).reshape(30, n_masks).mean(axis=1)
    assert np.abs(predicted).mean() > 0.03 * classical.std().mean()  # there is some
    # what is seen, by rows, as a multiple of what is predicted; of 30 rows with as much
    # chance as there is, the standard error of the multiple is about 0.07
    multiple = predicted @ seen / (predicted @ predicted)
    assert 0.75 < multiple < 1.25


def test_spikes_are_counted():
    model = mlp(units=(20, 20), activation="relu")
    X = observations(model, 8)[0]
    conv = npd.Converter(model, dropout="off", seed=0)
    field = MeanField(conv)
    expected = field.spikes(field.forward([X]))
    with nengo.Network(seed=0) as net:
        net.add(conv)
        probes = [nengo.Probe(ens.neurons) for ens in conv.all_ensembles]
    with npd.Simulator(
        net, n_replicas=8, seed=0, progress_bar=False, inputs={conv.input: X}
    ) as sim:
        means = sim.run_mean(0.6, probes, 0.1)
    amplitudes = [ens.neuron_type.amplitude for ens in conv.all_ensembles]
    seen = sum(
        mean.sum(axis=-1).mean() / amplitude
        for mean, amplitude in zip(means, amplitudes)
    )
    assert expected == pytest.approx(seen, rel=0.1)


@pytest.mark.parametrize("options", ({}, {"copies": 3}, {"redraw": 0.05}), ids=str)
def test_layers_have_one_order_in_all_conversions(options):
    model = combo()
    plain = MeanField(npd.Converter(model, seed=0))
    other = MeanField(npd.Converter(model, seed=1, **options))
    assert len(plain.layers) == len(other.layers)
    for layer, theirs in zip(plain.layers, other.layers):
        assert layer.obj.label == theirs.obj.label
        pairs = list(zip(layer.edges, theirs.edges, strict=True))
        assert all(np.array_equal(a.weights, b.weights) for a, b in pairs)
        assert all(a.mask == b.mask for a, b in pairs)


def test_networks_with_loops_are_named():
    conv = npd.Converter(mlp(units=(4, 4), activation="relu"))
    first, second = conv.all_ensembles
    with conv:
        nengo.Connection(second.neurons, first.neurons, transform=np.ones((4, 4)))
    with pytest.raises(ValidationError, match="loop of connections"):
        MeanField(conv)


@pytest.mark.parametrize("kind", ("relu", None))
def test_networks_for_loihi_have_the_rates_of_its_neurons(kind):
    loihi = pytest.importorskip("nengo_loihi").neurons
    model = mlp(units=(10, 10), activation=kind, target="loihi")
    with nengo.Network(seed=0):
        conv = npd.Converter(model, target="loihi")
    curve = MeanField(conv).layers[1].curve
    assert isinstance(
        curve.neuron_type, (loihi.LoihiLIF, loihi.LoihiSpikingRectifiedLinear)
    )
    current = np.linspace(-2, 9, 50)[None] * (1 if kind is None else 60)
    quantised = curve.mean(current, np.zeros_like(current))
    periods = curve.amplitude / quantised[quantised > 0] / DT
    assert len(periods) > 20 and periods == pytest.approx(np.round(periods))
