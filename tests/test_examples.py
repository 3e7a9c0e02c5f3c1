"""
The examples run, and print what they say they print.

Those with pictures take longer: the build of the documentation runs them. Those for
Nengo GUI are in test_gui.py.
"""

import runpy
from pathlib import Path

import pytest

EXAMPLES = [
    path
    for path in sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
    if not path.name.startswith("gui_")
    and "matplotlib" not in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, capsys):
    if "import torch" in path.read_text(encoding="utf-8"):
        pytest.importorskip("torch")
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.strip()


def test_there_are_examples():
    assert len(EXAMPLES) >= 2
