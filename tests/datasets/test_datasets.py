import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_permadrop import datasets
from nengo_permadrop.combo.data.drug_pairs import expected_growth, generate
from nengo_permadrop.datasets.base import Split, standardised

pytest.importorskip("sklearn")

SMALL = {
    "diabetes": {},
    "digits": {},
    "digits-images": {},
    "shapes": dict(n_rows=60, n_validation=10, n_test=15),
    "combo-small": dict(n_cells=8, n_drugs=7, n_validation=10, n_test=15),
}


# scaled by constants, with tests of their own
IMAGES = {"digits-images", "shapes"}
# read from files, with tests of its own
FROM_FILES = {"combo"}


@pytest.fixture(params=SMALL)
def name(request):
    return request.param


def test_all_are_tested():
    assert set(datasets.names()) == set(SMALL) | FROM_FILES


def test_same_seed_same_data(name):
    a, b, other = (datasets.load(name, seed=s, **SMALL[name]) for s in (3, 3, 4))
    for part in ("train", "validation", "test"):
        for key in a.input_names:
            x = getattr(a, part).inputs[key]
            assert x.dtype == np.float32
            assert np.array_equal(x, getattr(b, part).inputs[key])
            assert not np.array_equal(x, getattr(other, part).inputs[key])
        assert np.array_equal(getattr(a, part).target, getattr(b, part).target)


@pytest.mark.parametrize("name", sorted(set(SMALL) - IMAGES))
def test_standardised_by_training_rows(name):
    data = datasets.load(name, seed=0, **SMALL[name])
    rows = [x for key, x in data.train.inputs.items() if not key.startswith("drug")]
    for x in (*rows, data.train.target):
        assert np.allclose(x.mean(axis=0), 0, atol=1e-5)
        std = x.std(axis=0, dtype=np.float64)
        # pixels that are the same in all images stay so
        assert np.allclose(std[np.ptp(x, axis=0) > 0], 1, atol=1e-5)


def test_nothing_of_the_test_rows_leaks_into_scaling():
    rng = np.random.RandomState(0)
    n = 30

    def make(shift):
        x, y = rng.randn(n, 3), rng.randn(n, 1)
        x[20:] += shift
        y[20:] += shift
        rows = Split({"input": x}, y, {"row": np.arange(n)})
        parts = (np.arange(15), np.arange(15, 20), np.arange(20, n))
        return standardised("made", rows, parts, "y", "made up")

    rng.seed(1)
    near = make(0.0)
    rng.seed(1)
    far = make(1e6)
    assert np.array_equal(near.train.inputs["input"], far.train.inputs["input"])
    assert (near.target_mean, near.target_std) == (far.target_mean, far.target_std)
    assert far.test.target.min() > 1e5


def test_diabetes_is_real_and_in_its_own_units():
    from sklearn.datasets import load_diabetes

    raw = load_diabetes()
    data = datasets.load("diabetes", seed=5)
    parts = (data.train, data.validation, data.test)
    assert sum(map(len, parts)) == len(raw.target) == 442
    rows = np.concatenate([part.labels["Observation"] for part in parts]).astype(int)
    assert np.array_equal(np.sort(rows), np.arange(442))
    target = np.concatenate([part.target for part in parts])[:, 0]
    restored = target * data.target_std + data.target_mean
    assert np.allclose(restored, raw.target[rows], rtol=1e-4)


def test_digits_have_ten_outputs():
    from sklearn.datasets import load_digits

    raw = load_digits()
    data = datasets.load("digits", seed=5)
    rows = data.test.labels["Observation"]
    assert data.test.target.shape == (400, 10) and len(data.output_names) == 10
    restored = data.test.target * data.target_std + data.target_mean
    assert np.array_equal(restored.argmax(axis=1), raw.target[rows])
    assert np.allclose(np.sort(restored, axis=1), [0] * 9 + [1], atol=1e-5)


def test_every_column_needs_a_name():
    rows = Split({"input": np.zeros((4, 2))}, np.zeros((4, 3)), {})
    with pytest.raises(ValidationError, match="3 columns, and 2"):
        standardised("made", rows, ([0, 1],) * 3, "y", "made up", output_names="ab")


def test_drug_pairs():
    screen = generate(9, 8, 5, 4, rng=np.random.RandomState(0))
    assert len(screen.growth) == 9 * 8 * 9 // 2
    pairs = {
        (cell, *sorted(drugs))
        for cell, *drugs in zip(screen.cell, screen.drug1, screen.drug2)
    }
    assert len(pairs) == len(screen.growth)  # measured once, in one order
    assert (screen.drug1 > screen.drug2).any() and (screen.drug1 < screen.drug2).any()
    assert screen.noise.max() > 3 * screen.noise.min()


def test_unscreened_cells_and_drugs_have_features_of_the_same_factors():
    screen = generate(
        20,
        15,
        12,
        10,
        rng=np.random.RandomState(0),
        n_unscreened_cells=30,
        n_unscreened_drugs=25,
    )
    assert screen.cell.max() < 20 and screen.drug1.max() < 15
    for features, n_screened in ((screen.expression, 20), (screen.descriptors, 15)):
        assert len(features) == n_screened + (30 if n_screened == 20 else 25)
        # five factors explain most of both: the directions of the screened ones, too
        known = features[:n_screened] / features[:n_screened].std(axis=0)
        other = features[n_screened:] / features[:n_screened].std(axis=0)
        other = other - known.mean(axis=0)
        _, _, axes = np.linalg.svd(known - known.mean(axis=0))
        explained = np.sum((other @ axes[:5].T) ** 2) / np.sum(other**2)
        assert explained > 0.85  # 0.42 and 0.5 of unrelated features would be


def test_growth_is_symmetric_in_the_drugs():
    cell, a, b = np.random.RandomState(0).randn(3, 50, 5)
    assert np.array_equal(expected_growth(cell, a, b), expected_growth(cell, b, a))


@pytest.mark.parametrize(
    "kwargs, attr", [(dict(n_cells=0), "n_cells"), (dict(measured=0), "measured")]
)
def test_generate_validates(kwargs, attr):
    sizes = dict(n_cells=3, n_drugs=3, n_genes=3, n_descriptors=3)
    with pytest.raises(ValidationError, match=attr):
        generate(**{**sizes, **kwargs})


def test_unknown_and_taken_names():
    with pytest.raises(ValidationError, match="'iris'.*combo-small, diabetes"):
        datasets.load("iris")
    with pytest.raises(ValidationError, match="already"):
        datasets.register("diabetes", None)
    with pytest.raises(ValidationError, match="leave none of 442"):
        datasets.load("diabetes", n_test=400)
