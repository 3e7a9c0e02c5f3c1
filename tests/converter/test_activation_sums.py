"""Networks in which several neurons add up to an activation."""

import re

import nengo
import numpy as np
import pytest
from kmodels import keras, layers, observations
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.converter import network as network_module
from nengo_permadrop.converter.verify import verify
from nengo_permadrop.graph.writer import GraphWriter
from nengo_permadrop.neurons.activations import activation_neurons
from nengo_permadrop.sampling.sampler import sample_unchecked


def model(*activation, units=10, seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((4,), name="x"),
            layers.Dense(units, bias_initializer="random_normal"),
            *activation,
            layers.Dropout(0.3),
            layers.Dense(2),
        ]
    )


def sloped():
    initializer = keras.initializers.RandomUniform(-0.5, 0.5)
    return layers.PReLU(alpha_initializer=initializer)


EXACT = {
    "max_value": (lambda: layers.ReLU(0.5), 2),
    "negative_slope": (lambda: layers.ReLU(negative_slope=0.2), 2),
    "both": (lambda: layers.ReLU(max_value=0.5, negative_slope=0.2), 3),
    "LeakyReLU": (lambda: layers.LeakyReLU(0.1), 2),
    "PReLU": (sloped, 2),
    "hard_sigmoid": (lambda: layers.Activation("hard_sigmoid"), 2),
    "leaky_relu": (lambda: layers.Activation("leaky_relu"), 2),
    "relu6": (lambda: layers.Activation("relu6"), 2),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact(name):
    make, per_unit = EXACT[name]
    kmodel = model(make())
    conv = npd.Converter(kmodel)
    rows = [3 * x for x in observations(kmodel, 20)]
    assert conv.verify(rows) < 1e-5
    assert conv.n_neurons == 10 * per_unit
    assert conv.approximations == {}


NAMES = ["elu", "gelu", "selu", "softplus", "swish"]
if hasattr(keras.activations, "mish"):
    NAMES.append("mish")


@pytest.mark.parametrize("name", NAMES)
def test_approximations_are_within_their_bound(name):
    kmodel = model(layers.Activation(name, name="f"))
    conv = npd.Converter(kmodel)
    (path,) = conv.approximations
    assert path == "f"
    rows = observations(kmodel, 20)
    assert conv.verify(rows) < 1e-5
    _, error = verify(conv, rows, 1e-4)
    weights = np.abs(kmodel.layers[-1].get_weights()[0]).sum(axis=0).max() / 0.7
    assert 1e-4 < error <= weights * conv.approximations["f"]
    words = conv.report().approximations[0]
    said = re.fullmatch(
        r"The \w+ of layer 'f' is a sum of rectified neurons, which is off by at most "
        r"([\d.]+) for any input\.",
        words,
    )
    assert conv.approximations["f"] <= float(said[1]) < conv.approximations["f"] + 1e-4


def test_weights_that_have_changed_are_noticed_beside_the_approximations():
    kmodel = model(layers.Activation("gelu"))
    conv = npd.Converter(kmodel)
    kernel, bias = kmodel.layers[-1].get_weights()
    kernel[3, 1] += 1e-2  # which changes less than the approximations do
    kmodel.layers[-1].set_weights([kernel, bias])
    with pytest.raises(npd.ConversionError, match="beside what approximations change"):
        conv.verify(observations(kmodel, 20))


def test_a_bound_that_does_not_hold_is_noticed(monkeypatch):
    kmodel = model(layers.Activation("gelu"))
    conv = npd.Converter(kmodel)
    from nengo_permadrop.neurons import activations

    known = activation_neurons("gelu", 1.0)
    wrong = type(known)(**{**vars(known), "error": 1e-3})
    monkeypatch.setattr(activations, "activation_neurons", lambda *_, **__: wrong)
    with pytest.raises(ValidationError, match="at most 0.001 is said"):
        conv.verify(observations(kmodel, 20))


def test_all_neurons_of_a_unit_are_dropped_together():
    kmodel = model(layers.Activation("gelu"))
    conv = npd.Converter(kmodel, neurons="rate", synapse=None, seed=3)
    (dropout,) = conv.dropouts
    assert dropout.size == 10
    kept = dropout.keep()
    assert 0 < kept.sum() < 10
    (x,) = observations(kmodel, 1)
    with conv:
        nengo.Connection(nengo.Node(x[0]), conv.input, synapse=None)
        probe = nengo.Probe(conv.output)
    with nengo.Simulator(conv, progress_bar=False) as sim:
        sim.run_steps(3)
    first, last = kmodel.layers[0].get_weights(), kmodel.layers[-1].get_weights()
    hidden = np.asarray(keras.activations.gelu(x @ first[0] + first[1]))
    expected = (hidden * kept / 0.7) @ last[0] + last[1]
    largest = np.abs(last[0]).sum(axis=0).max() / 0.7
    assert np.abs(sim.data[probe][-1] - expected).max() < largest * 0.0125


def test_units_are_dropped_where_their_neurons_are_connected_from():
    conv = npd.Converter(model(layers.ReLU(max_value=0.5)))
    (dropout,) = conv.dropouts
    (mask,) = dropout.masks
    assert mask.groups.tolist() == [*range(10)] * 2
    assert len(conv.nodes) == 2  # input and output
    assert dropout.n_groups == dropout.size == 10


def test_a_unit_of_one_of_several_layers():
    """Their masks have one seed, and what is added to units is dropped with them."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,), name="x")
    parts = [
        layers.Dense(5, activation)(inputs) for activation in ("elu", "relu", "relu6")
    ]
    x = layers.Dropout(0.4)(layers.Concatenate()(parts))
    kmodel = keras.Model(inputs, layers.Dense(3)(x))
    conv = npd.Converter(kmodel, seed=1)
    (dropout,) = conv.dropouts
    assert dropout.size == 15 and 0 < dropout.keep().sum() < 15
    assert len({mask.seed for mask in dropout.masks}) == 1
    assert sorted(np.concatenate([mask.rows for mask in dropout.masks])) == sorted(
        [*range(5)] * 6 + [*range(5, 10)] + [*range(10, 15)] * 2
    )
    assert conv.verify(observations(kmodel, 10)) < 1e-5  # with these masks, too


def test_average_pooling_needs_no_node_either():
    kmodel = keras.Sequential(
        [
            keras.Input((4,), name="x"),
            layers.Dense(12, "relu"),
            layers.Reshape((6, 2)),
            layers.AveragePooling1D(2),
            layers.Dropout(0.4),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    conv = npd.Converter(kmodel)
    assert len(conv.nodes) == 2
    assert conv.verify(observations(kmodel, 10)) < 1e-5


@pytest.mark.parametrize("redraw", [None, 0.1])
def test_on_loihi(redraw):
    pytest.importorskip("nengo_loihi")
    kmodel = model(layers.LeakyReLU(0.1), layers.Dense(6), layers.ReLU(0.5))
    conv = npd.Converter(kmodel, target="loihi", redraw=redraw)
    assert conv.verify(observations(kmodel, 5)) < 1e-5
    (dropout,) = conv.dropouts
    assert dropout.gated == (redraw is not None)
    (x,) = observations(kmodel, 1)
    options = dict(n_draws=2, backend="nengo_loihi", progress=False)
    assert sample_unchecked(conv, x, **options).values.std() > 0


@pytest.mark.parametrize("name", ["elu", "gelu"])
def test_spiking_draws_have_the_classical_mean(name):
    """With the same masks of a draw, as both are given many of them."""
    kmodel = model(layers.Activation(name), units=40)
    (x,) = observations(kmodel, 3)
    conv = npd.Converter(kmodel, X=x)
    drawn = npd.sample(conv, x, n_draws=200, progress=False)
    classical = npd.sample(kmodel, x, n_draws=200, backend="keras", progress=False)
    error = np.hypot(drawn.std(), classical.std()) / np.sqrt(200)
    # 6 comparisons, at 4 standard errors: 1 of 2600 such tests fails by chance
    assert (np.abs(drawn.mean() - classical.mean()) < 4 * error).all()
    assert np.allclose(drawn.std(), classical.std(), rtol=0.4)


def test_draws_are_the_same_on_the_reference_simulator():
    kmodel = model(layers.ReLU(0.5, 0.2), layers.Dense(6, "elu"))
    conv = npd.Converter(kmodel)
    (x,) = observations(kmodel, 2)
    drawn = [
        npd.sample(conv, x, n_draws=2, backend=backend, progress=False).values
        for backend in ("batched", "nengo")
    ]
    assert np.allclose(*drawn, atol=1e-5) and drawn[0].std() > 0


def test_rates_are_those_of_the_neurons():
    """A neuron that is far above its threshold has more than the activation."""
    kmodel = model(layers.ReLU(max_value=1.0, name="f"))
    (x,) = observations(kmodel, 100)
    conv = npd.Converter(kmodel, X=10 * x)
    first = kmodel.layers[0].get_weights()
    hidden = np.maximum(0, 10 * x @ first[0] + first[1])
    both = np.concatenate([hidden, np.maximum(0, hidden - 1)], axis=1)
    assert conv.firing_rates["f"] == pytest.approx(500 / np.quantile(both, 0.99))
    (layer,) = conv.report(10 * x).layers
    assert layer.n_neurons == 20
    assert layer.high_rate == pytest.approx(500, rel=0.05)


def test_report_expects_little_bias():
    kmodel = model(layers.Activation("gelu"), units=40)
    (x,) = observations(kmodel, 30)
    report = npd.Converter(kmodel, X=x).report(x)
    assert report.bias < 0.1 and not report.warnings


def test_firing_rates_can_be_given():
    conv = npd.Converter(
        model(layers.Activation("gelu", name="f")), scale_firing_rates={"f": 123}
    )
    assert conv.firing_rates == {"f": 123.0}
    (ensemble,) = conv.ensembles
    assert np.all(ensemble.gain == 123)


def test_kinds_that_other_packages_register_have_one_neuron_a_unit():
    """As before: with what `ActivationNeurons` had then."""
    from nengo_permadrop.neurons.activations import ActivationNeurons

    found = ActivationNeurons(nengo.RectifiedLinear(), 1.0, 0.0, 1.0, True)
    assert found.per_unit == 1 and found.error == 0 and found.function is None


def test_graph_by_hand():
    writer = GraphWriter()
    x = writer.input("x", (3,))
    y = writer.activation("f", "F", x, "relu", max_value=1.0)
    writer.output("y", y)
    conv = npd.Converter(writer.graph, neurons="rate")
    assert conv.n_neurons == 6
    assert conv.layers["f"].size_out == 6
    assert conv.approximations == {} and conv.links == {}
    assert network_module.approximations(writer.graph) == {}
