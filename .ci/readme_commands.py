"""Print the set-up commands of README.rst as a shell script, a line each.

They are the code blocks that have a ``:name:``. There must be exactly two, ``study``
and ``tests``, of one line each.
"""

import re
import sys
from pathlib import Path

BLOCK = re.compile(
    r"^\.\. code-block:: bash\n   :name: (?P<name>\S+)\n\n(?P<body>(?:   .*\n|\n)+)",
    flags=re.MULTILINE,
)


def readme_commands(text):
    """The commands in the text of a README, {name: command}."""
    found = [(m["name"], m["body"].split("\n")) for m in BLOCK.finditer(text)]
    commands = {
        name: [line.strip() for line in lines if line.strip()] for name, lines in found
    }
    if [name for name, _ in found] != ["study", "tests"]:
        raise ValueError(
            "README.rst must have exactly two named code blocks, study and tests; "
            f"found {[name for name, _ in found]}"
        )
    for name, lines in commands.items():
        if len(lines) != 1:
            raise ValueError(f"{name}: must be one command in one line; found {lines}")
    return {name: lines[0] for name, lines in commands.items()}


if __name__ == "__main__":
    readme = Path(sys.argv[1]).read_text(encoding="utf-8")
    print("\n".join(readme_commands(readme).values()))
