"""What a report of a conversion says."""

import dataclasses
import json
from html.parser import HTMLParser

import nengo
import numpy as np
import pytest
from kmodels import combo, mlp, observations
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.converter.rate_table import rate_table
from nengo_permadrop.converter.report import LayerReport


def rows(n=30, seed=0):
    return np.random.RandomState(seed).standard_normal((n, 6))


class Certificate:
    """As npd.certify gives it."""

    def __str__(self):
        return "agrees up to <1000> draws"

    def to_dict(self):
        return {"n_draws": 1000}


def kinds():
    """Converters of all kinds, by name."""
    yield "softlif", npd.Converter(mlp(), seed=0)
    yield "exact", npd.Converter(mlp(), first_layer="exact", seed=0)
    yield "relu", npd.Converter(mlp(activation="relu"), seed=0)
    yield "tanh", npd.Converter(mlp(activation="tanh"), seed=0)
    yield "rate", npd.Converter(mlp(), neurons="rate", seed=0)
    yield "bad", npd.Converter(mlp(activation="relu"), scale_firing_rates=5, seed=0)


@pytest.fixture(name="converters", scope="module")
def _converters():
    return dict(kinds())


def test_what_became_of_the_layers(converters):
    conv = converters["relu"]
    report = conv.report(rows())
    assert [layer.path for layer in report.layers] == list(conv.firing_rates)
    for layer in report.layers:
        assert layer.unit_rate == pytest.approx(conv.firing_rates[layer.path])
        assert (layer.kind, layer.n_neurons) == ("relu", 20)
        assert layer.neuron_type == "SpikingRectifiedLinear"
        assert layer.rates_from == "weights"
        assert layer.mean_rate < layer.high_rate
    assert report.n_neurons == 40
    assert [(each.path, each.units, each.rate) for each in report.dropouts] == [
        (dropout.path, 20, 0.2) for dropout in conv.dropouts
    ]
    assert report.settling_time == conv.settling_time
    assert report.presentation_time == pytest.approx(report.settle + 0.06)
    rate = sum(20 * layer.mean_rate for layer in report.layers)
    assert report.spikes == pytest.approx(rate * report.presentation_time)
    assert (report.n_rows, report.rows_given) == (30, True)
    assert report.warnings == () and report.calibration is None


def test_where_rates_come_from(converters):
    layers = converters["softlif"].report().layers
    assert {layer.rates_from for layer in layers} == {"training"}
    assert {layer.unit_rate for layer in layers} == {100.0}
    layers = converters["bad"].report().layers
    assert {layer.rates_from for layer in layers} == {"given"}


def test_approximations(converters):
    words = {
        name: " ".join(c.report().approximations) for name, c in converters.items()
    }
    assert "first_layer='exact'" in words["softlif"]
    assert "silent under the threshold" in words["exact"]
    assert "first_layer" not in words["exact"]
    assert "regular spikes" in words["exact"] and "regular spikes" in words["tanh"]
    assert "threshold" not in words["relu"] and "fluctuates" in words["relu"]
    assert words["rate"] == ""


def test_warnings_are_those_of_sample(converters):
    conv = converters["bad"]
    report = conv.report(rows())
    assert report.bias > 0.15 and "100 draws show it" in report.verdict
    with pytest.warns(npd.AgreementWarning) as record:
        npd.sample(conv, rows(), n_draws=2, progress=False)
    assert len(report.warnings) == 2
    assert report.warnings[0].split(" are expected")[0] in str(record[0].message)


def test_rate_networks(converters):
    report = converters["rate"].report(rows())
    assert report.neurons == "rate" and report.bias is None and report.spikes is None
    assert report.warnings == () and "as the model does" in report.verdict


