"""Reading CANDLE's files, on files written by hand and on damaged ones."""

import shutil
import warnings

import numpy as np
import pytest
from combo_helpers import SIZES
from nengo.exceptions import ValidationError

from nengo_permadrop import datasets
from nengo_permadrop.combo.data import files
from nengo_permadrop.combo.data.generator import generate_files
from nengo_permadrop.combo.data.reading import DataFileError, read_features
from nengo_permadrop.support.errors import DamagedFileError

pytest.importorskip("sklearn")

RESPONSE = """\
SCREENER,CELLNAME,NSC1,CONC1,NSC2,CONC2,PERCENTGROWTH,SCORE,VALID
1A,786-0,0740,1e-05,1895,1e-05,40,5,Y
1A,786-0,0740,1e-05,1895,1e-05,60,,Y
1A,786-0,0740,1e-06,1895,1e-05,55,na,Y
1A,786-0,0740,1e-06,1895,1e-05,-99,na,N
1A,SR,0740,1e-05,,,-20,-,Y
1A,SR,1895,1e-05,0740,1e-05,na,1,Y
1A,786-0,1895,1e-05,0740,1e-05,na,1,Y
1A,786-0,1895,1e-05,0740,1e-05,30,1,Y
"""


@pytest.fixture(name="by_hand")
def _by_hand(tmp_path):
    (tmp_path / files.RESPONSE).write_text(RESPONSE)
    (tmp_path / files.RESPONSE_CELLS).write_text(
        "Name\tCELLNAME\tNCI60.ID\n786-0\tRE:786_0\tNCI60.786-0\nSR\tLE.SR\tNCI60.SR\n"
    )
    return tmp_path


@pytest.fixture(name="generated", scope="module")
def _generated(tmp_path_factory):
    path = tmp_path_factory.mktemp("generated")
    generate_files(path, **SIZES)
    return path


