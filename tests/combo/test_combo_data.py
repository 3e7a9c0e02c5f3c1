"""The Combo data set: rows, feature scaling, and the parts that `load` gives."""

import dataclasses
import warnings

import numpy as np
import pytest
from combo_helpers import SIZES
from nengo.exceptions import ValidationError

from nengo_permadrop import datasets
from nengo_permadrop.combo.data import files
from nengo_permadrop.combo.data.generator import generate_files
from nengo_permadrop.combo.data.reading import DataFileError, FeatureTable
from nengo_permadrop.combo.data.rows import ComboRows, ComboTables
from nengo_permadrop.combo.data.scaling import (
    FeatureScaling,
    TableScaling,
    features_path,
)
from nengo_permadrop.support.errors import DamagedFileError

pytest.importorskip("sklearn")
from sklearn import preprocessing  # noqa: E402

NAN = np.nan


@pytest.fixture(name="data_dir", scope="module")
def _data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("combo")
    generate_files(path, **SIZES)
    return path


@pytest.fixture(name="data", scope="module")
def _data(data_dir):
    return datasets.load("combo", data_dir=data_dir, seed=0, n_test=5)


def table(values, columns, path="made-up"):
    values = np.array(values, dtype=np.float32)
    ids = np.array([f"r{i}" for i in range(len(values))])
    return FeatureTable(ids, np.array(list(columns)), values, path)


def test_parts(data, data_dir):
    n_rows = len(data.train) + len(data.validation) + len(data.test)
    described = int(round(0.9 * 6 * 15))  # measured; 6 cells, 15 pairs
    assert n_rows == described
    assert len(data.validation) == int(0.2 * n_rows) and len(data.test) == 5
    assert data.n_features == {"cell": 8, "drug1": 10, "drug2": 10}  # one column empty
    assert data.input_names == ("cell", "drug1", "drug2")
    assert (data.target_mean, data.target_std) == (0, 1)
    assert "left out" in data.source and str(data_dir) in data.source
    rows = [
        key
        for part in (data.train, data.validation, data.test)
        for key in zip(*part.labels.values())
    ]
    assert len(set(rows)) == n_rows


def test_rows_have_their_own_features_and_growth(data, data_dir):
    response = files.read_response(data_dir)
    columns = [n[c] for n, c in (response.cell, response.drug1, response.drug2)]
    growth = dict(zip(zip(*columns), response.growth))
    cells = files.read_training_cells(data_dir)
    drugs = files.read_training_drugs(data_dir)
    inputs = data.test.gather()
    for i, (cell, drug1, drug2) in enumerate(zip(*data.test.labels.values())):
        assert data.test.target[i, 0] == np.float32(growth[cell, drug1, drug2])
        for name, source, row, scaling in (
            ("cell", cells, cell, data.features.cells),
            ("drug1", drugs, drug1, data.features.drugs),
            ("drug2", drugs, drug2, data.features.drugs),
        ):
            own = source.take(source.ids == row)
            assert np.array_equal(inputs[name][i], scaling.transform(own)[0])


def test_same_seed_same_rows(data, data_dir):
    same = datasets.load("combo", data_dir=data_dir, seed=0, n_test=5)
    other = datasets.load("combo", data_dir=data_dir, seed=1, n_test=5)
    assert np.array_equal(data.train.target, same.train.target)
    assert not np.array_equal(data.train.target, other.train.target)


def test_rows(data):
    rows = data.train
    few = rows.take(slice(3))
    assert len(few) == 3 and few.tables is rows.tables
    assert np.array_equal(few.inputs["drug2"], rows.gather([0, 1, 2])["drug2"])
    split = few.to_split()
    assert split.n_features == few.n_features and len(split) == 3
    swapped = few.swapped()
    assert np.array_equal(swapped.inputs["drug1"], few.inputs["drug2"])
    assert np.array_equal(swapped.target, few.target)


def test_both_orders(data):
    rows = data.train
    both = rows.both_orders()
    alone = np.sum(rows.drug1 == rows.drug2)
    assert alone > 0 and len(both) == 2 * len(rows) - alone
    growth = dict(
        zip(zip(both.cell, both.drug1, both.drug2), both.target[:, 0].tolist())
    )
    assert len(growth) == len(both)
    for (cell, drug1, drug2), value in growth.items():
        assert growth[cell, drug2, drug1] == value


def test_rows_are_small():
    """All features of so many rows would take 400 GB; indices take 12 MB."""
    n = 1_000_000
    tables = ComboTables(
        np.zeros((2, 40_000), np.float32),
        np.zeros((2, 30_000), np.float32),
        np.array(["a", "b"]),
        np.array(["c", "d"]),
    )
    index = np.zeros(n, dtype=np.int32)
    rows = ComboRows(tables, index, index, index, np.zeros((n, 1), np.float32))
    batch = rows.take(np.arange(0, n, 2)).gather(slice(4))
    assert batch["cell"].shape == (4, 40_000)


def test_rows_validate():
    tables = ComboTables(
        np.zeros((1, 2)), np.zeros((1, 2)), np.array(["a"]), np.array(["b"])
    )
    one, two = np.zeros(1, int), np.zeros(2, int)
    with pytest.raises(ValidationError, match="drug2.*must have 1 rows"):
        ComboRows(tables, one, one, two, np.zeros((1, 1)))
    with pytest.raises(ValidationError, match="cells.*has 1 rows.*2 cell_ids"):
        ComboTables(tables.cells, tables.drugs, np.array(["a", "b"]), tables.drug_ids)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(), "data_dir.*combo-data"),
        (dict(data_dir="x", validation_split=1.0), "validation_split.*got 1.0"),
    ],
)
def test_load_validates(options, message):
    with pytest.raises(ValidationError, match=message):
        datasets.load("combo", **options)


