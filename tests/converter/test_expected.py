"""What theory expects of converted networks, and what is warned of."""

import warnings

import nengo
import numpy as np
import pytest
from kmodels import combo, drawn, mlp, observations
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop import testing
from nengo_permadrop.converter.checks import (
    LIMIT,
    SPREAD_LIMIT,
    _correction,
    _fix,
    largest,
    not_settled,
    unlikely,
)
from nengo_permadrop.converter.expected import SILENT, expect
from nengo_permadrop.converter.timing import path_delay
from nengo_permadrop.metrics.comparison import ks_agreement
from nengo_permadrop.samples.samples import PredictiveSamples
from nengo_permadrop.sources.keras.layers import PermanentDropout, SoftLIF, keras
from nengo_permadrop.support.inputs import evenly_spaced
from nengo_permadrop.training.recipe import softlif_at

WIDE = {"units": (60, 60)}


def weak(seed=0, gain=1.0, amplitude=0.005, gamma=0.03):
    """SoftLIF layers half of whose signal is below the threshold of LIF neurons."""
    keras.utils.set_random_seed(seed)
    inp = keras.Input((6,), name="x")
    x = inp
    for _ in range(3):
        x = keras.layers.Dense(40, kernel_initializer="he_normal")(x)
        x = SoftLIF(gain=gain, amplitude=amplitude, gamma=gamma)(x)
        x = PermanentDropout(0.2)(x)
    return drawn(keras.Model(inp, keras.layers.Dense(1, name="y")(x)), seed)


def rows(n=64, seed=0):
    return np.random.RandomState(seed).standard_normal((n, 6))


def found(conv, X, **kwargs):
    X = [X] if isinstance(X, np.ndarray) else X
    return unlikely(conv, expect(conv, X), **kwargs)


def rejected(bias, spread, n=4000):
    """Part of the tests at 100 draws that reject; its standard error is 0.005."""
    rng = np.random.RandomState(0)
    shifts = rng.standard_normal(n)
    shifts *= bias / np.sqrt(np.mean(shifts**2))
    a, b = rng.standard_normal((2, 100, n, 1))
    b = PredictiveSamples(spread * b + shifts[:, np.newaxis])
    return ks_agreement(PredictiveSamples(a), b).rejection_rate()


@pytest.mark.parametrize(
    "bias, spread, least, most",
    [
        (0.0, 1.0, 0.02, 0.05),
        (LIMIT, 1.0, 0.055, 0.085),
        (0.0, SPREAD_LIMIT, 0.085, 0.12),
        (0.0, 1 / SPREAD_LIMIT, 0.085, 0.12),
    ],
)
def test_limits_are_where_tests_begin_to_show_it(bias, spread, least, most):
    """Rates of 0.035, 0.07, 0.10, 0.10: each is within three standard errors."""
    assert least < rejected(bias, spread) < most


@pytest.mark.parametrize("activation, rate", [("relu", 15.0), (None, None)])
def test_bias_and_spread_are_those_of_simulations(activation, rate):
    """Also where the draws don't share masks: the mean of 400 draws is 0.05 standard
    deviations off, and the root mean square of 40 such means 0.05 +- 0.006."""
    conv = npd.Converter(
        mlp(activation=activation) if rate else weak(),
        scale_firing_rates=rate,
        seed=0,
    )
    X = rows(40)
    expectation = expect(conv, [X])
    expected = expectation.bias["y"]
    assert expected > 0.3
    with pytest.warns(npd.AgreementWarning):
        a = npd.sample(conv, X, n_draws=400, progress=False)
    b = npd.sample(
        npd.Converter(conv.graph, neurons="rate"),
        X,
        n_draws=400,
        progress=False,
        presentation_time=0.002,
        settle=0.001,
        seed=1,
    )
    seen = np.sqrt(np.mean(((a.mean() - b.mean()) / b.std()) ** 2))
    assert abs(seen - expected) < 0.35 * expected
    seen = np.sqrt(np.mean(a.std() ** 2) / np.mean(b.std() ** 2))
    assert seen == pytest.approx(expectation.spread["y"], rel=0.15)


