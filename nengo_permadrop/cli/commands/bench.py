"""``nengo-permadrop bench``: the batched simulator and its peers, timed."""

import sys
from functools import partial

from nengo_permadrop.cli.arguments import add_command, count
from nengo_permadrop.cli.output import write
from nengo_permadrop.support.plain import to_json


def add(commands):
    """Add the command ``bench``."""
    command = add_command(
        commands,
        "bench",
        run,
        "time the batched simulator and its peers on one network",
    )
    option = command.add_argument
    for name, default, what in (
        ("--replicas", 2000, "simulations, one per draw and observation"),
        ("--steps", 300, "time steps of a simulation"),
        ("--units", 200, "neurons of each of the 12 layers"),
        ("--repeats", 3, "timed runs, the fastest of which counts"),
    ):
        option(
            name,
            type=count,
            default=default,
            metavar="N",
            help=f"{what} (default: %(default)s)",
        )
    option(
        "--only",
        nargs="+",
        metavar="NAME",
        help="simulators to time: batched, nengo, nengo_dl, snntorch, spikingjelly "
        "(default: all that are installed)",
    )
    option(
        "--growth",
        action="store_true",
        help="instead show how time grows with replicas, steps and units",
    )


def run(args):
    """Run the benchmark."""
    from nengo_permadrop.bench import growth, installed_peers, run_benchmark

    # lines come as they are measured; with --json they are only a sign of life
    log = partial(print, file=sys.stderr, flush=True) if args.json else write
    if args.growth:
        found = growth(args.replicas, args.steps, args.units, args.repeats, log=log)
    else:
        names = args.only or installed_peers()
        found = run_benchmark(
            args.replicas, args.steps, args.units, names, args.repeats, log=log
        )
    if args.json:
        write(to_json(found))
