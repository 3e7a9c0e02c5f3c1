"""Layers whose current is constant, converted to exactly their activation's rates."""

import nengo
import numpy as np
import pytest
from kmodels import combo, layers, mlp, observations
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.sampling.pairs import paired_samples
from nengo_permadrop.sources.keras.layers import PermanentDropout, SoftLIF, keras


def built(build, n_inputs=4):
    keras.utils.set_random_seed(0)
    inp = keras.Input((n_inputs,), name="x")
    return keras.Model(inp, build(inp))


def kinds(conv):
    return [type(ensemble.neuron_type).__name__ for ensemble in conv.ensembles]


def test_only_layers_of_the_inputs_are_exact():
    def layer(name, x):
        return PermanentDropout(0.2)(SoftLIF(name=name)(layers.Dense(6)(x)))

    def build(x):
        first = layer("first", layers.BatchNormalization()(x))
        mixed = layer("mixed", layers.concatenate([x, layer("second", first)]))
        # Nodes hold what these get: of inputs, and of neurons' spikes
        of_inputs = layer("of_inputs", PermanentDropout(0.3)(layers.Dense(5)(x)))
        of_spikes = layer(
            "of_spikes", PermanentDropout(0.3)(layers.add([first, mixed]))
        )
        return layers.Dense(1)(layers.concatenate([of_inputs, of_spikes]))

    model = built(build)
    conv = npd.Converter(model, first_layer="exact", seed=0)
    found = {ens.label: type(ens.neuron_type) for ens in conv.ensembles}
    assert len(found) == 5
    exact = {label for label, kind in found.items() if kind is nengo.RegularSpiking}
    assert exact == {"first", "of_inputs"}
    assert conv.verify(observations(model, 5)) < 1e-4
    assert set(kinds(npd.Converter(model))) == {"LIF"}


def test_each_input_has_its_layer_and_copies_alike():
    conv = npd.Converter(combo(), first_layer="exact", copies=2)
    for copy in conv.copies:
        assert copy.first_layer == "exact"
        assert kinds(copy).count("RegularSpiking") == 3


def test_other_kinds_of_layers_are_exact_already():
    for activation, kind in (
        ("relu", "SpikingRectifiedLinear"),
        ("tanh", "RegularSpiking"),
        ("sigmoid", "RegularSpiking"),
    ):
        model = mlp(units=(5,), activation=activation)
        both = [
            npd.Converter(model, first_layer=first, seed=0)
            for first in ("converted", "exact")
        ]
        assert kinds(both[0]) == kinds(both[1]) == [kind]
        X = observations(model, 3)
        one, other = (
            npd.sample(conv, X, n_draws=2, progress=False).values for conv in both
        )
        assert np.array_equal(one, other)


@pytest.fixture(scope="module", name="tail")
def _tail():
    keras.utils.set_random_seed(0)
    inp = keras.Input((4,), name="x")
    bias = keras.initializers.Constant(-0.1)
    x = layers.Dense(40, bias_initializer=bias)(inp)
    x = PermanentDropout(0.2)(SoftLIF(gamma=0.1)(x))
    model = keras.Model(inp, layers.Dense(1)(x))
    return model, 0.2 * observations(model, 20)[0]


def test_answers_where_lif_neurons_are_silent(tail):
    model, X = tail
    times = dict(presentation_time=1.05, settle=0.05)
    errors = []
    for first_layer in ("converted", "exact"):
        conv = npd.Converter(model, first_layer=first_layer, seed=0)
        spiking, classical = paired_samples(conv, X, n_draws=10, **times)
        errors.append(np.abs(spiking.values - classical.values).mean())
    # of a second's spikes, one more or less remains
    assert errors[1] < 0.1 * errors[0]
    assert errors[1] < 0.05 * classical.std().mean()


@pytest.mark.parametrize("backend", ("nengo", "nengo_dl"))
def test_all_backends_give_equal_samples(tail, backend):
    if backend == "nengo_dl":
        pytest.importorskip("nengo_dl")
    model, X = tail
    conv = npd.Converter(model, first_layer="exact", seed=0)
    options = dict(
        n_draws=3, presentation_time=0.15, settle=0.05, progress=False, seed=1
    )
    one, other = (
        npd.sample(conv, X[:4], backend=each, **options).values
        for each in ("batched", backend)
    )
    scale = np.abs(one).max()
    # a spike that rounding puts into the next step is one of about 50 times 10
    assert np.abs(one - other).max() < 0.005 * scale
    assert np.median(np.abs(one - other)) < 1e-5 * scale


def test_it_is_the_same_on_loihi():
    pytest.importorskip("nengo_loihi")
    model = mlp(units=(6, 6), target="loihi")
    both = []
    for first_layer in ("converted", "exact"):
        with nengo.Network(seed=0):
            conv = npd.Converter(
                model, target="loihi", first_layer=first_layer, redraw=0.1, seed=0
            )
        both.append([repr(ens.neuron_type) for ens in conv.all_ensembles])
    assert both[0] == both[1] and "LIF" in both[0][0]


def test_curves_of_loihi_are_exact_elsewhere_too():
    pytest.importorskip("nengo_loihi")
    model = mlp(units=(6,), target="loihi")
    with pytest.warns(UserWarning, match="quantised rates"):
        conv = npd.Converter(model, first_layer="exact")
    (ensemble,) = conv.all_ensembles
    assert isinstance(ensemble.neuron_type, nengo.RegularSpiking)
    assert type(ensemble.neuron_type.base_type).__name__ == "LoihiLIFRate"


@pytest.mark.parametrize("first_layer", ("Exact", None, True, 1))
def test_wrong_values(first_layer):
    with pytest.raises(ValidationError, match="first_layer: must be one of"):
        npd.Converter(mlp(units=(3,)), first_layer=first_layer)


def test_masks_of_another_conversion():
    model = combo()
    conv = npd.Converter(model, seed=3, copies=2, redraw=0.05)
    other = npd.Converter(model, seed=4, copies=2, first_layer="exact", redraw=0.05)

    def seeds(network):
        return [
            conn.seed
            for copy in network.copies
            for dropout in copy.dropouts
            for conn in dropout.connections
        ]

    before = seeds(conv)
    assert seeds(other) != before
    other.take_masks(conv)
    assert seeds(other) == before == seeds(conv)
    X = [x[:2] for x in observations(model, 2)]
    expected = npd.Converter(model, seed=3, copies=2, first_layer="exact", redraw=0.05)
    options = dict(n_draws=2, progress=False)
    one, again = (npd.sample(each, X, **options).values for each in (other, expected))
    assert np.array_equal(one, again)


@pytest.mark.parametrize(
    "make",
    (
        lambda: npd.Converter(mlp(units=(6, 6))),
        lambda: npd.Converter(mlp(units=(6, 5, 6))),
        lambda: npd.Converter(mlp(units=(6, 5), rate=0.3)),
        lambda: npd.Converter(mlp(units=(6, 5)), copies=2),
        lambda: npd.Converter(mlp(units=(6, 5), dropout=layers.Dropout), dropout="off"),
        lambda: nengo.Network(),
        lambda: None,
    ),
)
def test_masks_of_another_model_are_refused(make):
    conv = npd.Converter(mlp(units=(6, 5)), seed=0)
    before = [mask.seed for dropout in conv.dropouts for mask in dropout.masks]
    with pytest.raises(ValidationError, match="other: .*doesn't have the masks"):
        conv.take_masks(make())
    after = [mask.seed for dropout in conv.dropouts for mask in dropout.masks]
    assert before == after