def test_rates_are_those_of_simulations():
    conv = npd.Converter(mlp(**WIDE), seed=0)
    X = rows(10)
    layers = expect(conv, [X]).layers
    energy = npd.energy(conv, X, n_draws=10, progress=False)
    for layer, counted in zip(layers, energy.layers, strict=True):
        seen = counted.spikes / counted.neurons / energy.presentation_time
        assert seen == pytest.approx(layer.mean_rate, rel=0.1)
        assert layer.n_neurons == counted.neurons
        assert layer.unit_rate == pytest.approx(100)
        assert 0 <= layer.silent < 1 and layer.most == pytest.approx(500)


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("seed", range(3))
def test_defaults_are_not_warned_of(activation, seed):
    kmodel = mlp(**WIDE, activation=activation, seed=seed)
    conv = npd.Converter(kmodel, seed=0, X=rows(seed=1))
    assert found(conv, rows()) == ()
    assert found(npd.Converter(kmodel, seed=0), rows()) == ()


def test_several_inputs():
    kmodel = combo()
    conv = npd.Converter(kmodel, seed=0)
    expectation = expect(conv, observations(kmodel, 20))
    paths = [operation.path for operation in conv.graph.operations]
    assert [layer.path for layer in expectation.layers] == [
        path for path in paths if "soft_lif" in path
    ]
    assert unlikely(conv, expectation) == ()


@pytest.mark.parametrize("copies, redraw", [(2, None), (1, 0.1), (2, 0.1)])
def test_copies_and_gates_change_nothing(copies, redraw):
    pytest.importorskip("nengo_loihi")
    kmodel = mlp(target="loihi")
    plain = npd.Converter(kmodel, target="loihi")
    conv = npd.Converter(kmodel, target="loihi", copies=copies, redraw=redraw)
    expected = expect(plain, [rows()]).bias["y"]
    assert expect(conv, [rows()]).bias["y"] == pytest.approx(expected)


def test_of_few_masks_the_bias_is_not_overestimated():
    conv = npd.Converter(weak())
    expected = expect(conv, [rows(200)]).bias["y"]
    quick = [expect(conv, [rows(200, s)], quick=True).bias["y"] for s in range(8)]
    assert np.mean(quick) == pytest.approx(expected, rel=0.2)


def test_too_low_rates_are_named_and_the_fix_helps():
    kmodel = mlp(**WIDE, activation="relu")
    conv = npd.Converter(kmodel, scale_firing_rates=10)
    off, spread = found(conv, rows())
    assert "standard deviations off" in off and "times as far" in spread
    for words in (off, spread):
        assert "scale_firing_rates" in words and "'activation" in words
    assert found(npd.Converter(kmodel, X=rows(seed=1)), rows()) == ()


def test_a_silent_layer_is_named():
    """All of its inputs are in SoftLIF's tail, under the threshold of LIF neurons."""
    inp = keras.Input((6,), name="x")
    dense = keras.layers.Dense(20, bias_initializer=keras.initializers.Constant(-0.02))
    x = SoftLIF(name="tail")(dense(inp))
    dense.set_weights([0.001 * dense.get_weights()[0], dense.get_weights()[1]])
    kmodel = keras.Model(inp, keras.layers.Dense(1, name="y")(PermanentDropout(0.2)(x)))
    conv = npd.Converter(kmodel)
    layer = expect(conv, [rows()]).layers[0]
    assert layer.classical_mean > SILENT and layer.silent == 1
    assert any("layer 'tail' are nearly silent" in each for each in found(conv, rows()))


