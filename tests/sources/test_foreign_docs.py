"""The code of the pages on PyTorch and ONNX, which the docs' build can't run."""

import re
import textwrap
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.filterwarnings("ignore::nengo_permadrop.AgreementWarning")
@pytest.mark.parametrize("name", ["torch", "onnx"])
def test_code_of_the_page(name, tmp_path, monkeypatch):
    pytest.importorskip(name)
    page = {"torch": "from-pytorch.rst", "onnx": "from-onnx.rst"}[name]
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", text)
    assert len(blocks) == 2
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(textwrap.dedent(block), names)
