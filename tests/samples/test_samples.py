import copy
import json
import os
import pickle

import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_permadrop.samples.loading import load_samples
from nengo_permadrop.samples.samples import PredictiveSamples
from nengo_permadrop.support import optional
from nengo_permadrop.support.errors import DamagedFileError


@pytest.fixture(name="samples")
def _samples():
    values = np.random.RandomState(1).randn(7, 3, 2)
    return PredictiveSamples(
        values,
        output_names=["growth", "µ"],
        observation_names=["GDSC.22RV1", "b", 3],
        backend="batched",
        seed=5,
        masks="draw",
        meta={"presentation_time": 0.1, "versions": {"nengo": "4.1.0"}, "redraw": None},
    )


def test_shapes_and_defaults():
    one = PredictiveSamples(np.zeros((4, 3, 1)))
    assert (one.n_draws, one.n_observations, one.n_outputs) == (4, 3, 1)
    assert one.output_names == ["y"]
    assert one.observation_names == [0, 1, 2]
    assert (one.backend, one.seed, one.masks, one.meta) == (
        None,
        None,
        "observation",
        {},
    )
    assert PredictiveSamples(np.zeros((4, 3, 2))).output_names == ["y0", "y1"]


@pytest.mark.parametrize(
    "dtype, kept", [("f4", "f4"), ("f8", "f8"), ("i8", "f8"), (bool, "f8")]
)
def test_dtype(dtype, kept):
    assert PredictiveSamples(np.ones((2, 1, 1), dtype)).values.dtype == kept


def test_values_are_a_read_only_copy(samples):
    source = np.zeros((2, 1, 1))
    from_source = PredictiveSamples(source)
    source[:] = 1
    assert np.all(from_source.values == 0)
    with pytest.raises(AttributeError):
        samples.values = source
    for each in (samples, copy.deepcopy(samples), pickle.loads(pickle.dumps(samples))):
        with pytest.raises(ValueError, match="read-only"):
            each.values[0] = 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(bad):
    values = np.zeros((4, 3, 2), dtype=np.float32)
    values[2, 1, 0] = values[3, 2, 1] = bad
    with pytest.raises(
        ValidationError, match="draw 2, observation 1, output 0 .*2 of 24"
    ):
        PredictiveSamples(values)


