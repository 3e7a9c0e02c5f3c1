"""The benchmarks fit the package: what they import is there."""

import runpy
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_benchmark_imports(path):
    pytest.importorskip("distributed")
    if path.stem == "dl_training":
        pytest.importorskip("nengo_dl")
    if path.stem in ("damaged_programs", "onnx_roads", "torch_agreement"):
        pytest.importorskip("torch")
        pytest.importorskip("onnx")
    names = runpy.run_path(str(path), run_name="benchmark")
    assert callable(names["main"]) and names["__doc__"].strip()


def test_there_are_benchmarks():
    assert len(BENCHMARKS) >= 5


RATES = ["--sets", "4", "--draws", "5"]
TIMES = ["--epochs", "1", "--draws", "4", "--observations", "3"]
COVERAGE = "--networks 0 --sets 1 --tests 20 --observations 4 --pairs 20".split()


@pytest.mark.parametrize(
    "name, benchmark, options",
    [
        ("verdict_rates", "verdict_rates", RATES),
        ("verdict_power", "verdict_rates", RATES),
        ("default_times", "default_times", TIMES),
        ("expected_bias", "expected_bias", TIMES),
        ("certificate_coverage", "certificates", COVERAGE),
    ],
)
def test_tables_of_the_documentation_are_what_the_benchmark_writes(
    name, benchmark, options, tmp_path, monkeypatch
):
    """The same rows and columns; the numbers take too long for a test."""
    path = ROOT / "benchmarks" / f"{benchmark}.py"
    main = runpy.run_path(str(path), run_name="benchmark")["main"]
    monkeypatch.setattr("sys.argv", [path.name, *options, "--output", str(tmp_path)])
    main()
    written, shown = (
        pd.read_csv(folder / f"{name}.csv", index_col=0)
        for folder in (tmp_path, ROOT / "docs" / "_data")
    )
    assert list(written.index) == list(shown.index)
    assert list(written.columns) == list(shown.columns)
    assert written.index.name == shown.index.name
