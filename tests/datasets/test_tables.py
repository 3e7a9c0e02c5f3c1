"""Tables of one's own: what is read, and which columns are what."""

import re

import numpy as np
import pandas as pd
import pytest
from nengo.exceptions import ValidationError

from nengo_permadrop.datasets.features import own_rows
from nengo_permadrop.datasets.own import own_dataset
from nengo_permadrop.datasets.preparation import Preparation
from nengo_permadrop.datasets.tables import read_table

TWO = {"left": (2,), "right": (1,)}


@pytest.fixture(name="frame")
def _frame():
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(rng.normal(size=(20, 3)).round(6), columns=["a", "b", "c"])
    frame.insert(0, "name", [f"row {i}" for i in range(20)])
    frame["y"] = np.arange(20.0)
    return frame


def written(frame, path):
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
    return path


@pytest.mark.parametrize("ending", (".csv", ".tsv", ".parquet", ".CSV"))
def test_columns_of_a_file(tmp_path, frame, ending):
    table = read_table(written(frame, tmp_path / f"rows{ending}"))
    rows, names, columns = own_rows(table, {"x": (3,)}, target="y", ids=["name"])
    assert np.array_equal(rows.inputs["x"], frame[["a", "b", "c"]].astype("float32"))
    assert rows.inputs["x"].dtype == np.float32
    assert names == ["y"] and columns == {"x": ["a", "b", "c"]}
    assert np.array_equal(rows.target[:, 0], frame["y"])
    assert list(rows.labels["name"]) == list(frame["name"])


def test_columns_by_number_and_range(frame):
    table = read_table(frame)
    by_number = own_rows(table, TWO, target=-1, columns={"left": [1, 2], "right": [3]})
    by_range = own_rows(
        table, TWO, target=["y"], columns={"left": ["a:b"], "right": "c"}
    )
    for name, columns in (("left", ["a", "b"]), ("right", ["c"])):
        expected = frame[columns].to_numpy(np.float32)
        assert np.array_equal(by_number.rows.inputs[name], expected)
        assert np.array_equal(by_range.rows.inputs[name], expected)
    assert by_range.target_names == ["y"]
    # without ids, a row is its number
    assert list(by_range.rows.labels["Row"]) == list(range(20))


def test_a_column_whose_name_is_a_number_or_has_a_colon_is_that():
    frame = pd.DataFrame({"1": [1.0, 2], "0": [3.0, 4], "a:b": [5.0, 6]})
    rows, names, _ = own_rows(read_table(frame), {"x": (2,)}, target="0")
    assert names == ["0"] and list(rows.target[:, 0]) == [3, 4]
    assert list(own_rows(read_table(frame), None, target="a:b").rows.target[:, 0]) == [
        5,
        6,
    ]


def test_arrays_of_a_file(tmp_path):
    left, right, y = np.ones((5, 2)), np.zeros((5, 1)), np.arange(5.0)
    np.savez(tmp_path / "two.npz", right=right, y=y, left=left)
    rows, names, columns = own_rows(read_table(tmp_path / "two.npz"), TWO)
    assert list(rows.inputs) == ["left", "right"] and names == ["y"]
    assert columns == {"left": ["left"], "right": ["right"]}
    assert np.array_equal(rows.target[:, 0], y)
    swapped = own_rows(
        read_table({"p": right, "q": left, "out": y}),
        TWO,
        target="out",
        columns={"left": ["q"], "right": ["p"]},
    )
    assert np.array_equal(swapped.rows.inputs["left"], left)
    np.save(tmp_path / "one.npy", np.hstack([left, y[:, None]]))
    rows, names, _ = own_rows(read_table(tmp_path / "one.npy"), {"x": (2,)}, target=2)
    assert names == ["2"] and np.array_equal(rows.target[:, 0], y)


