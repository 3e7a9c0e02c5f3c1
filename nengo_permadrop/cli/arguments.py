"""What the arguments of several commands have in common."""

import argparse
import math
import os

import shtab
from nengo.exceptions import ValidationError

ROWS = "a .csv, .tsv, .parquet, .npz or .npy file"


def add_command(commands, name, run, description):
    """
    Add a command to the parser, and return the parser of its arguments.

    Every command has the options ``--debug`` and ``--json``; what it finds it prints
    by `.output.show`.

    Parameters
    ----------
    commands : object
        What ``add_subparsers`` of the command's parser returned.
    name : str
    run : callable
        Takes the parsed arguments, and returns an exit code, or None on success.
    description : str
        What it does: lower case, no full stop.

    Returns
    -------
    command : `argparse.ArgumentParser`
    """
    command = commands.add_parser(
        name,
        help=description,
        description=f"{description[0].upper()}{description[1:]}.",
    )
    command.add_argument(
        "--debug", action="store_true", help="show where an error comes from"
    )
    command.add_argument(
        "--json", action="store_true", help="print the result as JSON, for programs"
    )
    command.set_defaults(run=run, parser=command)
    return command


def add_times(command):
    """Add the options for how long an observation is shown and when it is read."""
    command.add_argument(
        "--presentation-time",
        type=positive,
        metavar="SECONDS",
        help="simulated time for which an observation is shown (default: 0.06 more "
        "than --settle)",
    )
    command.add_argument(
        "--settle",
        type=at_least_zero,
        metavar="SECONDS",
        help="part of it at the beginning that is not read (default: until the "
        "network has settled, 0.04 for two layers)",
    )


def add_data(option):
    """Let shells complete an option or argument that is a file."""
    option.complete = shtab.FILE


def add_columns(command):
    """Add the options that say what the columns of a user's rows are."""
    command.add_argument(
        "--id",
        action="append",
        default=[],
        metavar="COLUMN",
        help="column that names a row and isn't a feature; once for each of several",
    )
    command.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="COLUMN",
        help="column that isn't used; once for each of several",
    )
    command.add_argument(
        "--input",
        action="append",
        type=_assigned,
        default=[],
        metavar="NAME=COLUMN,...",
        help="columns that an input of the network takes, such as drug=d1,d2 or "
        "drug=d1:d9, or an .npz file's array; once for each of several inputs "
        "(default: all columns)",
    )


def columns_of(args):
    """What `add_columns` read, as options of ``study`` and ``predict``."""
    columns = dict(args.input) or None
    return {"columns": columns, "ids": args.id, "ignore": args.ignore}


def check_own_rows(args):
    """Raise if options of a user's rows don't go together with others."""
    if args.data is not None:
        for name in ("dataset", "data_dir"):
            if getattr(args, name) is not None:
                raise ValidationError(
                    f"--{name.replace('_', '-')} says other data than --data; leave "
                    "out one of them",
                    attr="data",
                )
        return
    for name in ("target", "id", "ignore", "input"):
        if getattr(args, name, None):
            raise ValidationError(
                "is said of rows of your own; give them, too: --data FILE", attr=name
            )


def _assigned(text):
    name, equals, columns = text.partition("=")
    if not (name and equals and columns):
        raise argparse.ArgumentTypeError(
            f"must be NAME=COLUMN,COLUMN,... or NAME=FIRST:LAST, got {text!r}"
        )
    return name, columns.split(",")


def add_trust(command):
    """Add the option that allows a model file to run code."""
    command.add_argument(
        "--trust",
        action="store_true",
        help="load the model whatever code that runs, as of Lambda layers or of a "
        "SavedModel folder; for files of those whom you trust",
    )


class _Several(argparse.Action):
    """Every value of an option that is given several times, a tuple."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, (*getattr(namespace, self.dest), values))


def add_reading(command, model="the model's file"):
    """
    Add the options of how a model's file is read.

    Parameters
    ----------
    command : `argparse.ArgumentParser`
    model : str, optional
        What the model's argument is called.
    """
    add_trust(command)
    command.add_argument(
        "--dropout-class",
        dest="dropout_classes",
        action=_Several,
        default=(),
        metavar="NAME",
        help=f"class in {model} that is permanent dropout and doesn't end in Dropout; "
        "once for each of several",
    )
    command.add_argument(
        "--max-to-avg-pool",
        action="store_true",
        help=f"take averages where {model} pools the largest of several elements",
    )


def reading_of(args):
    """What `add_reading` read but for ``trust``, as options of `.Converter`."""
    return {
        "dropout_classes": args.dropout_classes,
        "max_to_avg_pool": args.max_to_avg_pool,
    }


def count(text):
    """A whole number, at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def seed(text):
    """A whole number that generators of random numbers take, or a count from 0 on."""
    number = int(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(
            f"must be at least 0 and below 2**32, got {number}"
        )
    return number


def existing(path, what):
    """Raise a `FileNotFoundError` if there is no file, which is found out in time."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file of {what}")


def positive(text):
    """A number greater than 0."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be greater than 0, got {text}")
    return number


def at_least_zero(text):
    """A number that is 0 or greater."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {text}")
    return number


def rate(text):
    """A dropout rate."""
    number = float(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 0 and below 1, got {text}")
    return number


def fraction(text):
    """A probability between 0 and 1."""
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, got {text}")
    return number


def fractions(text):
    """Numbers from 0 to 1, with commas between them."""
    found = tuple(float(part) for part in text.split(","))
    for each in found:
        if not 0 <= each <= 1:
            raise argparse.ArgumentTypeError(f"must be from 0 to 1, got {each:g}")
    return found


# the names that argparse puts into "invalid ... value"
count.__name__ = seed.__name__ = "whole number"
positive.__name__ = at_least_zero.__name__ = rate.__name__ = "number"
fraction.__name__, fractions.__name__ = "number", "list of numbers"
