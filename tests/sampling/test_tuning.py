import numpy as np
import pytest
from kmodels import mlp, observations
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.sampling import tuning

pytest.importorskip("arviz")
pytestmark = pytest.mark.filterwarnings("ignore:.* may not agree")


@pytest.fixture(scope="module")
def conv():
    return npd.Converter(mlp(units=(30, 30)))


X = observations(mlp(), 10)[0]
FAST = dict(n_draws=40, windows=[0.005, 0.03, 0.1], fractions=[0.7])


def test_repeats_are_judged_together(conv, monkeypatch):
    monkeypatch.setattr(tuning, "_MOST", 0.0)  # whatever the verdicts are
    options = {**FAST, "windows": [0.1]}
    once, twice = (npd.tune_window(conv, X, repeats=n, **options) for n in (1, 2))
    assert once.table["agreeing"][0] in (0, 1) and once.table["agrees"][0]
    # the first of the two is the one, and the other has draws of its own
    assert twice.table["agreeing"][0] in (0, 1, 2)
    assert once.table["effective_size"][0] != twice.table["effective_size"][0]


def test_finds_the_shortest_window(conv):
    tuned = npd.tune_window(conv, X, **FAST)
    table = tuned.table
    assert tuned.window in (0.03, 0.1)
    assert np.isclose(tuned.settle, 0.7 * tuned.window)
    # bisection: the longest, the middle, and then what is left
    assert table["window"].tolist() == sorted(set(table["window"]))
    first = table[table["agrees"]].iloc[0]
    assert first["window"] == tuned.window
    assert first["simulated_time"] == tuned.simulated_time
    assert str(tuned).startswith("run='single': windows of ")


def test_the_same_seed_finds_the_same(conv):
    first, again = (npd.tune_window(conv, X, seed=3, **FAST) for _ in range(2))
    assert first.table.equals(again.table)
    assert (first.window, first.settle) == (again.window, again.settle)


def test_restart_and_decorrelated_draws_can_be_tuned(conv):
    restart = npd.tune_window(conv, X, run="restart", **FAST)
    assert restart.run == "restart" and restart.window in (0.03, 0.1)
    assert restart.simulated_time >= 40 * restart.window - 1e-9
    options = {**FAST, "windows": [0.03, 0.1]}
    taken_apart = npd.tune_window(conv, X, decorrelate=True, **options)
    assert (taken_apart.table["effective_size"] == 40).all()


def test_what_is_read_by_default(conv, monkeypatch):
    monkeypatch.setattr(tuning, "_MOST", 0.0)
    for decorrelate, settle in ((False, 0.08), (True, 0.05)):
        tuned = npd.tune_window(
            conv, X, 40, windows=[0.1], decorrelate=decorrelate, min_effective=0
        )
        assert np.isclose(tuned.settle, settle)


def test_nothing_agrees(conv):
    with pytest.raises(ValidationError, match="not even windows of 0.004 s agree"):
        npd.tune_window(conv, X, windows=[0.003, 0.004], n_draws=40)


def test_bisection_asks_few_and_finds_the_first():
    windows = np.arange(1, 33) / 100
    asked = []

    def agrees(window):
        asked.append(window)
        return window >= 0.2 - 1e-9

    assert tuning._bisect(windows, agrees) == 0.2
    assert len(asked) == 6
    assert tuning._bisect(windows, lambda window: True) == 0.01
    assert tuning._bisect(windows, lambda window: False) is None


def test_arguments_are_checked(conv):
    with pytest.raises(ValidationError, match="> 0 .seconds"):
        npd.tune_window(conv, X, windows=[0.0, 0.1])
    with pytest.raises(ValidationError, match=r"in \[0, 1\), got \[1.0\]"):
        npd.tune_window(conv, X, fractions=[1.0])
    with pytest.raises(ValidationError, match="integer >= 1, got 0"):
        npd.tune_window(conv, X, repeats=0)
    with pytest.raises(ValidationError, match="Converter of spiking neurons"):
        npd.tune_window(npd.Converter(mlp(), neurons="rate"), X)