def test_one_input_matches_whatever_its_name():
    images = np.zeros((4, 3, 2), np.float32)
    for data in (images, {"anything": images}, [images], {"input_1": images}):
        own = own_rows(read_table(data), {"dense_input": (3, 2)}, target=np.ones(4))
        assert own.rows.inputs["dense_input"].shape == (4, 3, 2)
    flat = own_rows(read_table(images.reshape(4, 6)), {"x": (3, 2)}, target=np.ones(4))
    assert flat.rows.inputs["x"].shape == (4, 3, 2)


def test_several_inputs_by_order():
    own = own_rows(
        read_table([np.ones((3, 2)), np.zeros((3, 1))]), TWO, target=[1, 2, 3]
    )
    assert own.rows.inputs["left"].all() and not own.rows.inputs["right"].any()


def test_no_target_is_told_or_empty(frame):
    table = read_table(frame.drop(columns="name"))
    with pytest.raises(ValidationError, match="say which column.*it has 'a', 'b', 'c'"):
        own_rows(table, {"x": (4,)})
    rows, names, _ = own_rows(table, {"x": (4,)}, needs_target=False)
    assert rows.target.shape == (20, 0) and not names


@pytest.mark.parametrize(
    "content, words",
    (
        (b"", "No columns to parse"),
        (b"a,b\n", "has no rows"),
        (b"a,b\n1,2\n1,2,3\n", "Expected 2 fields"),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe", "can't be read as .csv"),
    ),
    ids=("empty", "header", "ragged", "picture"),
)
def test_files_that_are_no_table(tmp_path, content, words):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(ValidationError, match=words) as caught:
        own_rows(read_table(path), None, target="b")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ("rows.npz", "rows.npy", "rows.parquet"))
def test_damaged_files(tmp_path, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    for content in (b"", b"not what it seems", b"PK\x03\x04 and no more"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValidationError, match=re.escape(name)) as caught:
            read_table(path)
        assert "\n" not in str(caught.value)


class Marker:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("name", ("rows.npz", "rows.npy"))
def test_nothing_is_unpickled(tmp_path, name):
    marker = tmp_path / "unpickled"
    objects = np.array([Marker(str(marker))], dtype=object)
    save = np.savez if name.endswith("npz") else np.save
    save(tmp_path / name, objects)
    with pytest.raises(ValidationError, match="Python objects"):
        read_table(tmp_path / name)
    assert not marker.exists()


def test_where_and_what_of_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.csv: no such file of rows"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(ValidationError, match="ends in none of .csv"):
        read_table(tmp_path / "rows.xls")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValidationError, match="is a folder"):
        read_table(tmp_path / "folder.csv")


@pytest.mark.parametrize(
    "options, words",
    (
        ({"target": "yy"}, "no column 'yy'; is it 'y'"),
        ({"target": 9}, "no column '9'; it has 'name', 'a'"),
        ({"target": "y"}, "column 'name' of the table doesn't hold numbers.*--id"),
        ({"target": "y", "ids": ["nam"]}, "no column 'nam'; is it 'name'"),
        ({"target": "c", "ids": ["name"]}, "takes 4 features.*has 3.*'a', 'b', 'y'"),
        ({"target": "y", "columns": {"q": ["a"], "r": ["b"]}}, "inputs are 'x'.*'q'"),
        ({"target": "y", "columns": {"x": ["c:a"]}}, "'c' comes after 'a'"),
        ({"target": [1.0, 2.0], "ids": ["name"]}, "there are 2 targets for 20 rows"),
        ({"target": [np.nan] * 20, "ids": ["name"]}, "finite"),
    ),
)
def test_columns_that_are_not_there_or_not_right(frame, options, words):
    with pytest.raises(ValidationError, match=words) as caught:
        own_rows(read_table(frame), {"x": (4,)}, **options)
    assert "\n" not in str(caught.value)


