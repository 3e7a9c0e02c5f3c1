"""``nengo-permadrop backends``: what can draw samples here."""

from nengo_permadrop.backends import backend_names, get_backend
from nengo_permadrop.cli.arguments import add_command
from nengo_permadrop.cli.errors import one_line


def add(commands):
    """Add the command ``backends``."""
    add_command(commands, "backends", run, "list what can draw samples")


def run(args):
    """Do it."""
    for name in backend_names():
        try:
            state = get_backend(name).version()
        except ImportError as error:
            state = f"not available: {one_line(error)}"
        print(f"{name:<12} {state}")