@pytest.fixture(name="data_dir")
def _data_dir(generated, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(generated, tmp_path / "data")


def edit(path, line, change):
    """Change one line of a file, counted from 1."""
    lines = path.read_text().splitlines()
    lines[line - 1] = change(lines[line - 1])
    path.write_text("\n".join(lines) + "\n")


def combinations(response):
    columns = [
        names[codes] for names, codes in (response.cell, response.drug1, response.drug2)
    ]
    return dict(zip(zip(*columns), np.round(response.growth, 9)))


def test_response_as_candle_reads_it(by_hand):
    """Mean over repetitions, minimum over doses, missing second drugs, valid rows."""
    response = files.read_response(by_hand)
    assert combinations(response) == {
        ("LE.SR", "0740", "0740"): -0.2,
        ("RE.786_0", "0740", "1895"): 0.5,
        ("RE.786_0", "1895", "0740"): 0.3,
    }
    assert list(combinations(response)) == sorted(combinations(response))


def test_response_is_the_same_however_it_is_divided(generated, monkeypatch):
    whole = files.read_response(generated)
    monkeypatch.setattr(files, "_CHUNK", 7)
    parts = files.read_response(generated)
    assert combinations(whole) == combinations(parts)


@pytest.mark.parametrize(
    "line, old, new, message",
    [
        (4, ",55,", ",much,", "line 4, column 'PERCENTGROWTH': 'much' is not a finite"),
        (4, ",55,", ",inf,", "line 4, column 'PERCENTGROWTH': 'inf' is not a finite"),
        (
            2,
            "786-0",
            "HELA",
            "line 2, column 'CELLNAME': 'HELA' is not in column 'Name",
        ),
        (6, "0740", "", "line 6, column 'NSC1': is missing in a valid row"),
        (6, "0740", 1001 * "7", "has a name of 1001 characters"),
        (6, "0740", '"0740', "line 6: can't be read"),
        (9, ",30,1,Y", ",3", "line 9: has 7 values, the first line 9"),
        (1, "PERCENTGROWTH", "GROWTH", "line 1: has no column 'PERCENTGROWTH'"),
    ],
)
@pytest.mark.parametrize("chunk", [3, 1000])
def test_damaged_response(by_hand, line, old, new, message, chunk, monkeypatch):
    monkeypatch.setattr(files, "_CHUNK", chunk)
    path = by_hand / files.RESPONSE
    edit(path, line, lambda text: text.replace(old, new, 1))
    with pytest.raises(DataFileError) as caught:
        files.read_response(by_hand)
    assert str(path) in str(caught.value) and message in str(caught.value)


@pytest.mark.parametrize(
    "name", [files.RESPONSE, files.RESPONSE_CELLS, files.RNASEQ, files.TRAINING_DRUGS]
)
def test_missing_file(data_dir, name):
    (data_dir / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}: no such file; put"):
        datasets.load("combo", data_dir=data_dir, n_test=5)


def test_features_as_written(tmp_path):
    path = tmp_path / "table"
    path.write_text("b\tNAME\ta\n1\tx\tna\n-\tNA\t2.5\n\tz\t-3e2\n")
    table = read_features(path, "NAME")
    assert list(table.columns) == ["b", "a"]
    assert table.values.dtype == np.float32
    assert np.array_equal(
        table.values, [[1, np.nan], [np.nan, 2.5], [np.nan, -300]], equal_nan=True
    )


@pytest.mark.parametrize(
    "content, message",
    [
        (
            "NAME\ta\tb\nx\t1\t2\ny\t1\tfour\n",
            "line 3, column 'b': 'four' is not a fin",
        ),
        (
            "NAME\ta\tb\nx\t1\t2\ny\tinf\t2\n",
            "line 3, column 'a': 'inf' is not a finite",
        ),
        ("NAME\ta\tb\nx\t1\t2\ny\t1\n", "line 3: has 2 values, the first line 3"),
        ("NAME\ta\tb\nx\t1\t2\n\ny\t1\t2\n", "line 3: is empty"),
        ("NAME\ta\tb\nx\t1\t2\n\t1\t2\n", "line 3, column 'NAME': has no name"),
        ("NAME\ta\tb\nx\t1\t2\nx\t1\t3\n", "the id 'x' are the same in two rows"),
        ("NAME\ta\ta\nx\t1\t2\n", "line 1: the column 'a' is there twice"),
        ("Name\ta\tb\nx\t1\t2\n", "line 1: has no column 'NAME'; it has Name, a, b"),
        ("NAME\ta\tb\n", "has no rows"),
        ("", "line 1: has no column 'NAME'"),
        ("NAME\ta\tb\nx\t1\t2\0\n", "line 2: holds bytes that are not text"),
        ("NAME\ta\tb\nx\t1\r2\t3\n", "line 2: holds bytes that are not text"),
        ('NAME\ta\tb\n"x\t1\t2\ny\t3\t4"\n', "line 2: can't be read (unexpected"),
        ('NAME\ta\tb\nx"y"\t1\t2\n"x"y\t1\t2\n', "line 3: can't be read"),
    ],
)
def test_damaged_features(tmp_path, content, message):
    path = tmp_path / "table"
    with open(path, "w", newline="") as stream:
        stream.write(content)
    with pytest.raises(DataFileError) as caught:
        read_features(path, "NAME")
    assert str(path) in str(caught.value) and message in str(caught.value)
    assert caught.value.path == str(path)


@pytest.mark.parametrize(
    "content, message",
    [
        ("NAME\ta\n{name}\t1\n", "has a name of 300000 characters, 'xxx"),
        ("NAME\t{name}\nx\t1\n", "line 1: can't be read (field larger than"),
        ('NAME\t"{name}"\nx\t1\n', "line 1: can't be read (field larger than"),
        ("NAME\ta\nx\t{name}\n", "can't be read (Error: field larger than"),
    ],
)
def test_gigantic_fields(tmp_path, content, message):
    """In arrays of text each name takes as much as the longest."""
    path = tmp_path / "table"
    path.write_text(content.format(name="x" * 300_000))
    with pytest.raises(DataFileError) as caught:
        read_features(path, "NAME")
    assert message in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "name, line",
    [
        (files.RESPONSE, 1),
        (files.RESPONSE, 5),
        (files.RESPONSE_CELLS, 2),
        (files.RNASEQ, 1),
        (files.RNASEQ, 3),
        (files.RNASEQ_CELLS, 3),
        (files.TRAINING_DRUGS, 4),
    ],
)
def test_what_is_not_utf8(data_dir, name, line):
    path = data_dir / name
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = b"\xfc" + lines[line - 1]
    path.write_bytes(b"".join(lines))
    with pytest.raises(DataFileError) as caught:
        datasets.load("combo", data_dir=data_dir, n_test=5)
    assert f"{path}, line {line}: is not text in UTF-8 (byte 0xfc)" in str(caught.value)
    assert (caught.value.path, caught.value.line) == (str(path), line)
    assert isinstance(caught.value, DamagedFileError)