def test_columns_that_can_not_be_told_apart(tmp_path):
    twice = pd.DataFrame(np.ones((2, 3)), columns=["a", "a", "y"])
    with pytest.raises(ValidationError, match="several columns 'a'"):
        read_table(twice)
    for text, words in (
        ("a,y,y\n1,2,3\n", "rows.csv has several columns 'y'"),
        ("a,y\n1,2,\n", "rows of rows.csv have 3 fields, and its header 2"),
        (",a,y\n0,1,2\n", "has no name.*--ignore 'Unnamed: 0'"),
    ):
        (tmp_path / "rows.csv").write_text(text)
        with pytest.raises(ValidationError, match=words):
            own_rows(read_table(tmp_path / "rows.csv"), None, target="y")
    (tmp_path / "rows.csv").write_text("a;b;y\n1;2;3\n")
    with pytest.raises(ValidationError, match="rows.csv seem to be separated by ';'"):
        read_table(tmp_path / "rows.csv")


def test_missing_values_are_placed(frame):
    frame.loc[7, "b"] = np.nan
    with pytest.raises(ValidationError, match="nothing in row 7 of 'b' .1 such"):
        own_rows(read_table(frame), {"x": (3,)}, target="y", ids=["name"])
    frame.loc[7, "b"] = np.inf
    with pytest.raises(ValidationError, match="infinity in row 7 of 'b'"):
        own_rows(read_table(frame), {"x": (3,)}, target="y", ids=["name"])


@pytest.mark.parametrize(
    "data, words",
    (
        (
            {"left": np.ones((3, 2))},
            "inputs are 'left', 'right', and X has 'lef",
        ),
        ({"left": np.ones((3, 2)), "right": np.ones((4, 1))}, "left: 3, right: 4"),
        (
            {"left": np.ones((3, 2)), "right": np.ones((3, 1)), "z": np.ones(3)},
            "also has 'z'",
        ),
        ({"left": np.array([["a", "b"]]), "right": np.ones((1, 1))}, "not numbers"),
        (np.ones((3, 3)), "inputs are 'left', 'right'"),
        ({}, "no rows"),
    ),
    ids=("missing", "lengths", "unused", "text", "one array", "none"),
)
def test_arrays_that_are_not_right(data, words):
    with pytest.raises(ValidationError, match=words):
        own_rows(read_table(data), TWO, needs_target=False)


def test_data_set_of_a_trained_network(frame):
    data = own_dataset(frame, "y", shapes={"x": (3,)}, ids=["name"], seed=1)
    assert (len(data.train), len(data.validation), len(data.test)) == (0, 10, 10)
    found = np.concatenate([data.validation.target, data.test.target])[:, 0]
    assert sorted(found) == list(range(20))
    # as they are, and each row with its own name and target
    for part in (data.validation, data.test):
        for x, y, name in zip(part.inputs["x"], part.target[:, 0], part.labels["name"]):
            assert name == f"row {int(y)}"
            assert x == pytest.approx(frame.loc[int(y), ["a", "b", "c"]].astype(float))
    assert np.array_equal(data.in_units(data.test.target), data.test.target)
    assert data.n_features == {"x": 3}
    assert "as they are" in data.source and "the table" in data.source
    again, other = (
        own_dataset(frame, "y", shapes={"x": (3,)}, ids=["name"], seed=s)
        for s in (1, 2)
    )
    assert np.array_equal(again.test.target, data.test.target)
    assert not np.array_equal(other.test.target, data.test.target)


def test_data_set_to_train_on_is_standardised_and_says_how(frame):
    data = own_dataset(frame, "y", ids=["name"], trained=False)
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 4)
    assert data.train.inputs["input"].mean(axis=0) == pytest.approx(0, abs=1e-6)
    kept = Preparation.from_dict(data.preparation.to_dict(), "here")
    assert kept.columns == {"input": ["a", "b", "c"]} and kept.ids == ("name",)
    numbers = data.in_units(data.test.target)[:, 0].round().astype(int)
    raw = frame.loc[numbers, ["a", "b", "c"]].to_numpy()
    assert kept.inputs({"input": raw})["input"] == pytest.approx(
        data.test.inputs["input"], abs=1e-5
    )
    with pytest.raises(ValidationError, match="here doesn't say how rows"):
        Preparation.from_dict({"outputs": 1}, "here")
    with pytest.raises(ValidationError, match="has 5 rows; a study needs"):
        own_dataset(frame.head(5), "y", ids=["name"])