@pytest.mark.parametrize("scale", [0.01, 50.0])
def test_inputs_that_rates_were_not_chosen_for(scale):
    kmodel = mlp(**WIDE, activation="relu")
    X = scale * rows()
    (words,) = [each for each in found(npd.Converter(kmodel), X) if "chosen" in each]
    assert "'activation" in words and "Converter(X=rows)" in words
    assert "for other inputs" in words
    assert found(npd.Converter(kmodel, X=X), X) == ()


def test_rates_that_are_far_too_high():
    kmodel = mlp(**WIDE, activation="relu")
    conv = npd.Converter(kmodel, scale_firing_rates=1e5)
    (words,) = found(conv, rows())
    assert "by scale_firing_rates" in words and "Leave scale_firing_rates out" in words


def test_neurons_that_fire_at_most_once_a_step():
    pytest.importorskip("nengo_loihi")
    kmodel = mlp(activation="relu")
    conv = npd.Converter(kmodel, target="loihi", scale_firing_rates=5000)
    words = [each for each in found(conv, rows()) if "can't at more than 1000" in each]
    assert len(words) == 1 and "lower scale_firing_rates" in words[0]
    assert all(
        layer.most == pytest.approx(1000) for layer in expect(conv, [rows()]).layers
    )


def test_weak_layers_are_named():
    words = " ".join(found(npd.Converter(weak()), rows()))
    assert (
        "'soft_lif" in words and "SoftLIF(gain=2, amplitude=0.01, gamma=0.02)" in words
    )


def test_neurons_that_fire_more_than_by_default_are_not_to_be_trained_with_less():
    softlif = {"gamma": 0.02, **softlif_at(200)}
    conv = npd.Converter(weak(**softlif))
    assert "Train with the defaults" not in _fix(conv, expect(conv, [rows()]).layers)
    softlif = {"gamma": 0.02, **softlif_at(50)}
    conv = npd.Converter(weak(**softlif))
    assert "Train with the defaults" in _fix(conv, expect(conv, [rows()]).layers)


def test_answers_that_are_read_for_a_moment():
    conv = npd.Converter(mlp(**WIDE))
    short = expect(conv, [rows()], read_time=0.003)
    assert expect(conv, [rows()]).spread["y"] < 1.1 < short.spread["y"]
    (words,) = unlikely(conv, expect(conv, [rows()], read_time=0.001))
    assert "longer presentation_time" in words


def test_a_calibration_is_seen():
    conv = npd.Converter(weak(), seed=0)
    before = expect(conv, [rows()]).bias["y"]
    npd.calibrate(conv, rows(40, 1), n_draws=8)
    assert expect(conv, [rows()]).bias["y"] < 0.5 * before


def test_times():
    conv = npd.Converter(mlp(**WIDE))
    expectation = expect(conv, [rows()])
    settled = conv.settling_time
    assert not_settled(conv, settled + 0.06, settled, expectation) == []
    (words,) = not_settled(conv, 0.05, 0.001)
    assert words.startswith("settle is 0.001 s")
    # not shorter than the delay, but a good part of what is read has not come through
    early = path_delay(conv)[0] + 0.001
    assert not_settled(conv, early + 0.005, early) == []
    assert len(not_settled(conv, early + 0.005, early, expectation)) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda conv: nengo.Connection(nengo.Node([1.0]), conv.input[0]),
        lambda conv: nengo.Connection(nengo.Node([1.0]), conv.output, synapse=None),
        lambda conv: nengo.Connection(nengo.Ensemble(5, 1), conv.output),
        lambda conv: nengo.Connection(nengo.Node(np.sin), conv.output, synapse=None),
        lambda conv: nengo.Connection(conv.output, conv.output),
        lambda conv: nengo.Ensemble(5, 1, neuron_type=nengo.AdaptiveLIF()),
        lambda conv: nengo.Ensemble(5, 1, neuron_type=nengo.Izhikevich()),
    ],
)
def test_networks_that_were_changed_by_hand(change):
    conv = npd.Converter(mlp())
    with conv:
        change(conv)
    expectation = expect(conv, [rows()])
    # a constant is no secret
    assert expectation is None or expectation.bias["y"] > LIMIT
    assert len(found(conv, rows(), times=(0.1, 0.0))) <= 2


