import hashlib

import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_permadrop import datasets
from nengo_permadrop.datasets import shape_images
from nengo_permadrop.datasets.shape_images import NAMES, generate

SHAPES = "b55fc30ccf593f8caaa9f58351d1ca2caa4e5ab5ae5d05d37a820d88591cb7b9"
SHAPES_AS_ROWS = "8b489d9ace0c78d48fa203021648178914a48c1821a10af17934264a8484f226"


def test_shapes_are_the_same_images_everywhere():
    """Bit by bit, whatever the versions are: nothing in them is rounded in two ways."""
    pixels, probability = generate(500)
    assert pixels.shape == (500, 28, 28, 1) and pixels.dtype == np.uint8
    found = hashlib.sha256(pixels.tobytes() + probability.tobytes()).hexdigest()
    assert found == SHAPES
    data = datasets.load("shapes", n_rows=500, n_validation=50, n_test=50)
    rows = [*data.test.inputs.values(), data.test.target]
    found = hashlib.sha256(b"".join(each.tobytes() for each in rows)).hexdigest()
    assert found == SHAPES_AS_ROWS


def test_more_shapes_begin_with_the_same():
    few, many = generate(7), generate(1005)  # made a thousand at a time
    for a, b in zip(few, many):
        assert np.array_equal(a, b[:7])
    # what comes after the first thousand is no repetition
    assert not np.array_equal(many[0][1000:], many[0][:5])


def test_every_shape_is_there_and_one_in_five_is_two():
    # 0.2 of 4000 is 800, and 400 of each: both are off by less than 5 standard errors
    _, probability = generate(4000)
    assert np.allclose(probability.sum(axis=1), 1)
    blended = probability.max(axis=1) < 1
    assert abs(blended.sum() - 800) < 5 * np.sqrt(4000 * 0.2 * 0.8)
    assert (np.count_nonzero(probability[blended], axis=1) == 2).all()
    assert probability[blended].max() < 0.7 and (probability > 0).sum() == 4800 + (
        blended.sum() - 800
    )
    counts = np.bincount(probability.argmax(axis=1), minlength=10)
    assert np.abs(counts - 400).max() < 5 * np.sqrt(4000 * 0.1 * 0.9)


def test_shapes_look_like_their_names():
    pixels, probability = generate(3000)
    sure = probability.max(axis=1) == 1
    images, kind = pixels[sure, :, :, 0] / 255, probability[sure].argmax(axis=1)
    mean = {name: images[kind == i].mean(axis=0) for i, name in enumerate(NAMES)}
    middle = {name: each[12:16, 12:16].mean() for name, each in mean.items()}
    assert middle["disc"] > middle["ring"] + 0.1
    assert middle["square"] > middle["frame"] + 0.1
    rows, columns = (
        {name: each.mean(axis=axis) for name, each in mean.items()} for axis in (1, 0)
    )
    assert np.ptp(rows["bar"]) > 1.5 * np.ptp(columns["bar"])  # it lies
    top, bottom = rows["tee"][6:12].sum(), rows["tee"][16:22].sum()
    assert top > bottom + 0.1
    assert rows["ell"][16:22].sum() > rows["ell"][6:12].sum() + 0.1
    assert rows["triangle"][6:12].sum() > rows["triangle"][16:22].sum() + 0.1


def test_a_blend_is_of_both_as_its_target_says(monkeypatch):
    monkeypatch.setattr(shape_images, "_NOISE", 0.0)
    blends, probability = generate(300)
    ambiguous = probability.max(axis=1) < 1
    parts = []
    for share in (1.0, 0.0):  # the first shape alone, and the second
        monkeypatch.setattr(shape_images, "_BLEND", (share, share))
        parts.append(generate(300))
    (first, _), (second, kind) = parts
    blends, first, second = (x[ambiguous] * 1.0 for x in (blends, first, second))
    share = 1 - probability[ambiguous, kind[ambiguous].argmax(axis=1)]
    share = share.reshape(-1, 1, 1, 1)
    assert np.abs(blends - share * first - (1 - share) * second).max() <= 1.001
    assert np.abs(first - second).max(axis=(1, 2, 3)).min() > 50


def test_labels_say_what_is_in_an_image():
    data = datasets.load("shapes", n_rows=200, n_validation=20, n_test=100)
    assert data.output_names[0] == "IsDisc" and len(data.output_names) == 10
    target = data.in_units(data.test.target)
    for row, said in zip(target, data.test.labels["Shape"]):
        names = said.split("+")
        assert {NAMES[i] for i in np.flatnonzero(row > 1e-4)} == set(names)
    assert any("+" in said for said in data.test.labels["Shape"])


def test_digits_are_the_images_of_the_other_data_set():
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    raw = sklearn_datasets.load_digits()
    flat, data = (datasets.load(name, seed=3) for name in ("digits", "digits-images"))
    assert data.output_names == flat.output_names
    for part in ("train", "validation", "test"):
        rows, others = getattr(data, part), getattr(flat, part)
        numbers = rows.labels["Observation"]
        assert np.array_equal(numbers, others.labels["Observation"])
        images = raw.images[numbers][..., np.newaxis]
        assert rows.inputs["input"].shape == (len(rows), 8, 8, 1)
        assert np.array_equal(rows.inputs["input"], images / 8 - 1)
        assert np.allclose(
            data.in_units(rows.target), flat.in_units(others.target), atol=1e-6
        )


@pytest.mark.parametrize("name", ["digits-images", "shapes"])
def test_pixels_are_scaled_by_constants(name):
    if name == "digits-images":
        pytest.importorskip("sklearn")
    data = datasets.load(name)
    for rows in (data.train, data.validation, data.test):
        x = rows.inputs["input"]
        assert x.dtype == rows.target.dtype == np.float32
        assert x.min() == -1 and x.max() == 1
    assert abs(data.train.target.mean()) < 1e-6
    assert data.train.target.std() == pytest.approx(1, abs=0.1)
    # images as they are become the same
    brightest = 16 if name == "digits-images" else 255
    raw = (data.test.inputs["input"] + 1) * brightest / 2
    prepared = data.preparation.inputs({"input": raw})["input"]
    assert np.allclose(prepared, data.test.inputs["input"], atol=1e-6)


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(n_rows=0, n_validation=0, n_test=0), "to train on"),
        (dict(n_rows=20, n_validation=10, n_test=10), "to train on"),
    ],
)
def test_some_images_are_needed(options, words):
    with pytest.raises(ValidationError, match=words):
        datasets.load("shapes", **options)
    with pytest.raises(ValidationError, match="n_rows"):
        generate(0)
