"""The command ``nengo-permadrop``: reads its arguments and calls the package."""

import argparse
import os
import sys
import traceback

from nengo.exceptions import NengoException

from nengo_permadrop import datasets
from nengo_permadrop.backends import backend_names, get_backend
from nengo_permadrop.version import version

# What users can mend; everything else is a defect of the program
EXPECTED = (NengoException, ImportError, OSError, ValueError)


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
        0 on success, 1 after an error, 130 when interrupted. Wrong arguments raise
        ``SystemExit`` with code 2, as argparse does.
    """
    args = parser().parse_args(argv)
    # what TensorFlow says while it starts is of no use here; errors are still shown
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        args.run(args)
    except KeyboardInterrupt:
        print("nengo-permadrop: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if args.debug:
            traceback.print_exc()
        else:
            print(f"nengo-permadrop: {_one_line(error)}", file=sys.stderr)
        return 1
    return 0


def parser():
    """The parser of the command's arguments, an `argparse.ArgumentParser`."""
    top = argparse.ArgumentParser(
        prog="nengo-permadrop",
        description="Permanent dropout in spiking neural networks.",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {version}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_study(commands)
    _add_convert(commands)
    _add_backends(commands)
    _add_bench(commands)
    return top


def _add_command(commands, name, run, description):
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


def _add_study(commands):
    command = _add_command(
        commands,
        "study",
        _study,
        "train a classical network, convert it to spiking neurons, and test whether "
        "both draw from the same predictive distributions",
    )
    add = command.add_argument
    add(
        "--dataset",
        choices=datasets.names(),
        default="diabetes",
        help="data to learn (default: %(default)s)",
    )
    add(
        "--draws",
        type=_count,
        default=100,
        metavar="N",
        help="draws from each predictive distribution (default: %(default)s)",
    )
    add(
        "--observations",
        type=_count,
        default=100,
        metavar="N",
        help="rows of the test data to predict (default: %(default)s)",
    )
    add(
        "--backend",
        choices=[name for name in backend_names() if name != "keras"],
        default="batched",
        help="what simulates the spiking network (default: %(default)s)",
    )
    add(
        "--seed",
        type=_seed,
        default=0,
        metavar="N",
        help="decides everything that is random (default: %(default)s)",
    )
    add(
        "-o",
        "--output",
        metavar="DIR",
        help="folder for the report and all files (default: study-DATASET)",
    )
    add(
        "--presentation-time",
        type=float,
        metavar="SECONDS",
        help="simulated time for which an observation is shown (default: 0.06 more "
        "than --settle)",
    )
    add(
        "--settle",
        type=float,
        metavar="SECONDS",
        help="part of it at the beginning that is not read (default: until the "
        "network has settled, 0.04 for two layers)",
    )
    add(
        "--workers",
        type=_count,
        metavar="N",
        help="processes for nengo and nengo_loihi (default: one a CPU)",
    )


def _add_convert(commands):
    command = _add_command(
        commands,
        "convert",
        _convert,
        "convert a Keras model to spiking neurons, verify it, and show what it became",
    )
    command.add_argument("model", help=".h5 or .keras file, or SavedModel folder")
    command.add_argument(
        "--target",
        choices=("nengo", "loihi"),
        default="nengo",
        help="where the spiking network shall run (default: %(default)s)",
    )


def _add_backends(commands):
    _add_command(commands, "backends", _backends, "list what can draw samples")


def _add_bench(commands):
    command = _add_command(
        commands,
        "bench",
        _bench,
        "time the batched simulator and its peers on one network",
    )
    add = command.add_argument
    for name, default, what in (
        ("--replicas", 2000, "simulations, one a draw and observation"),
        ("--steps", 300, "time steps of a simulation"),
        ("--units", 200, "neurons of each of the 12 layers"),
        ("--repeats", 3, "timed runs, the fastest of which counts"),
    ):
        add(
            name,
            type=_count,
            default=default,
            metavar="N",
            help=f"{what} (default: %(default)s)",
        )
    add(
        "--only",
        nargs="+",
        metavar="NAME",
        help="simulators to time: batched, nengo, nengo_dl, snntorch, spikingjelly "
        "(default: all that are installed)",
    )
    add(
        "--growth",
        action="store_true",
        help="instead show how time grows with replicas, steps and units",
    )


def _count(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _seed(text):
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {number}")
    return number


# the names that argparse puts into "invalid ... value"
_count.__name__ = _seed.__name__ = "whole number"


def _study(args):
    from nengo_permadrop.study import study

    output = args.output or f"study-{args.dataset}"
    result = study(
        args.dataset,
        draws=args.draws,
        observations=args.observations,
        backend=args.backend,
        seed=args.seed,
        output=output,
        presentation_time=args.presentation_time,
        settle=args.settle,
        workers=args.workers,
    )
    print(f"Report: {os.path.join(output, 'report.html')}")
    print(result.verdict().words)


def _convert(args):
    from nengo_permadrop.describe import describe_conversion
    from nengo_permadrop.loading import load_model

    print(describe_conversion(load_model(args.model), target=args.target))


def _backends(args):
    for name in backend_names():
        try:
            state = get_backend(name).version()
        except ImportError as error:
            state = f"not available: {_one_line(error)}"
        print(f"{name:<12} {state}")


def _bench(args):
    from nengo_permadrop.bench import growth, installed_peers, run_benchmark

    if args.growth:
        growth(args.replicas, args.steps, args.units, args.repeats)
    else:
        names = args.only or installed_peers()
        run_benchmark(args.replicas, args.steps, args.units, names, args.repeats)


def _one_line(error):
    text = " ".join(str(error).split())
    if isinstance(error, EXPECTED) and text:
        return text
    return (
        f"{type(error).__name__}: {text} (this is a defect of the program; --debug "
        "shows where)"
    )
