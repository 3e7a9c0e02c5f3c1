"""A part of benchmarks/damaged_files.py, which damages 500 files of each kind."""

import runpy
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "damaged_files.py"
NAMES = runpy.run_path(str(BENCHMARK), run_name="benchmark")
KINDS = NAMES["KINDS"]


@pytest.fixture(name="written", scope="module")
def _written(tmp_path_factory):
    """Paths of whole files, by kind."""
    folder = tmp_path_factory.mktemp("whole")
    for name, kind in KINDS.items():
        kind.make(folder / name)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_damage_is_read_or_refused_with_the_files_name(name, written, tmp_path):
    content = (written / name).read_bytes()
    read = KINDS[name].read
    assert NAMES["outcome"](read, written / name) == "read"
    refused = 0
    for number in range(20):
        path = tmp_path / name
        path.write_bytes(NAMES["damaged"](content, number))
        became = NAMES["outcome"](read, path)
        assert became in ("read", "refused"), f"{name} {number}: {became}"
        refused += became == "refused"
    assert refused >= 5, "each fourth is cut off"


def test_an_outcome_that_is_wrong_is_seen(tmp_path):
    def fails(path):
        raise KeyError("of a reader")

    def unnamed(path):
        raise NAMES["ValidationError"]("damaged", attr="path")

    assert "KeyError" in NAMES["outcome"](fails, tmp_path)
    assert "doesn't name the file" in NAMES["outcome"](unnamed, tmp_path)
