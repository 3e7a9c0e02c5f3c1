"""Damaged files of samples, checkpoints, features and tables."""

import subprocess
import sys
from pathlib import Path

import pytest
from combo_helpers import SIZES

from nengo_permadrop import cli
from nengo_permadrop.combo.data import files
from nengo_permadrop.combo.data.generator import generate_files

pytest.importorskip("sklearn")


def test_an_error_in_one_line_or_the_right_answer():
    """benchmarks/damaged_tables.py does it 500 times for each kind of file."""
    script = Path(__file__).parents[2] / "benchmarks" / "damaged_tables.py"
    done = subprocess.run(
        [sys.executable, script, "--trials", "20"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = done.stdout.splitlines()
    assert len(kinds) == 10 and all(" 0 WRONG" in line for line in kinds)
    assert done.stderr == ""


@pytest.mark.parametrize("damage", ["cut", "not text"])
@pytest.mark.parametrize(
    "name",
    [
        files.RESPONSE,
        files.RESPONSE_CELLS,
        files.RNASEQ,
        files.RNASEQ_CELLS,
        files.TRAINING_DRUGS,
    ],
)
def test_the_command_says_it_in_one_line(tmp_path, capsys, name, damage):
    generate_files(tmp_path, **SIZES)
    path = tmp_path / name
    content = path.read_bytes()
    end = content.rindex(b"\n", 0, -1)
    cut = content[:end].rpartition(b"\n")[0] + b"\nNCI60"
    path.write_bytes(cut if damage == "cut" else content[:end] + b"\xff\n")
    output = str(tmp_path / "saved")
    assert cli.main(["combo-train", "--data-dir", str(tmp_path), "-o", output]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and str(path) in err and "line" in err
    assert "defect" not in err and "Traceback" not in err


def test_the_command_says_that_a_features_file_is_damaged(tmp_path, capsys):
    generate_files(tmp_path, **SIZES)
    kmodels = pytest.importorskip("kmodels")
    model, features = tmp_path / "saved.model.h5", tmp_path / "saved.features.npz"
    kmodels.mlp().save(str(model))
    kmodels.mlp().save_weights(str(tmp_path / "saved.weights.h5"))
    features.write_bytes(b"PK damaged")
    argv = ["infer", "--data-dir", tmp_path, "-m", model]
    argv += ["-w", tmp_path / "saved.weights.h5"]
    assert cli.main([str(word) for word in argv]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and f"{features}: is damaged, or isn't a feat" in err
