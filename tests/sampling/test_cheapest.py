"""Tuning: the cheapest settings with which networks agree."""

import json
import math

import nengo
import numpy as np
import pytest
from kmodels import hidden, keras, layers, mlp, observations
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.metrics import certificate
from nengo_permadrop.sampling import search
from nengo_permadrop.sampling.search import Search, evenly
from nengo_permadrop.targets.registry import get_target

KMODEL = mlp(activation="relu", units=(16, 12))
X = observations(KMODEL, 40)[0]


@pytest.fixture(name="conv")
def _conv():
    return npd.Converter(KMODEL, seed=5)


@pytest.fixture(name="tuning", scope="module")
def _tuning():
    return npd.tune(npd.Converter(KMODEL, seed=5), X, budget=1)


@pytest.fixture(name="few")
def _few(monkeypatch):
    """Less of everything, where it doesn't matter what is found."""
    monkeypatch.setattr(search, "_N_PAIRS", 20)
    monkeypatch.setattr(search, "_MOST_ROWS", 6)
    monkeypatch.setattr(search, "_MOST_FITTED", 8)
    monkeypatch.setattr(search, "_N_FITTED", 128)
    monkeypatch.setattr(certificate, "_RESAMPLES", 5)


@pytest.fixture(name="judged")
def _judged(few, monkeypatch):
    """Settings are judged by a rule instead of simulations; what was asked."""
    asked = []
    rules = {"agrees": lambda combination, time: True, "held_out": lambda trial: 0.01}

    def judge(self, combination, presentation):
        asked.append((combination.settings, presentation))
        agrees = rules["agrees"](combination, presentation[0])
        return {
            **combination.settings,
            "presentation_time": presentation[0],
            "settle": presentation[1],
            "spikes": combination.rate * presentation[0],
            "bias": 0.1,
            "spread": 1.0,
            "rejection_rate": 0.01 if agrees else 0.9,
            "held_out": math.nan,
            "agrees": agrees,
        }

    def check(self, combination, trial):
        trial["held_out"] = rules["held_out"](trial)
        trial["agrees"] = trial["held_out"] <= 0.06
        return trial["agrees"]

    monkeypatch.setattr(Search, "_judged", judge)
    monkeypatch.setattr(Search, "_check", check)
    rules["asked"] = asked
    return rules


def test_what_is_found(tuning):
    conv, table = tuning.conv, tuning.table
    chosen = table.iloc[tuning.chosen]
    assert chosen["agrees"] and chosen["held_out"] <= 0.06
    assert chosen["spikes"] == table[table["held_out"] <= 0.06]["spikes"].min()
    assert tuning.times == {
        "presentation_time": chosen["presentation_time"],
        "settle": chosen["settle"],
    }
    # calibrated for what is read, with the rates and synapse of the table
    kept = {name: conv.calibration.options[name] for name in tuning.times}
    assert kept == tuning.times
    assert tuning.synapse == conv.synapse == nengo.Alpha(0.005)
    assert chosen["synapse"] == "Alpha(0.005)" and chosen["rates"] == 1
    assert tuning.firing_rates == conv.firing_rates
    assert conv.model is KMODEL and conv.verify(X[:3]) < 1e-4
    assert len(table) < 6  # bisection


def test_the_converter_stays_as_it_is(tuning, conv):
    assert conv.calibration is None
    seeds = [mask.seed for dropout in conv.dropouts for mask in dropout.masks]
    found = [mask.seed for dropout in tuning.conv.dropouts for mask in dropout.masks]
    assert found == seeds


def test_the_certificate_is_of_rows_that_were_not_tuned_on(tuning):
    again = npd.certify(tuning.conv, X[3::4], n_draws=100, **tuning.times)
    assert again.n_draws == pytest.approx(tuning.certificate.n_draws, rel=0.01)
    assert np.allclose(again.biases, tuning.certificate.biases, atol=1e-5)
    held_out = tuning.table["held_out"].iloc[tuning.chosen]
    assert tuning.certificate.rejection_rate(100) == held_out <= 0.06


