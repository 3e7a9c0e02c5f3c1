"""Certificates of draws whose difference is known."""

import dataclasses
import json
import math

import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_permadrop.metrics import certificate_of
from nengo_permadrop.samples.samples import PredictiveSamples


def pairs(bias=0.0, spread=1.0, noise=0.05, shape=(200, 40, 1), seed=0):
    """Spiking and classical samples: normal; ``noise`` of the pairs don't match."""
    rng = np.random.default_rng(seed)
    classical, other = rng.normal(size=(2, *shape))
    spiking = np.where(rng.random(shape) < noise, other, classical)
    spiking = bias + spread * spiking
    return PredictiveSamples(spiking), PredictiveSamples(classical)


def test_equal_distributions_are_not_told_apart():
    """False alarms: none in 120 simulated ones, 1 of 60 with independent draws."""
    found = certificate_of(*pairs())
    assert found.n_draws == math.inf and found.interval[1] == math.inf
    assert found.interval[0] > 1000
    assert found.bias < found.bias_noise and found.shape < 0.01
    assert "would not be seen in 50% of KS tests" in str(found)
    # neither by draws that are independent, whose estimates have far more error
    found = certificate_of(*pairs(noise=1.0))
    assert found.interval[1] == math.inf and found.interval[0] > 300
    assert found.bias_noise > 0.08


# Tests of normals that are shifted by 0.2 reach 50% at 271 draws (by counting on 40000
# tests, 264 to 278). The interval is one of 90%, and is said to cover it in so many; of
# 99.9% here.
@pytest.mark.parametrize("noise", [0.05, 1.0])
def test_a_known_shift(noise):
    found = certificate_of(*pairs(bias=0.2, noise=noise), confidence=0.999)
    low, high = found.interval
    assert low <= 271 <= high and high < 600
    assert low <= found.n_draws <= high
    assert abs(found.bias - 0.2) < 3.3 * found.bias_noise / math.sqrt(40) + 0.005
    assert abs(found.spread - 1) < 0.05
    assert math.isclose(found.rejection_rate(int(found.n_draws)), 0.5, abs_tol=0.02)
    assert found.rejection_rate(1000) > 0.9
    words = str(found)
    assert f"with {found.n_draws:.0f} draws of each network" in words
    assert f"99.9% interval: {low:.0f} to {high:.0f}" in words.replace("100%", "99.9%")


def test_few_pairs_do_not_promise_much():
    """Of pairs that tell next to nothing, the interval begins early, always."""
    for seed in range(3):
        found = certificate_of(*pairs(noise=1.0, shape=(20, 3, 1), seed=seed))
        assert found.interval[0] < 300


def test_spread_and_shape():
    rng = np.random.default_rng(0)
    spread = certificate_of(*pairs(spread=1.3))
    assert abs(spread.spread - 1.3) < 0.02 and spread.shape < 0.01
    assert 100 < spread.n_draws < 1500
    # of the same mean and standard deviation: normal, and half of it at each of two
    classical = rng.normal(size=(200, 40))
    two = np.where(rng.random((200, 40)) < 0.5, -0.8, 0.8)
    two = two + 0.6 * rng.normal(size=(200, 40))
    shape = certificate_of(*(PredictiveSamples(x[..., None]) for x in (two, classical)))
    assert 0.02 < shape.shape < 0.08
    assert shape.bias < 0.05 and abs(shape.spread - 1) < 0.05
    assert shape.n_draws < 2000


def test_observations_and_outputs():
    spiking, classical = pairs(shape=(100, 20, 3))
    values = spiking.values.copy()
    values[:, 5, 1] += 2.0
    found = certificate_of(PredictiveSamples(values), classical)
    assert found.biases.shape == found.spreads.shape == (20, 3)
    assert np.unravel_index(np.argmax(found.biases), (20, 3)) == (5, 1)
    assert found.differences.shape[:2] == (20, 3)
    with pytest.raises(ValueError, match="read-only"):
        found.biases[0, 0] = 0


def test_a_certificate_is_fixed_by_its_seed():
    samples = pairs(bias=0.2, shape=(60, 20, 1))
    first, again, other = (certificate_of(*samples, seed=s) for s in (3, 3, 4))
    assert first.to_dict() == again.to_dict()
    assert first.to_dict() != other.to_dict()
    assert math.isclose(first.n_draws, other.n_draws, rel_tol=0.05)
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.n_draws = 1


def test_units_do_not_matter():
    spiking, classical = pairs(bias=0.2, shape=(60, 20, 1))
    first = certificate_of(spiking, classical)
    scaled = (PredictiveSamples(1e3 * s.values - 5) for s in (spiking, classical))
    scaled = certificate_of(*scaled)
    assert first.n_draws == scaled.n_draws
    assert math.isclose(first.bias, scaled.bias, rel_tol=1e-6)


def test_ways_to_show_it():
    for bias in (0.0, 0.2):
        found = certificate_of(*pairs(bias, shape=(60, 20, 1)), options={"dt": 0.001})
        data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert data["n_draws"] == (None if bias == 0 else found.n_draws)
        assert data["options"] == {"dt": 0.001} and data["n_pairs"] == 60
        assert set(data) >= {field.name for field in dataclasses.fields(found)}
        assert found.words() in found._repr_html_().replace("&#x27;", "'")
        assert repr(found).startswith("<Certificate: seen at ")


def test_what_cannot_be_certified():
    spiking, classical = pairs(shape=(30, 4, 2))
    values = classical.values.copy()
    values[:, 2, 1] = 0.5
    with pytest.raises(ValidationError, match="classical draws of observation 2, out"):
        certificate_of(spiking, PredictiveSamples(values))
    with pytest.raises(ValidationError, match="spiking draws of observation 2, output"):
        certificate_of(PredictiveSamples(values), classical)
    with pytest.raises(ValidationError, match="integer >= 20, got 19"):
        certificate_of(*pairs(shape=(19, 4, 1)))
    with pytest.raises(ValidationError, match="at least 2 observations"):
        certificate_of(*pairs(shape=(30, 1, 1)))
    with pytest.raises(ValidationError, match="in pairs, got 30 and 40"):
        certificate_of(spiking, pairs(shape=(40, 4, 2))[1])
    with pytest.raises(ValidationError, match="share their masks"):
        certificate_of(spiking, PredictiveSamples(classical.values, masks="draw"))
    with pytest.raises(ValidationError, match="must be PredictiveSamples"):
        certificate_of(spiking.values, classical)
    with pytest.raises(ValidationError, match="more than alpha"):
        certificate_of(spiking, classical, power=0.05)
    for name in ("alpha", "power", "confidence"):
        for wrong in (0, 1, math.nan, "high"):
            with pytest.raises(ValidationError, match=f"{name}: must be a finite"):
                certificate_of(spiking, classical, **{name: wrong})
