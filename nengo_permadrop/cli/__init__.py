"""
The command ``nengo-permadrop``: reads its arguments and calls the package.

A module for each of its commands, with a function ``add`` that describes its arguments
and one, ``run``, that does it.
"""

import argparse
import functools
import os
import sys
import traceback
import warnings

import shtab

from nengo_permadrop.cli import codes, interrupts
from nengo_permadrop.cli.errors import one_line
from nengo_permadrop.cli.output import write
from nengo_permadrop.cli.parser import OneLineParser
from nengo_permadrop.support.registry import Registry
from nengo_permadrop.version import version

_COMMANDS = Registry(
    "command",
    "nengo_permadrop.commands",
    own={
        name: f"nengo_permadrop.cli.commands.{name.replace('-', '_')}:"
        for name in (
            "study",
            "predict",
            "infer",
            "combo-data",
            "combo-train",
            "convert",
            "audit",
            "energy",
            "backends",
            "bench",
        )
    },
)


def register_command(name, command):
    """
    Make a command known.

    Parameters
    ----------
    name : str
        As it is typed.
    command : module or object
        With a function ``add``, which takes what ``add_subparsers`` of the parser
        returned and adds the command by `.arguments.add_command`.
    """
    _COMMANDS.register(name, command)


def main(argv=None):
    """
    Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments, by default those of the process.

    Returns
    -------
    code : int
        Of `nengo_permadrop.cli.codes`: 0 on success, 1 after an error, 3 where
        ``study --strict`` finds that the networks don't agree, 130 when interrupted.
        Wrong arguments raise ``SystemExit`` with code 2, as argparse does.
    """
    args = parser().parse_args(argv)
    # what TensorFlow says while it starts is of no use here; errors are still shown
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    show = warnings.showwarning
    warnings.showwarning = functools.partial(_show_warning, show)
    try:
        with interrupts.insistent():
            return args.run(args) or codes.SUCCESS
    except KeyboardInterrupt:
        print(f"nengo-permadrop: interrupted{_going_on(args)}", file=sys.stderr)
        return codes.INTERRUPTED
    except Exception as error:
        if args.debug:
            traceback.print_exc()
        else:
            text = one_line(error, args.parser)
            print(f"nengo-permadrop: {text}", file=sys.stderr)
        return codes.ERROR
    finally:
        warnings.showwarning = show


def _going_on(args):
    """What becomes of what was finished, of commands that keep it."""
    goes_on = getattr(args, "goes_on", False) or getattr(args, "checkpoint", None)
    if not goes_on:
        return ""
    return "; the same command goes on from what is finished"


def _show_warning(others, message, category, *args, **kwargs):
    """A warning of users in one line, without the place in the code."""
    if not issubclass(category, UserWarning):
        return others(message, category, *args, **kwargs)
    text = " ".join(str(message).split())
    if "has not been tested with your" not in text:  # of versions that our tests run
        print(f"nengo-permadrop: note: {text}", file=sys.stderr)


def parser():
    """The parser of the command's arguments, an `argparse.ArgumentParser`."""
    top = OneLineParser(
        prog="nengo-permadrop",
        description="Permanent dropout in spiking neural networks.",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {version}")
    top.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=shtab.SUPPORTED_SHELLS,
        help="print a script that makes a shell complete this command",
    )
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name in _COMMANDS.names():
        try:
            _COMMANDS.get(name).add(commands)
        except ImportError as error:  # of another package: ours work all the same
            print(
                f"nengo-permadrop: command {name!r} is left out: {one_line(error)}",
                file=sys.stderr,
            )
    return top


class _PrintCompletion(argparse.Action):
    """Like ``--version``: prints, and that is all."""

    def __call__(self, parser, namespace, values, option_string=None):
        write(shtab.complete(parser, values))
        parser.exit()
