import numpy as np
import pytest
from scipy import stats

from nengo_permadrop.dropout.masks import keep_mask, mask_key
from nengo_permadrop.dropout.seeds import derive_seed, mix64


def keys(n, seed=0):
    return np.array([mask_key(np.random.RandomState(seed + i)) for i in range(n)])


def test_mask_depends_on_key_redraw_and_unit_only():
    key = mask_key(np.random.RandomState(3))
    mask = keep_mask(key, 50, 0.3, redraw_index=2)
    assert np.array_equal(mask, keep_mask(key, 50, 0.3, redraw_index=2))
    assert np.array_equal(mask[:20], keep_mask(key, 20, 0.3, redraw_index=2))
    assert not np.array_equal(mask, keep_mask(key, 50, 0.3, redraw_index=3))
    assert not np.array_equal(mask, keep_mask(key + np.uint64(1), 50, 0.3, 2))


def test_known_masks():
    # pinned: published seeds must keep their masks from version to version
    key = mask_key(np.random.RandomState(1))
    kept = "".join("01"[int(keep)] for keep in keep_mask(key, 16, 0.5))
    assert int(key) == 7692698082559361259
    assert kept == "1010011010011010"


def test_vectorised_over_keys():
    many = keys(6).reshape(2, 3)
    masks = keep_mask(many, 10, 0.4)
    assert masks.shape == (2, 3, 10)
    for index in np.ndindex(2, 3):
        assert np.array_equal(masks[index], keep_mask(many[index], 10, 0.4))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_kept_fraction(rate):
    # the number kept is binomial; each of the 3 tests alarms falsely with p = 1e-4
    n_keys, n_units = 200, 500
    kept = keep_mask(keys(n_keys), n_units, rate).sum()
    assert stats.binomtest(int(kept), n_keys * n_units, 1 - rate).pvalue > 1e-4


def test_masks_are_independent_between_keys_redraws_and_units():
    # correlations of n pairs are normal with sd 1 / sqrt(n) for independent masks; 3
    # tests at 5 sd, so a false alarm has p = 2e-6
    masks = keep_mask(keys(100), 400, 0.5).astype(float)
    redrawn = keep_mask(keys(100), 400, 0.5, redraw_index=1)
    for a, b in (
        (masks[:-1], masks[1:]),
        (masks, redrawn),
        (masks[:, :-1], masks[:, 1:]),
    ):
        a, b = a.ravel(), b.ravel()
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(a.size)


def test_rate_zero_keeps_all():
    assert keep_mask(keys(10), 100, 0.0).all()


def test_derive_seed():
    assert derive_seed(1, 2, 3) == derive_seed(1, 2, 3)
    assert derive_seed(1, 2, 3) != derive_seed(1, 3, 2)
    assert isinstance(derive_seed(0, 0), int)
    grid = derive_seed(5, np.arange(30)[:, None], np.arange(40)[None, :])
    assert grid.shape == (30, 40)
    assert grid[3, 7] == derive_seed(5, 3, 7)
    assert grid.min() >= 0 and grid.max() < 2**31
    np.random.RandomState(int(grid.max()))  # a valid seed


def test_derived_seeds_differ():
    # among n = 10,000 uniform 31-bit seeds about n**2 / 2**32 = 0.02 pairs are equal;
    # more than 2 equal pairs have a probability of about 2e-6
    seeds = derive_seed(np.arange(100)[:, None], np.arange(100)[None, :])
    assert seeds.size - np.unique(seeds).size <= 2


def test_mix64_is_a_bijection_on_a_sample():
    x = np.arange(10_000)
    assert np.unique(mix64(x)).size == x.size
