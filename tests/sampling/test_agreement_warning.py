"""What sample() warns of, and that it changes nothing."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from kmodels import mlp

import nengo_permadrop as npd
from nengo_permadrop.sampling.sampler import Sampler

QUICK = {"n_draws": 3, "progress": False}


def rows(n=8, seed=0):
    return np.random.RandomState(seed).standard_normal((n, 6))


@pytest.fixture(name="bad", scope="module")
def _bad():
    kmodel = mlp(units=(60, 60), activation="relu")
    return npd.Converter(kmodel, scale_firing_rates=10, seed=0)


def caught(function, *args, **kwargs):
    """What a call gives, and the warnings of disagreement that it gave."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        result = function(*args, **kwargs)
    return result, [w for w in record if issubclass(w.category, npd.AgreementWarning)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"backend": "nengo"},
        {"run": "single"},
        {"masks": "draw"},
        {"settle": 0.001, "presentation_time": 0.04},
        {"max_memory": 10**5},
    ],
)
def test_one_warning_a_call(bad, options):
    samples, found = caught(npd.sample, bad, rows(), **{**QUICK, **options})
    assert len(found) == 1 and "nengo_permadrop" in found[0].filename
    words = str(found[0].message)
    assert "scale_firing_rates" in words and "'activation" in words
    assert ("settle is 0.001 s" in words) == ("settle" in options)
    for each in samples.meta["warnings"]:
        assert each in words


def test_one_warning_with_an_executor(bad):
    alone, _ = caught(npd.sample, bad, rows(), **QUICK)
    with ThreadPoolExecutor(2) as executor:
        samples, found = caught(npd.sample, bad, rows(), executor=executor, **QUICK)
    assert len(found) == 1 and np.array_equal(samples.values, alone.values)


def test_one_warning_for_all_tables(bad):
    with Sampler(bad, 2) as sampler:
        _, first = caught(sampler.draw, rows(), progress=False)
        _, second = caught(
            sampler.draw, rows(seed=1), progress=False, first_observation=8
        )
    assert len(first) == 1 and not second


def test_it_changes_no_draw(bad):
    X = rows()
    with Sampler(bad, 3, compared=False) as sampler:
        unchecked, found = caught(sampler.draw, X, progress=False)
    assert not found and "warnings" not in unchecked.meta
    state = np.random.get_state()[1].copy()
    checked, _ = caught(npd.sample, bad, X, **QUICK)
    assert np.array_equal(checked.values, unchecked.values)
    assert np.array_equal(np.random.get_state()[1], state)


def test_nothing_is_said_where_nothing_is_wrong(bad):
    good = npd.Converter(mlp(units=(60, 60)), seed=0)
    rate = npd.Converter(bad.graph, neurons="rate")
    for conv in (good, rate):
        samples, found = caught(npd.sample, conv, rows(), **QUICK)
        assert not found and "warnings" not in samples.meta


def test_energy_and_windows_are_not_compared(bad):
    _, found = caught(npd.energy, bad, rows(2), n_draws=2, progress=False)
    assert not found
    _, found = caught(
        npd.tune_window,
        npd.Converter(mlp(), seed=0),
        rows(4),
        n_draws=10,
        repeats=1,
        windows=[0.05, 0.3],
    )
    assert not found
