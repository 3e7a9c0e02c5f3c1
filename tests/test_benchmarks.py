"""The benchmarks fit the package: what they import is there."""

import runpy
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parent.parent / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_benchmark_imports(path):
    for module in ("tensorflow", "pandas", "distributed"):
        pytest.importorskip(module)
    names = runpy.run_path(str(path), run_name="benchmark")
    assert callable(names["main"]) and names["__doc__"].strip()


def test_there_are_benchmarks():
    assert len(BENCHMARKS) >= 5
