"""README.rst: its two commands, and that its code does what it says."""

import importlib.util
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.rst").read_text(encoding="utf-8")


@pytest.fixture(name="readme_commands", scope="module")
def _readme_commands():
    path = ROOT / ".ci" / "readme_commands.py"
    spec = importlib.util.spec_from_file_location("readme_commands", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.readme_commands


def test_two_commands(readme_commands):
    commands = readme_commands(README)
    assert list(commands) == ["study", "tests"]
    assert "pip install" in commands["study"]
    assert commands["study"].endswith("nengo-permadrop study")
    assert "pip install" in commands["tests"]
    assert "pytest" in commands["tests"]


BLOCK = ".. code-block:: bash\n   :name: {}\n\n   {}\n\n"


@pytest.mark.parametrize(
    "text, found",
    [
        ("", "two named code blocks"),
        (BLOCK.format("study", "a"), "two named code blocks"),
        (BLOCK.format("study", "a") * 2, "two named code blocks"),
        (
            "".join(BLOCK.format(name, "a") for name in ("study", "tests", "more")),
            "two named code blocks",
        ),
        (BLOCK.format("study", "a\n   b") + BLOCK.format("tests", "c"), "one command"),
    ],
)
def test_anything_but_two_commands_is_an_error(readme_commands, text, found):
    with pytest.raises(ValueError, match=found):
        readme_commands(text)


def test_code_runs(capsys):
    (code,) = re.findall(
        r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", README, flags=re.MULTILINE
    )
    namespace = {}
    exec(textwrap.dedent(code), namespace)  # the README's own code
    assert namespace["spiking"].values.shape == namespace["classical"].values.shape
    printed = capsys.readouterr().out
    assert "Std" in printed
    assert "p-values are at most 0.05" in printed


def test_local_links_lead_somewhere():
    targets = re.findall(r"<([^>:]+)>`_|^\.\. image:: (\S+)", README, re.MULTILINE)
    assert targets
    for target in (either for pair in targets for either in pair if either):
        assert (ROOT / target).exists(), target