def test_independent_draws_agree(tuning):
    """
    Of 40 tests, each of which rejects with 0.06 or less.

    That 10 reject has a probability of 1e-4 (binomial).
    """
    rows = np.random.RandomState(9).randn(40, 6)
    spiking = npd.sample(tuning.conv, rows, 100, progress=False, **tuning.times)
    classical = npd.sample(KMODEL, rows, 100, backend="keras", progress=False, seed=1)
    assert npd.ks_agreement(spiking, classical).rejection_rate() < 10 / 40


def test_spikes_are_those_that_are_fired(tuning):
    """By the mean-field model, within 20%."""
    fired = npd.energy(tuning.conv, X, n_draws=10, **tuning.times)
    spikes = sum(layer.spikes for layer in fired.layers)
    assert tuning.spikes == pytest.approx(spikes, rel=0.2)


def test_frontier(tuning):
    frontier = tuning.frontier
    assert np.all(np.diff(frontier["spikes"]) > 0)
    assert np.all(np.diff(frontier["bias"]) < 0)
    for _, row in tuning.table.iterrows():
        beaten = (frontier["spikes"] <= row["spikes"]) & (
            frontier["bias"] <= row["bias"]
        )
        assert beaten.any()


def test_words_and_json(tuning):
    assert str(tuning).startswith(tuning.words()) and "Alpha(0.005)" in str(tuning)
    assert repr(tuning).startswith("<Tuning: ")
    found = json.loads(json.dumps(tuning.to_dict(), allow_nan=False))
    assert found["settings"] == found["trials"][tuning.chosen]
    assert found["firing_rates"] == tuning.firing_rates
    assert found["certificate"]["bias"] == tuning.certificate.bias


def test_notebook_shows_the_frontier(tuning):
    page = tuning._repr_html_()
    assert tuning.words().replace("'", "&#x27;") in page
    assert page.count('r="3"') == len(tuning.table)  # a dot each
    assert page.count('r="6"') == 1  # and the ring
    assert f"<b>{tuning.presentation_time:.3g}</b>" in page


def test_the_same_seed_finds_the_same(conv, few):
    first, again = (npd.tune(conv, X, budget=1, seed=3) for _ in range(2))
    assert first.table.equals(again.table)
    assert first.certificate.to_dict() == again.certificate.to_dict()
    other = npd.tune(conv, X, budget=1, seed=4)
    assert not np.array_equal(other.certificate.biases, first.certificate.biases)


def test_goes_on_from_a_checkpoint(conv, few, tmp_path, monkeypatch):
    options = {"synapses": [0.005, 0.002], "rates": 1, "calibration": "none"}
    expected = npd.tune(conv, X, 20, **options).table
    tried = Search._tried

    def interrupted(self, combination):
        if self.trials:
            raise KeyboardInterrupt()
        return tried(self, combination)

    monkeypatch.setattr(Search, "_tried", interrupted)
    with pytest.raises(KeyboardInterrupt):
        npd.tune(conv, X, 20, checkpoint=tmp_path / "tuning", **options)
    monkeypatch.setattr(Search, "_tried", tried)
    other = npd.Converter(KMODEL)  # with other masks, as a script run again has
    found = npd.tune(other, X, 20, checkpoint=tmp_path / "tuning", **options)
    assert found.table.equals(expected)
    monkeypatch.setattr(Search, "_tried", None)  # all is known
    again = npd.tune(conv, X, 20, checkpoint=tmp_path / "tuning", **options)
    assert again.table.equals(expected)
    with pytest.raises(ValidationError, match="goal was"):
        npd.tune(conv, X, 50, checkpoint=tmp_path / "tuning", **options)


def test_begins_with_the_usual_and_goes_on_from_the_cheap(conv, judged):
    judged["agrees"] = lambda combination, time: combination.rates == 0.5
    tuning = npd.tune(conv, X)
    first, *others = judged["asked"]
    assert (first[0]["rates"], first[0]["synapse"]) == (1, "Alpha(0.005)")
    assert others[0][0]["rates"] == 0.25
    assert tuning.table["spikes"].iloc[tuning.chosen] == min(
        tuning.table[tuning.table["agrees"]]["spikes"]
    )
    # nothing that is dearer than what was found has been asked for
    tried = {settings["rates"] for settings, _ in judged["asked"][1:]}
    assert 2 not in tried


