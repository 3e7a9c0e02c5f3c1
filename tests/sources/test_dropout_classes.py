"""Dropout as people write it, in models in memory, and which of a model's is on."""

import numpy as np
import pytest
from nengo.exceptions import ValidationError

pytest.importorskip("keras")
from file_models import L, MCDropout, keras, saved

import nengo_permadrop as npd
from nengo_permadrop.sources.keras.tensors import as_array
from nengo_permadrop.sources.registry import get_source


class PlainSubclass(L.Dropout):
    """One that changes nothing."""


class Halving(L.Dropout):
    """One that scales instead of dropping."""

    def call(self, inputs, training=None):
        return 0.5 * inputs


class TwiceAsMuch(L.Dropout):
    """One that drops at another rate than its own."""

    def call(self, inputs):
        return L.Dropout.call(self, L.Dropout.call(self, inputs, True), True)


class HalvingNoise(L.GaussianDropout):
    """One that does nothing random."""

    def call(self, inputs, training=None):
        return 0.5 * inputs


class PlainAlpha(L.AlphaDropout):
    """One that drops other values than Keras does."""

    def call(self, inputs):
        return L.Dropout(self.rate)(inputs, training=True)


def model(*dropouts, units=30):
    """Dense layers, each followed by a function of a value."""
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((4,))
    for dropout in dropouts:
        x = dropout(L.Dense(units, "relu")(x))
    return keras.Model(inputs, L.Dense(1)(x))


X = np.random.RandomState(0).normal(size=(20, 4))


def on(kmodel, **options):
    """Rates by name of the dropouts that are on, in spikes and in Keras's answers."""
    conv = npd.Converter(kmodel, seed=0, **options)
    dropout = {k: v for k, v in options.items() if k == "dropout"}
    forward = get_source("keras").forward(kmodel, **dropout)
    rates = [(each.path, each.rate) for each in conv.dropouts]
    assert rates == [(path, rate) for path, _, rate in forward.dropouts]
    assert conv.verify(X) < 1e-5
    return dict(rates)


def mixed():
    return model(
        MCDropout(0.2, name="forced"),
        PlainSubclass(0.3, name="subclass"),
        L.Dropout(0.4, name="plain"),
        lambda x: L.Dropout(0.25, name="called")(x, training=True),
    )


def test_what_a_class_does_decides():
    kmodel = mixed()
    every = {"forced": 0.2, "subclass": 0.3, "plain": 0.4, "called": 0.25}
    assert on(kmodel) == every
    assert on(kmodel, dropout="off") == {"forced": 0.2, "called": 0.25}
    assert on(kmodel, dropout="all-off") == {}
    assert on(kmodel, dropout={"forced": "off", "plain": "permanent"}) == {
        "subclass": 0.3,
        "plain": 0.4,
        "called": 0.25,
    }
    report = npd.Converter(kmodel, dropout="off").report()
    assert [(each.layer, each.always) for each in report.dropouts] == [
        ("MCDropout", True),
        ("Dropout", True),
    ]
    assert report.off == ("subclass", "plain")
    assert "drops nothing here" in " ".join(str(report).split())


def test_trying_a_layer_leaves_the_model_as_it_is():
    kmodel = mixed()
    before = [each.copy() for each in kmodel.get_weights()]
    layers = [layer.name for layer in kmodel.layers]
    states = [as_array(each).copy() for each in kmodel.variables]
    npd.read_model(kmodel)
    assert [layer.name for layer in kmodel.layers] == layers
    for found, expected in zip(kmodel.get_weights(), before, strict=True):
        assert np.array_equal(found, expected)
    for found, expected in zip(kmodel.variables, states, strict=True):
        assert np.array_equal(as_array(found), expected)


def test_a_class_that_does_something_else_is_refused():
    for layer, found in (
        (Halving(0.2), r"'halving' \(Halving\).*rate=0.2.* drops 0% and makes.*0.5"),
        (TwiceAsMuch(0.3), "rate=0.3.* drops (4[5-9]|5[0-7])%"),
    ):
        with pytest.raises(npd.ConversionError, match=found):
            npd.Converter(model(layer))
    for layer in (HalvingNoise(0.2), PlainAlpha(0.3)):
        with pytest.raises(
            npd.ConversionError, match=f"is a {type(layer).__base__.__name__} with"
        ):
            npd.Converter(model(layer))


def test_lambdas_around_dropout_are_told_how_to_write_it():
    layer = L.Lambda(lambda x: x * 2, name="code")
    for kmodel in (model(layer),):
        with pytest.raises(
            npd.ConversionError,
            match=r"'code' \(Lambda\).*Python code.*PermanentDropout\(rate\)",
        ):
            npd.Converter(kmodel)


def test_layers_are_named_with_or_without_the_number_of_their_use(tmp_path):
    inputs = keras.Input((4,)), keras.Input((4,))
    part = model(L.Dropout(0.2, name="drop"))
    encoder = keras.Model(part.inputs, part.layers[-2].output, name="encoder")
    x = L.Concatenate()([encoder(each) for each in inputs])
    kmodel = keras.Model(inputs, L.Dense(1)(x))
    for each in (kmodel, saved(kmodel, tmp_path)[0][0]):
        both = ["encoder[0]/drop", "encoder[1]/drop"]
        assert npd.read_model(each).dropout_paths == both
        for dropout, left in (
            ({"encoder/drop": "off"}, []),
            ({"encoder[0]/drop": "off"}, both[1:]),
            ({"encoder/drop": "off", "encoder[1]/drop": "permanent"}, both[1:]),
        ):
            conv = npd.Converter(each, dropout=dropout)
            assert [drop.path for drop in conv.dropouts] == left


@pytest.mark.parametrize(
    "dropout, found",
    [
        ("of", "must be one of 'permanent', 'off', 'all-off', got 'of'"),
        ({"plan": "off"}, "no dropout layer 'plan'; it has 'forced', 'subclass'"),
        ({"plain": "all-off"}, r"dropout\['plain'\]: must be one of 'permanent'"),
        (None, "must be one of"),
    ],
)
def test_wrong_choices(dropout, found):
    kmodel = mixed()
    with pytest.raises(ValidationError, match=found):
        npd.Converter(kmodel, dropout=dropout)
    if dropout is not None:
        with pytest.raises(ValidationError, match=found):
            npd.sample(kmodel, X, 2, backend="keras", dropout=dropout, progress=False)


def test_all_off_has_nothing_to_draw():
    with pytest.raises(ValidationError, match="no permanent dropout"):
        npd.sample(mixed(), X, 2, backend="keras", dropout="all-off", progress=False)
