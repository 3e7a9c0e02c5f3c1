"""How often KS tests reject, predicted and counted."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from nengo_permadrop.metrics import power
from nengo_permadrop.metrics.ks import (
    critical_height,
    equal_sizes_sf,
    ks_heights,
    null_sf,
)
from nengo_permadrop.metrics.power import (
    MOST_DRAWS,
    Bridges,
    components,
    drift,
    mean_square,
)

QUANTILES = (np.arange(4000) + 0.5) / 4000


def shifted_normals(*shifts):
    """The components of normals that are shifted, from quantiles: without chance."""
    values = scipy.stats.norm.ppf(QUANTILES)[:, np.newaxis]
    return components(values.repeat(len(shifts), axis=1), values + np.array(shifts))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 20, 100, 1000])
def test_closed_form_is_the_exact_distribution(n):
    heights = np.arange(n + 2 if n < 200 else 120)
    expected = null_sf(heights, n, n)
    np.testing.assert_allclose(equal_sizes_sf(heights, n), expected, atol=1e-10)


def test_critical_height():
    assert critical_height(3, 0.05) == (4, 0.0)  # 0.1 at the least
    height, level = critical_height(4, 0.05)
    assert height == 4 and math.isclose(level, 2 / math.comb(8, 4))
    height, level = critical_height(100, 0.05)
    assert math.isclose(level, null_sf(height, 100, 100)) and level <= 0.05
    assert null_sf(height - 1, 100, 100) > 0.05


def test_components_give_the_difference_of_distribution_functions():
    for shift in (0.1, 0.5, 1.0):
        x = np.linspace(-4, 4 + shift, 2000)
        one, other = scipy.stats.norm.cdf(x), scipy.stats.norm.cdf(x - shift)
        d = np.interp(power._POINTS, (one + other) / 2, other - one)
        found = drift(shifted_normals(shift))[0]
        np.testing.assert_allclose(found, d, atol=0.004)


def test_components_are_of_ranks():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 30, 3))
    found = components(a, b)
    np.testing.assert_allclose(components(np.exp(a), np.exp(b)), found)
    np.testing.assert_allclose(components(b, a), -found)
    assert np.all(components(a, a) == 0)


def test_pairs_that_hardly_differ_are_ranked_among_the_others():
    """
    Without that, the first component of a shift by 0.1 was 9% too large.

    Its mean over 400 sets has a standard error of 0.0004: false alarms in 1e-5.
    """
    a = np.random.default_rng(0).normal(size=(200, 400))
    found = components(a, a + 0.1)[:, 0]
    assert found.std() / 20 < 0.0005
    assert abs(found.mean() - shifted_normals(0.1)[0, 0]) < 0.002
    # whichever comes first, and equal ones say nothing
    np.testing.assert_allclose(components(a + 0.1, a)[:, 0], -found)
    half = np.where(np.arange(200)[:, np.newaxis] < 100, a + 0.1, a)
    assert abs(components(a, half)[:, 0].mean() - found.mean() / 2) < 0.002


def test_mean_square_is_an_integral():
    difference = np.random.default_rng(0).normal(size=(2, power.N_COMPONENTS))

    def square(u):
        return (difference @ power._integrals(np.atleast_1d(u)).T)[1, 0] ** 2

    expected, _ = scipy.integrate.quad(square, 0, 1)
    assert math.isclose(mean_square(difference)[1], expected, rel_tol=1e-9)


# Counted on 3000 tests: a standard error of 0.009 at the most, so that 0.04, with 0.01
# for the approximation, fails by chance in 1e-3 of all sets of seeds.
@pytest.mark.parametrize("n_draws, shift", [(10, 1.2), (30, 0.5), (100, 0.3), (400, 0)])
def test_predicted_rates_are_those_of_tests(n_draws, shift):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, n_draws, 3000))
    heights, _ = ks_heights(a, b + shift)
    counted = np.mean(heights >= critical_height(n_draws, 0.05)[0])
    d = drift(shifted_normals(shift))
    predicted = Bridges(1).rejection_rate(d, n_draws)
    assert predicted.shape == (1,)
    assert abs(predicted[0] - counted) < 0.04
    if shift == 0:  # by how the critical value is chosen
        assert math.isclose(predicted[0], critical_height(400, 0.05)[1], abs_tol=1e-3)


def test_number_of_draws_is_where_the_rate_is():
    shifts = np.linspace(-0.4, 0.4, 20)
    d, bridges = drift(shifted_normals(*shifts)), Bridges(20)
    for wanted in (0.3, 0.5, 0.8):
        n_draws = bridges.draws_seen(d, power=wanted)
        assert bridges.rejection_rate(d, int(n_draws)).mean() >= wanted
        assert bridges.rejection_rate(d, int(n_draws) - 1).mean() < wanted
        about = bridges.draws_seen_about(d, power=wanted, start=n_draws)
        assert math.isclose(about, n_draws, rel_tol=0.05)
    # a stricter level needs more draws
    assert bridges.draws_seen(d, alpha=0.01) > bridges.draws_seen(d)


def test_no_difference_is_never_seen():
    d, bridges = np.zeros((5, power._N_POINTS)), Bridges(5)
    assert bridges.draws_seen(d) == bridges.draws_seen_about(d) == math.inf
    assert bridges.rejection_rate(d, MOST_DRAWS).mean() < 0.06


def test_one_that_is_always_seen():
    """Samples that don't overlap: 4 draws a side are the least that can reject."""
    a = np.arange(50.0)[:, np.newaxis]
    d = drift(components(a, a + 100))
    assert 4 <= Bridges(1).draws_seen(d) <= 6
    assert Bridges(1).rejection_rate(d, 3)[0] == 0


def test_many_tests_share_paths(monkeypatch):
    d = drift(shifted_normals(*np.linspace(0, 0.5, 50)))
    own = Bridges(50).rejection_rate(d, 100)
    monkeypatch.setattr(power, "_MOST_TESTS", 20)
    shared = Bridges(50)
    np.testing.assert_allclose(shared.rejection_rate(d, 100), own, atol=0.06)
    assert shared.draws_seen_about(d) < math.inf