def test_networks_without_theory():
    conv = npd.Converter(mlp(), seed=0)
    with conv:
        nengo.Connection(nengo.Ensemble(5, 1), conv.output)
        nengo.Connection(conv.output, conv.output)
    report = conv.report(rows())
    assert report.bias is None and "no theory" in report.verdict
    assert report.settling_time is None and "no settling time" in str(report)
    assert report.layers[0].mean_rate is None


def test_calibration_and_certificate():
    conv = npd.Converter(mlp(), seed=0)
    npd.calibrate(conv, rows(8), n_draws=4)
    report = conv.report(rows(), certificate=Certificate())
    assert str(conv.calibration) in str(report)
    assert "agrees up to <1000> draws" in str(report)
    assert "agrees up to &lt;1000&gt; draws" in report._repr_html_()
    assert report.to_dict()["certificate"] == {"n_draws": 1000}
    assert conv.report().to_dict()["certificate"] is None


def test_loihi():
    pytest.importorskip("nengo_loihi")
    conv = npd.Converter(mlp(target="loihi"), target="loihi", redraw=0.1, seed=0)
    report = conv.report(rows())
    words = " ".join(report.approximations)
    assert "quantised" in words and "gates" in words and "regular spikes" in words
    # the host's neurons fire twice as fast, and each spike counts half
    assert [layer.unit_rate for layer in report.layers] == pytest.approx([200, 100])


def test_made_up_rows_have_what_the_model_has_seen():
    """A batch normalisation of inputs of mean 1000 and standard deviation 50."""
    from nengo_permadrop.sources.keras.layers import PermanentDropout, keras

    inp = keras.Input((6,), name="x")
    norm = keras.layers.BatchNormalization()
    x = keras.layers.Dense(40, "relu", kernel_initializer="he_normal")(norm(inp))
    y = keras.layers.Dense(1, name="y")(PermanentDropout(0.2)(x))
    kmodel = keras.Model(inp, y)
    gamma, beta, mean, variance = norm.get_weights()
    norm.set_weights([gamma, beta, mean + 1000, 2500 * variance])
    report = npd.Converter(kmodel, seed=0).report()
    assert not report.rows_given and "made-up rows" in report.verdict
    assert 350 < report.layers[0].high_rate < 700


def test_several_inputs():
    kmodel = combo()
    report = npd.Converter(kmodel, seed=0).report(observations(kmodel, 300))
    assert report.n_rows == 256 and len(report.layers) == 7


def test_wrong_rows(converters):
    with pytest.raises(ValidationError, match="n_observations, 6"):
        converters["relu"].report(np.zeros((3, 5)))


@pytest.mark.parametrize("name", [name for name, _ in kinds()])
def test_it_fits_a_terminal_and_is_json(converters, name):
    report = converters[name].report(rows())
    text = str(report)
    assert max(map(len, text.splitlines())) <= 80
    for layer in report.layers:
        assert layer.path in text
    facts = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    fields = {field.name for field in dataclasses.fields(report)}
    assert set(facts) == fields | {"n_neurons", "verdict"}
    assert facts["layers"][0] == dataclasses.asdict(report.layers[0])
    assert repr(report).startswith("<ConversionReport: 2 layers, 40 neurons")


def test_a_table_of_long_names_and_large_numbers_fits():
    path = "a_model_in_a_model[12]/with_another_one/and_a_layer_of_a_long_name"
    layer = LayerReport(path, "softlif", 123456, "LIF", 1e-5, "training", 1e4, 2e5, 1.0)
    assert max(map(len, rate_table([layer]))) <= 80


def test_it_is_frozen(converters):
    report = converters["relu"].report()
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.bias = 0.0


class _Checker(HTMLParser):
    """Raises unless each tag is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", ["relu", "bad", "rate"])
def test_in_notebooks(converters, name):
    report = converters[name].report()
    page = report._repr_html_()
    checker = _Checker()
    checker.feed(page)
    assert checker.open == []
    assert ("#D55E00" in page) == bool(report.warnings)
    assert report.layers[0].path in page
