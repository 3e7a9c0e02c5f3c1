"""What the arguments of several commands have in common."""

import argparse


def add_command(commands, name, run, description):
    """Add a command to the parser, and return the parser of its arguments."""
    command = commands.add_parser(
        name,
        help=description,
        description=f"{description[0].upper()}{description[1:]}.",
    )
    command.add_argument(
        "--debug", action="store_true", help="show where an error comes from"
    )
    command.set_defaults(run=run)
    return command


def count(text):
    """A whole number, at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def seed(text):
    """A whole number, at least 0."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {number}")
    return number


# the names that argparse puts into "invalid ... value"
count.__name__ = seed.__name__ = "whole number"