def test_rate_networks_have_nothing_to_expect():
    assert expect(npd.Converter(mlp(), neurons="rate"), [rows()]) is None


def test_no_rows_and_outputs_that_do_not_vary():
    conv = npd.Converter(mlp(dropout=keras.layers.Dropout), dropout="off")
    assert expect(conv, [rows()]).bias == {"y": None}
    assert expect(conv, [rows()]).spread == {"y": None}
    assert expect(conv, [rows(0)]) is None
    assert largest({"y": None}) is None and largest({"a": 1.0, "b": 2.0}, "a") == 1.0


def test_conversion_with_rows_warns():
    kmodel = weak()
    with pytest.warns(npd.AgreementWarning) as record:
        npd.Converter(kmodel, X=rows())
    (ours,) = (each for each in record if each.category is npd.AgreementWarning)
    assert "nengo_permadrop" in ours.filename
    with warnings.catch_warnings():
        warnings.simplefilter("error", npd.AgreementWarning)
        npd.Converter(kmodel)
        npd.Converter(kmodel, neurons="rate", X=rows())


def test_a_single_row_says_nothing_of_rates():
    """Rows that hardly reach a layer are told; one of them is not enough to."""
    kmodel, small = mlp(activation="relu"), 0.01 * rows()
    with pytest.warns(npd.AgreementWarning, match="were chosen for other inputs"):
        npd.sample(npd.Converter(kmodel), small, 2, progress=False)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        npd.sample(npd.Converter(kmodel), small[:1], 2, progress=False)
    assert not [each for each in told if "other inputs" in str(each.message)]


def test_where_rates_come_from():
    kmodel = mlp(activation="relu")
    conv = npd.Converter(kmodel)
    first, second = conv.firing_rates
    assert conv.rates_from == {first: "weights", second: "weights"}
    conv = npd.Converter(kmodel, X=rows(), scale_firing_rates={first: 400})
    assert conv.rates_from == {first: "given", second: "rows"}
    assert set(npd.Converter(kmodel, scale_firing_rates=400).rates_from.values()) == {
        "given"
    }
    assert npd.Converter(mlp()).rates_from == {}
    with pytest.raises(ValidationError, match="no layer 'nothing'"):
        npd.Converter(kmodel, scale_firing_rates={"nothing": 1.0})


@pytest.mark.parametrize("redraw", (None, 0.05))
def test_what_is_advised_for_loihi_can_be_followed(redraw):
    pytest.importorskip("nengo_loihi")
    kmodel = mlp(units=(6, 6), target="loihi")
    with nengo.Network(seed=0):
        conv = npd.Converter(kmodel, target="loihi", redraw=redraw)
    assert "weights" not in _correction(conv)
    assert "method='weights'" in _correction(npd.Converter(mlp(units=(6, 6))))
    rows = [x.reshape(8, -1) for x in observations(kmodel, 8)]
    assert "exact" not in _fix(conv, expect(conv, rows).layers)


def test_large_networks_are_looked_at_in_fewer_rows(monkeypatch):
    """So that memory is bounded; as if these rows had been given."""
    conv = npd.Converter(testing.mlp(), seed=0)
    X = list(testing.observations(conv.graph, 40).values())
    whole = expect(conv, X)
    monkeypatch.setattr("nengo_permadrop.converter.expected._MOST_VALUES", 8 * 80 * 5)
    few, given = expect(conv, X), expect(conv, evenly_spaced(X, 5))
    assert few.bias == given.bias != whole.bias
    monkeypatch.setattr("nengo_permadrop.converter.expected._MOST_VALUES", 1)
    assert expect(conv, X).bias == expect(conv, evenly_spaced(X, 1)).bias