def test_budget(conv, judged):
    judged["agrees"] = lambda combination, time: False
    with pytest.raises(ValidationError, match=r"90.0% of tests .* \(budget\)"):
        npd.tune(conv, X, budget=3)
    assert len(judged["asked"]) == 3
    judged["asked"].clear()
    with pytest.raises(ValidationError, match="fewer draws"):
        npd.tune(conv, X, rates=[1, 2], synapses=[0.005])
    methods = [settings["calibration"] for settings, _ in judged["asked"]]
    assert methods == ["currents"] * 2 + ["weights"] * 2
    with pytest.raises(ValidationError, match="calibration='auto'"):
        npd.tune(conv, X, rates=1, synapses=0.005, calibration="currents")


def test_least_time(conv, judged):
    tuning = npd.tune(conv, X, objective="time")
    assert tuning.presentation_time == tuning.table["presentation_time"].min()
    assert tuning.table["synapse"].iloc[tuning.chosen] == "Alpha(0.002)"


def test_goes_on_to_the_next_where_other_rows_disagree(conv, judged):
    judged["held_out"] = lambda trial: 0.01 if trial["presentation_time"] > 0.05 else 1
    tuning = npd.tune(conv, X, budget=1)
    failed = tuning.table[tuning.table["held_out"] == 1]
    assert len(failed) > 0 and not failed["agrees"].any()
    assert 0.05 < tuning.presentation_time < 0.1
    assert not np.isnan(tuning.table["held_out"].iloc[tuning.chosen])


def test_warns_where_nothing_agrees_on_other_rows(conv, judged):
    judged["held_out"] = lambda trial: 0.5 - trial["presentation_time"]
    with pytest.warns(UserWarning, match="of tests would reject, and nothing else"):
        tuning = npd.tune(conv, X, budget=1)
    assert tuning.presentation_time == tuning.table["presentation_time"].max()
    assert not tuning.table["agrees"].iloc[tuning.chosen]


def test_where_nothing_comes_through_for_other_rows(conv, judged):
    judged["held_out"] = lambda trial: 1.0
    with pytest.raises(ValidationError, match="nothing that was tried agrees"):
        npd.tune(conv, X, budget=1)


def test_weights_where_currents_fail(conv, judged):
    judged["agrees"] = lambda combination, time: combination.calibration == "weights"
    tuning = npd.tune(conv, X, synapses=0.005, rates=1)
    assert tuning.conv.calibration.options["method"] == "weights"
    assert tuning.conv.first_layer == "exact"


def test_networks_that_hardly_spike_do_not_agree(conv, few):
    with pytest.raises(ValidationError, match="100.0% of tests would reject"):
        npd.tune(conv, X, rates=1e-6, synapses=0.005, calibration="none")


def test_rows_without_spread_are_left_out(few):
    kmodel = mlp(activation="relu", units=(12,))
    kernel, bias = kmodel.layers[1].get_weights()
    kmodel.layers[1].set_weights([np.abs(kernel), bias])
    conv, rows = npd.Converter(kmodel), np.abs(X)
    rows[::2] = -9.0  # no unit is active, so that dropout changes nothing
    with pytest.raises(ValidationError, match="classical draws of .* are the same"):
        npd.tune(conv, np.full((40, 6), -9.0))
    rows = np.concatenate([np.abs(X), np.abs(X)])
    rows[0] = -9.0
    with pytest.warns(UserWarning, match="all classical draws of 1 of 12 rows"):
        npd.tune(conv, rows, budget=1)


def test_one_of_several_outputs(few):
    keras.utils.set_random_seed(0)
    inp = keras.Input((6,), name="x")
    x = hidden(inp, 12, 0.2, "relu")
    outputs = [layers.Dense(2, name="a")(x), layers.Dense(1, name="b")(x)]
    conv = npd.Converter(keras.Model(inp, outputs))
    options = {"budget": 1, "calibration": "none"}
    shapes = {
        name: npd.tune(conv, X, output=name, **options).certificate.biases.shape[1]
        for name in (None, "b")
    }
    assert shapes == {None: 2, "b": 1}


def test_copies_and_time_steps(few):
    conv = npd.Converter(KMODEL, copies=2)
    tuning = npd.tune(conv, X, budget=1, dt=0.0005)
    assert len(tuning.conv.copies) == 2
    assert tuning.certificate.options["dt"] == 0.0005
    assert all(copy.calibration is not None for copy in tuning.conv.copies)