@pytest.mark.parametrize(
    "scaling, scaler",
    [
        ("std", preprocessing.StandardScaler()),
        ("maxabs", preprocessing.MaxAbsScaler()),
        ("minmax", preprocessing.MinMaxScaler()),
        ("none", preprocessing.FunctionTransformer()),
    ],
)
def test_scaling_is_scikit_learns(scaling, scaler):
    values = [[1, 5, NAN, 7], [NAN, 6, NAN, 7], [4, -9, NAN, 7]]
    filled = [[1, 5, 7], [2.5, 6, 7], [4, -9, 7]]
    fitted = TableScaling.fit(table(values, "abcd"), scaling)
    assert list(fitted.columns) == ["a", "b", "d"] and list(fitted.left_out) == ["c"]
    got = fitted.transform(table(values, "abcd"))
    assert got.dtype == np.float32
    assert np.allclose(got, scaler.fit_transform(filled), atol=1e-6)


def test_scaling_is_of_the_training_table():
    """Other tables get the training's mean and scale, by the columns' names."""
    fitted = TableScaling.fit(table([[0, 10], [2, 30]], "ab"))
    got = fitted.transform(table([[30, 4], [NAN, 0]], "ba"))
    assert np.allclose(got, [[3, 1], [-1, 0]])  # a missing value is the mean, so 0


def test_candle_refits():
    """CANDLE's scaling of a set: mean 0 and deviation 1 of that set itself."""
    # c is no feature, a is constant, d has no value in the other set
    fitted = TableScaling.fit(table([[0, 10, NAN, 1], [2, 30, NAN, 2]], "abcd"))
    other = table([[100, 5, NAN, 1], [300, NAN, NAN, 2]], "badc")
    got = fitted.refitted(other).transform(other)
    assert np.allclose(got, [[0, -1, 0], [0, 1, 0]])
    assert not np.allclose(fitted.transform(other), got)


def test_columns_must_be_those_of_training():
    fitted = TableScaling.fit(table([[1, NAN, 2], [3, NAN, 5]], "abc"))
    with pytest.raises(DataFileError, match="other: has no column 'c' \\(1 columns of"):
        fitted.transform(table([[1, 2]], "ab", path="other"))
    with pytest.warns(UserWarning, match="other: 1 columns are not used.*'x'"):
        fitted.transform(table([[1, 2, 3]], ["a", "x", "c"], path="other"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # b was empty in training: nothing to say
        fitted.transform(table([[1, 2, 3]], "abc"))


def test_scaling_validates():
    with pytest.raises(ValidationError, match="std, maxabs, minmax, none.*'zscore'"):
        TableScaling.fit(table([[1]], "a"), "zscore")
    with pytest.raises(DataFileError, match="made-up: has no values"):
        TableScaling.fit(table([[NAN], [NAN]], "a"))


def test_preprocessed_expression_is_not_scaled_again(data_dir):
    data = datasets.load(
        "combo", data_dir=data_dir, n_test=5, preprocess_rnaseq="combat"
    )
    assert data.features.rnaseq == "combined_rnaseq_data_combat"
    assert data.features.cells.scaling == "none"
    assert data.features.drugs.scaling == "std"


def test_scaling_is_kept_with_the_model(data, tmp_path):
    path = features_path(tmp_path / "saved.uq.model.h5")
    assert path == tmp_path / "saved.uq.features.npz"
    assert features_path("a.b.keras").name == "a.b.features.npz"
    data.features.save(path)
    loaded = FeatureScaling.load(path)
    assert loaded.rnaseq == data.features.rnaseq
    assert loaded.n_features == data.n_features
    values = table(np.eye(9, dtype=np.float32), [f"GENE{i:04d}" for i in range(1, 10)])
    assert np.array_equal(
        loaded.transform_cells(values), data.features.transform_cells(values)
    )


def test_damaged_scaling_is_refused(data, tmp_path):
    path = tmp_path / "saved.features.npz"
    with pytest.raises(FileNotFoundError, match="kept beside"):
        FeatureScaling.load(path)
    data.features.save(path)
    content = path.read_bytes()
    for damaged in (content[:-40], b"nonsense", b""):
        path.write_bytes(damaged)
        with pytest.raises(DamagedFileError, match=f"{path}: is damaged, or isn't a"):
            FeatureScaling.load(path)
    path.write_bytes(content)
    with np.load(path) as file:
        arrays = dict(file)
    arrays["cells_scale"] = arrays["cells_scale"] * 2
    np.savez(path, **arrays)
    with pytest.raises(DamagedFileError, match="checksum"):
        FeatureScaling.load(path)


def test_scaling_that_names_a_file_elsewhere_is_refused(data, tmp_path):
    path = tmp_path / "saved.features.npz"
    dataclasses.replace(data.features, rnaseq="../../secret").save(path)
    with pytest.raises(DamagedFileError, match="'../../secret' is not the name of a f"):
        FeatureScaling.load(path)


def test_scaling_is_read_without_pickle(tmp_path):
    path = tmp_path / "saved.features.npz"
    np.savez(path, header=np.array([{"format": "x"}], dtype=object))
    with pytest.raises(DamagedFileError, match="values of type object"):
        FeatureScaling.load(path)