def test_a_table_that_is_cut_off_inside_its_last_number(tmp_path):
    path = tmp_path / "table"
    path.write_text("NAME\ta\tb\nx\t1\t2\ny\t3\t4.5")
    with pytest.warns(UserWarning, match=f"{path}, line 3: ends without.*'4.5', is a"):
        table = read_features(path, "NAME")
    assert table.values[1, 1] == np.float32(4.5)
    path.write_text("NAME\ta\tb\nx\t1\t2\ny\t3\t4.5\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_features(path, "NAME")


@pytest.mark.parametrize(
    "name", [files.RESPONSE, files.RESPONSE_CELLS, files.RNASEQ, files.TRAINING_DRUGS]
)
def test_every_table_tells_that_its_last_line_has_no_end(data_dir, name):
    path = data_dir / name
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    with pytest.warns(UserWarning, match=f"{name}, line .*ends without a line break"):
        datasets.load("combo", data_dir=data_dir, n_test=5)


def test_tables_as_windows_writes_them(data_dir):
    """With a byte order mark, and with two bytes at the ends of lines."""
    expected = datasets.load("combo", data_dir=data_dir, n_test=5)
    for path in data_dir.iterdir():
        content = path.read_bytes().replace(b"\n", b"\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + content)
    found = datasets.load("combo", data_dir=data_dir, n_test=5)
    assert np.array_equal(found.train.target, expected.train.target)
    for name, values in found.train.inputs.items():
        assert np.array_equal(values, expected.train.inputs[name])


def test_sets(data_dir):
    assert list(files.read_sample_set("GDSC", data_dir).ids) == [
        f"GDSC.S00{i}" for i in range(1, 5)
    ]
    with pytest.raises(DataFileError, match="begins with 'CCLE'.*GDSC, NCI60, NCIPDM"):
        files.read_sample_set("CCLE", data_dir)
    with pytest.raises(ValidationError, match="'GDSC2'.*NCI_IOA_AOA"):
        files.read_drug_set("GDSC2", data_dir)
    with pytest.raises(ValidationError, match="source_scale, combat, none.*'zscore'"):
        files.rnaseq_file(preprocess_rnaseq="zscore")
    (data_dir / files.RTS_SAMPLES).write_text("Sample\nNCIPDM.S002\n")
    assert list(files.read_sample_set("RTS", data_dir).ids) == ["NCIPDM.S002"]


def test_names_of_cells(data_dir):
    path = data_dir / files.RNASEQ_CELLS
    names = files.read_training_cells(data_dir).ids
    assert names[0] == "BR.C001_1"
    edit(path, 3, lambda text: text.replace("NCI60.", "NCI-60."))
    with pytest.raises(DataFileError, match="'NCI60.C002-2' is not in column 'NCI60.I"):
        files.read_training_cells(data_dir)
    edit(path, 3, lambda text: "other\tBR:other\tNCI60.C001-1")
    with pytest.raises(DataFileError, match="'NCI60.C001-1' stands for two cell lines"):
        files.read_training_cells(data_dir)


def test_drugs_lose_their_prefix(generated):
    whole = files.read_drug_set("pan", generated).ids
    assert list(files.read_training_drugs(generated).ids) == [i[4:] for i in whole]
    assert all(name.startswith("NSC.") for name in whole)