def test_gates_and_synapses_of_loihi(few):
    pytest.importorskip("nengo_loihi")
    kmodel = mlp(units=(8, 8), target="loihi")
    conv = npd.Converter(kmodel, target="loihi", redraw=0.06)
    tuning = npd.tune(conv, X, budget=1)
    assert tuning.conv.redraw == 0.06 and tuning.presentation_time <= 0.06
    assert isinstance(tuning.synapse, nengo.Lowpass)
    assert np.isnan(tuning.table["rates"]).all()
    assert tuning.spikes > 0
    with pytest.raises(ValidationError, match="redraw: no presentation is as short"):
        npd.tune(npd.Converter(kmodel, target="loihi", redraw=0.01), X)


def test_synapses_of_any_kind(judged):
    synapse = nengo.LinearFilter([1], [1e-4, 2e-2, 1])
    conv = npd.Converter(KMODEL, synapse=synapse)
    assert npd.tune(conv, X, calibration="none").synapse == synapse
    synapses = [synapse, nengo.Lowpass(0.001)]
    tuning = npd.tune(conv, X, synapses=synapses, calibration="none")
    assert tuning.table["synapse"].iloc[tuning.chosen] == "Lowpass(0.001)"


def test_rates_are_multiples_of_the_targets(conv, judged):
    tuning = npd.tune(conv, X, rates=0.5, synapses=0.005)
    assert tuning.firing_rates != conv.firing_rates  # those follow from the weights
    by_rows = npd.Converter(
        KMODEL, X=evenly([X[np.arange(40) % 4 < 3]], search._MOST_FITTED)[0]
    )
    for name, rate in by_rows.firing_rates.items():
        assert tuning.firing_rates[name] == pytest.approx(0.5 * rate)
    assert get_target("nengo").firing_rate == 500  # not changed


@pytest.mark.parametrize(
    "options, words",
    [
        ({"n_draws": 3}, "n_draws: no test of 3 draws rejects"),
        ({"n_draws": 20_000}, "n_draws: must be an integer >= 2 and <= 10000"),
        ({"budget": 0}, "budget: must be an integer >= 1"),
        ({"max_rejection": 0.03}, "max_rejection: of tests with 100 draws .* 3.6%"),
        ({"objective": "energy"}, "objective"),
        ({"calibration": "gains"}, "calibration"),
        ({"rates": [0]}, "rates: must be a finite number > 0"),
        ({"rates": []}, "rates: must be at least one"),
        ({"synapses": []}, "synapses: must be at least one"),
        ({"synapses": "slow"}, "synapse: must be a synapse"),
        ({"most_time": 0}, "most_time: must be a finite number > 0"),
        ({"most_time": 0.001}, "most_time: no presentation is as short"),
        ({"backend": "keras"}, "backend: 'keras' is a backend of the classical"),
        ({"output": "z"}, "output: unknown output 'z'"),
        ({"dt": 0}, "dt"),
        ({"executor": 3}, "executor"),
        ({"seed": -1}, "seed"),
    ],
)
def test_arguments_are_checked(conv, judged, options, words):
    with pytest.raises(ValidationError, match=words):
        npd.tune(conv, X, **options)
    assert not judged["asked"]


def test_networks_and_rows_are_checked(conv):
    with pytest.raises(ValidationError, match="spiking neurons, got one of rate"):
        npd.tune(npd.Converter(KMODEL, neurons="rate"), X)
    with pytest.raises(ValidationError, match="X: at least 20 rows are needed, got 19"):
        npd.tune(conv, X[:19])
    with pytest.raises(ValidationError, match="rates: no layer of the model is relu"):
        npd.tune(npd.Converter(mlp(units=(8,))), X, rates=1)
    calibrated = npd.Converter(KMODEL)
    npd.calibrate(calibrated, X[:8], n_draws=1)
    with pytest.raises(ValidationError, match="got a calibrated network"):
        npd.tune(calibrated, X)


@pytest.mark.parametrize("first", range(6))
def test_bisection(first):
    asked = []

    def agrees(place):
        asked.append(place)
        return place >= first

    assert search._bisect(5, agrees) == first
    assert asked[0] == 4 and len(asked) <= 4