@pytest.mark.parametrize(
    "kwargs, match",
    [
        (dict(values=np.zeros((3, 2))), r"n_draws.*\(3, 2\)"),
        (dict(values=np.zeros((0, 2, 1))), r"none of them 0.*\(0, 2, 1\)"),
        (dict(values=[[["a"]]]), "real numbers"),
        (dict(values=np.zeros((1, 1, 1), complex)), "real numbers"),
        (dict(output_names=["a"]), r"list of 2 str .*\(4, 3, 2\); got 1"),
        (dict(output_names=["a", 1]), "list of 2 str"),
        (dict(output_names=["a", "a"]), "all be different"),
        (dict(output_names="ab"), "string 'ab'"),
        (dict(observation_names=["a", "b"]), "list of 3 str or int"),
        (dict(observation_names=["a", "b", 1.5]), "list of 3 str or int"),
        (dict(masks="obs"), "observation, draw; got 'obs'"),
        (dict(backend=3), "name of a backend"),
        (dict(meta={"net": object()}), "JSON"),
        (dict(meta=[1]), r"dict.*\[1\]"),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValidationError, match=match) as info:
        PredictiveSamples(**{"values": np.zeros((4, 3, 2)), **kwargs})
    assert info.value.attr == list(kwargs)[0]


def test_bad_seed():
    with pytest.raises(TypeError):
        PredictiveSamples(np.zeros((1, 1, 1)), seed=1.5)


def test_numpy_in_names_and_meta():
    samples = PredictiveSamples(
        np.zeros((2, 2, 1)),
        observation_names=np.array([10, 20]),
        output_names=np.array(["y"]),
        seed=np.int64(3),
        meta={"dt": np.float32(0.5), "rates": np.arange(2), "pair": (1, 2)},
    )
    assert samples.meta == {"dt": 0.5, "rates": [0, 1], "pair": [1, 2]}
    assert [type(n) for n in samples.observation_names] == [int, int]
    json.dumps([samples.seed, samples.output_names, samples.observation_names])


def test_statistics(samples):
    values = samples.values
    assert np.allclose(samples.mean(), values.mean(axis=0))
    assert np.allclose(samples.std(), values.std(axis=0))
    assert np.allclose(samples.std(ddof=1), values.std(axis=0, ddof=1))
    assert np.array_equal(samples.min(), values.min(axis=0))
    assert np.array_equal(samples.max(), values.max(axis=0))
    assert samples.quantile(0.5).shape == (3, 2)
    assert np.allclose(samples.quantile(0.5), np.median(values, axis=0))
    both = samples.quantile([0.0, 1.0])
    assert both.shape == (2, 3, 2)
    assert np.array_equal(both[1], samples.max())


def test_statistics_of_float32_do_not_lose_digits():
    values = (1e4 + np.random.RandomState(0).rand(20000, 1, 1)).astype(np.float32)
    samples = PredictiveSamples(values)
    exact = values.astype(np.float64)
    assert np.allclose(samples.mean(), exact.mean(axis=0), rtol=1e-12)
    assert np.allclose(samples.std(), exact.std(axis=0), rtol=1e-9)


def test_statistics_that_do_not_exist(samples):
    with pytest.raises(ValidationError, match=r"number of draws \(7\); got 7"):
        samples.std(ddof=7)
    for q in (-0.1, 1.1, np.nan, [0.5, 2]):
        with pytest.raises(ValidationError, match=r"\[0, 1\]"):
            samples.quantile(q)


def test_summary(samples):
    table = samples.summary(quantiles=(0.05, 0.5))
    assert list(table.columns) == (
        ["Observation", "Output", "N", "Mean", "Std", "Min", "Max", "Q0.05", "Q0.5"]
    )
    assert len(table) == 6
    row = table[(table.Observation == "b") & (table.Output == "µ")]
    draws = samples.values[:, 1, 1]
    assert row.N.item() == 7
    assert np.isclose(row.Mean.item(), draws.mean())
    assert np.isclose(row.Std.item(), draws.std())
    assert (row.Min.item(), row.Max.item()) == (draws.min(), draws.max())
    assert np.isclose(row["Q0.05"].item(), np.quantile(draws, 0.05))


def test_to_xarray(samples):
    pytest.importorskip("xarray")
    array = samples.to_xarray()
    assert array.dims == ("draw", "observation", "output")
    assert np.array_equal(array, samples.values)
    draw = array.sel(observation="b", output="growth").isel(draw=2)
    assert draw.item() == samples.values[2, 1, 0]
    assert (array.attrs["backend"], array.attrs["seed"]) == ("batched", 5)
    assert json.loads(array.attrs["meta"]) == samples.meta
    assert "seed" not in PredictiveSamples(np.zeros((1, 1, 1))).to_xarray().attrs


@pytest.mark.parametrize("name", ["xarray", "arviz"])
def test_without_other_packages(name, samples, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(optional.importlib, "import_module", missing)
    with pytest.raises(ImportError, match="pip install"):
        getattr(samples, f"to_{name}")()


def test_reprs(samples):
    assert repr(samples) == (
        "<PredictiveSamples: 7 draws, 3 observations, 2 outputs, backend='batched', "
        "seed=5, masks='draw'>"
    )


def test_str_is_short(samples):
    text = str(samples)
    assert text.startswith(repr(samples) + "\n")
    assert "GDSC.22RV1" in text and "growth" in text and "more" not in text
    text = str(PredictiveSamples(np.zeros((2, 100, 1))))
    assert len(text.splitlines()) == 8
    assert text.endswith("... and 95 more observations")


# --- in other packages


def test_to_arviz(samples):
    arviz = pytest.importorskip("arviz")
    data = samples.to_arviz()
    assert isinstance(data, arviz.InferenceData)
    assert data.groups() == ["posterior_predictive"]
    array = data.posterior_predictive["samples"]
    assert array.dims == ("chain", "draw", "observation", "output")
    assert array.shape == (1, 7, 3, 2)
    assert np.array_equal(array[0], samples.values)
    assert array.sel(observation="b", output="µ").values[0, 2] == (
        samples.values[2, 1, 1]
    )
    summary = arviz.summary(data, group="posterior_predictive", kind="stats")
    assert np.allclose(summary["mean"], samples.mean().ravel(), atol=1e-3)


def test_to_arviz_with_targets_in_another_order():
    pytest.importorskip("arviz")
    pd = pytest.importorskip("pandas")
    samples = PredictiveSamples(np.zeros((4, 3, 2)), output_names=["a", "b"])
    y = pd.DataFrame({"b": [1.0, 2, 3], "a": [4.0, 5, 6]})
    with pytest.raises(ValidationError, match="y: output_names differ"):
        samples.to_arviz(y)
    observed = samples.to_arviz(y[["a", "b"]]).observed_data["samples"]
    assert observed.sel(output="b").values.tolist() == [1, 2, 3]


def test_to_arviz_with_targets(samples):
    pytest.importorskip("arviz")
    y = np.arange(6.0).reshape(3, 2)
    data = samples.to_arviz(y)
    assert data.observed_data["samples"].dims == ("observation", "output")
    assert np.array_equal(data.observed_data["samples"], y)
    with pytest.raises(ValidationError, match="n_observations"):
        samples.to_arviz(y[:2])


# --- files


@pytest.mark.parametrize("name", ["run.npz", "run", "run.v1"])
def test_save_and_load(samples, tmp_path, name):
    path = samples.save(tmp_path / name)
    assert path.name == ("run.npz" if name == "run" else name.replace(".v1", ".v1.npz"))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    for given in (path, str(tmp_path / name)):
        loaded = load_samples(given)
        assert np.array_equal(loaded.values, samples.values)
        assert loaded.values.dtype == samples.values.dtype
        for attr in ("output_names", "observation_names", "backend", "seed", "masks"):
            assert getattr(loaded, attr) == getattr(samples, attr)
        assert loaded.meta == samples.meta


def test_save_holds_no_pickle_and_keeps_float32(tmp_path):
    path = PredictiveSamples(np.ones((2, 1, 1), np.float32)).save(tmp_path / "a")
    with np.load(path, allow_pickle=False) as archive:
        assert all(archive[key].dtype != object for key in archive)
    assert load_samples(path).values.dtype == np.float32


@pytest.mark.parametrize("broken", ["savez", "replace", "fsync"])
def test_failed_save_leaves_the_old_file_and_nothing_else(
    samples, tmp_path, monkeypatch, broken
):
    path = samples.save(tmp_path / "a")
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(np if broken == "savez" else os, broken, fail)
    with pytest.raises(OSError, match="no space left"):
        PredictiveSamples(np.zeros((1, 1, 1))).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_save_to_missing_folder(samples, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        samples.save(tmp_path / "nowhere" / "a")


def test_load_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.npz"):
        load_samples(tmp_path / "nothing")


def _write_other_archive(path):
    np.savez(path, values=np.zeros((1, 1, 1)))


def _write_array(path):
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))


def _write_other_header(path):
    header = np.frombuffer(b'{"format": "something else"}', dtype=np.uint8)
    np.savez(path, header=header, values=np.zeros((1, 1, 1)))


def _write_list_header(path):
    np.savez(path, header=np.frombuffer(b"[]", dtype=np.uint8))


def _write_pickled(path):
    np.savez(path, header=np.array([{}], dtype=object))


def _write_truncated(path):
    PredictiveSamples(np.zeros((100, 3, 1))).save(path)
    path.write_bytes(path.read_bytes()[:1000])


def _write_flipped(path):
    PredictiveSamples(np.zeros((100, 3, 1))).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"Sample,Drug1\n"),
        _write_array,
        _write_other_archive,
        _write_other_header,
        _write_list_header,
        _write_pickled,
        _write_truncated,
        _write_flipped,
    ],
)
def test_load_what_is_not_ours(tmp_path, write):
    path = tmp_path / "other.npz"
    write(path)
    with pytest.raises(DamagedFileError, match="other.npz: is damaged, or isn't"):
        load_samples(path)


def test_load_newer_version(samples, tmp_path, monkeypatch):
    monkeypatch.setattr("nengo_permadrop.samples.io.FORMAT_VERSION", 3)
    linked = PredictiveSamples(samples.values, link="exp", logits=samples.values)
    path = linked.save(tmp_path / "new")
    monkeypatch.undo()
    with pytest.raises(DamagedFileError, match="version 3 .*reads up to 2"):
        load_samples(path)


def test_what_older_versions_read_is_still_written(samples, tmp_path):
    """Of samples without a link; these are in the files since version 2."""
    for name, given, version in (
        ("plain", samples, 1),
        ("linked", PredictiveSamples(samples.values, link="exp"), 2),
    ):
        with np.load(given.save(tmp_path / name)) as found:
            header = json.loads(found["header"].tobytes())
        assert header["version"] == version
        assert ("link" in header) == (version == 2)
