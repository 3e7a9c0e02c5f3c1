"""Studies of models that are given as files."""

import numpy as np
import pytest

pytest.importorskip("keras")
from file_models import made, saved
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.sources.registry import opened
from nengo_permadrop.study.model_file import write_model, written_model

OPTIONS = dict(n_draws=4, observations=5, workers=1, progress=False)


@pytest.fixture(name="files", scope="module")
def _files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return folder, saved(made("mc_dropout"), folder)


def rows(n=60):
    rng = np.random.RandomState(0)
    return rng.normal(size=(n, 4)), rng.normal(size=n)


@pytest.mark.filterwarnings("ignore:.*may not agree")
def test_a_study_of_a_file_is_that_of_the_model(files, tmp_path):
    folder, paths = files
    X, y = rows()
    found = npd.study(paths[-1][0], X, y, output=tmp_path / "of-file", **OPTIONS)
    expected = npd.study(made("mc_dropout"), X, y, **OPTIONS)
    assert np.array_equal(found.samples_spiking.values, expected.samples_spiking.values)
    assert found.samples_classical.values == pytest.approx(
        expected.samples_classical.values, abs=1e-5
    )
    assert found.network["parameters"] == expected.network["parameters"]
    assert found.r2 == pytest.approx(expected.r2, abs=1e-4)
    copied = tmp_path / "of-file" / "model.keras"
    assert copied.read_bytes() == paths[-1][0].read_bytes()
    assert not (tmp_path / "of-file" / "model.h5").exists()
    table = npd.predict(tmp_path / "of-file", X[:3], n_draws=4, progress=False)
    assert len(table) == 3


@pytest.mark.parametrize("number", range(3))
def test_copies_are_read_as_the_file_was(files, tmp_path, number):
    _, paths = files
    path, weights = paths[number]
    model = opened(path, weights=weights)
    names = write_model(model, tmp_path)
    assert names == sorted(names, key=lambda name: "weights" in name)
    copied, copied_weights = written_model(tmp_path)
    assert {each.name for each in (copied, copied_weights) if each} == set(names)
    again = opened(copied, weights=copied_weights)
    assert again.n_parameters == model.n_parameters
    forward = [
        npd.sources.registry.get_source("keras").forward(each)
        for each in (model, again)
    ]
    X, _ = rows(3)
    assert np.array_equal(*(each([X])[0] for each in forward))


def test_a_file_that_changed_is_told(files, tmp_path):
    _, paths = files
    path = tmp_path / "model.keras"
    path.write_bytes(paths[-1][0].read_bytes())
    model = opened(path)
    other = saved(made("mc_dropout", seed=1), tmp_path / "..")[-1][0]
    path.write_bytes(other.read_bytes())
    (tmp_path / "study").mkdir()
    with pytest.raises(ValidationError, match="model.keras has changed since"):
        write_model(model, tmp_path / "study")
