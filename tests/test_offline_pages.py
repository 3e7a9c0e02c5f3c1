"""The check that built pages load nothing from the net."""

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "offline_pages.py"
remote_loads = runpy.run_path(str(SCRIPT))["remote_loads"]


@pytest.mark.parametrize(
    "text, n",
    [
        ('<script src="https://a.example/x.js"></script>', 1),
        ('<link rel="stylesheet" href="//a.example/x.css">', 1),
        ("<style>@import 'https://a.example/x.css';</style>", 1),
        ('<img srcset="x.png 1x, https://a.example/x.png 2x">', 1),
        ('<a href="https://a.example">a link</a><img src="x.png">', 0),
        ('<link rel="canonical" href="https://a.example/"><script src="x.js">', 0),
    ],
)
def test_finds_what_a_page_loads(tmp_path, text, n):
    (tmp_path / "page.html").write_text(text)
    assert len(remote_loads(tmp_path)) == n


def test_finds_what_a_style_loads(tmp_path):
    (tmp_path / "page.html").write_text("<p>")
    (tmp_path / "x.css").write_text("a { background: url(http://a.example/x.woff) }")
    assert len(remote_loads(tmp_path)) == 1


def test_a_folder_without_pages_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no page"):
        remote_loads(tmp_path)
