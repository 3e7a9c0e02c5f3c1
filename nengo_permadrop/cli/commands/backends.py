"""``nengo-permadrop backends``: what can draw samples here."""

from nengo_permadrop.backends.base import backend_names, get_backend
from nengo_permadrop.cli.arguments import add_command
from nengo_permadrop.cli.errors import one_line
from nengo_permadrop.cli.output import show, silenced


def add(commands):
    """Add the command ``backends``."""
    add_command(commands, "backends", run, "list what can draw samples")


def run(args):
    """List them."""
    found = []
    for name in backend_names():
        try:
            with silenced():  # NengoDL starts another Python, which imports TensorFlow
                version, reason = get_backend(name).version(), None
        except ImportError as error:
            version, reason = None, one_line(error)
        found.append({"name": name, "version": version, "reason": reason})
    lines = [
        f"{each['name']:<12} {each['version'] or 'not available: ' + each['reason']}"
        for each in found
    ]
    show(args, found, "\n".join(lines))
