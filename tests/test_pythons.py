"""The Pythons that CI and benchmarks/matrix.py run on."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMES = runpy.run_path(str(ROOT / ".ci" / "pythons.py"), run_name="pythons")
MATRIX = runpy.run_path(str(ROOT / "benchmarks" / "matrix.py"), run_name="matrix")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="scripts of a shell")


@pytest.fixture(name="fake")
def _fake(tmp_path, monkeypatch):
    """Makes commands of a shell, which are all that is on the path."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def make(name, script):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return make


def python(version, usable="true"):
    numbers = version.replace(".", ", ")
    return f"echo '[{usable}, [{numbers}], \"/of/{version}\"]'"


def test_only_those_that_run(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", fake("self", python("3.11.2")))
    fake("python3.12", python("3.12.1"))
    fake("python3.13", "echo 'pyenv: command not found' >&2; exit 127")
    fake("python3.14", python("3.14.0", usable="false"))  # a beta, or without a GIL
    fake("pyenv", f"echo {tmp_path}")
    for version in ("3.12.0", "3.12.10", "3.9.1"):
        fake(f"versions/{version}/bin/python", python(version))
    found = NAMES["pythons"]()
    assert found == {
        (3, 11): ((3, 11, 2), "/of/3.11.2"),
        (3, 12): ((3, 12, 10), "/of/3.12.10"),
    }


def test_the_newest(fake, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", fake("self", python("3.11.2")))
    with pytest.raises(SystemExit, match=r"no Python 3.12 or later .*found 3.11.2"):
        NAMES["main"]([])
    fake("python3.13", python("3.13.7"))
    NAMES["main"]([])
    out, err = capsys.readouterr()
    assert out == "/of/3.13.7\n" and "the newest is 3.13.7" in err
    with pytest.raises(SystemExit, match="no Python 3.14 or later"):
        NAMES["main"](["--least", "3.14"])


def test_this_one_is_found():
    found = NAMES["version_of"](sys.executable)
    assert found[0] == sys.version_info[:3]


def test_what_the_matrix_installs():
    wanted = MATRIX["requirements"]
    assert wanted((3, 12), "keras2") is None
    assert "all" in wanted((3, 11), "keras2")[1]
    # Keras 3 beside what asks for TensorFlow 2.12 would not be installed
    assert "keras3" in (extras := wanted((3, 11), "jax")[1]) and "study" not in extras
    assert wanted((3, 13), "torch")[-1] == "torch"


def test_what_the_matrix_counts(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite tests="9" failures="1" errors="1" skipped="3"/>'
        "</testsuites>"
    )
    assert MATRIX["counts"](report) == {"passed": 4, "failed": 2, "skipped": 3}
