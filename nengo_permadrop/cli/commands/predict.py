"""``nengo-permadrop predict``: predictions and intervals for a user's rows."""

import os
import sys

from nengo_permadrop.backends.base import backend_names
from nengo_permadrop.cli.arguments import (
    ROWS,
    add_columns,
    add_command,
    add_data,
    add_reading,
    add_times,
    columns_of,
    count,
    fraction,
    fractions,
    reading_of,
    seed,
)
from nengo_permadrop.cli.output import show


def add(commands):
    """Add the command ``predict``."""
    command = add_command(
        commands,
        "predict",
        run,
        "predict rows without targets: mean, spread and an interval for each",
    )
    option = command.add_argument
    model = "trained network (.h5 or .keras file), or the folder of a study of it"
    add_data(option("model", help=model))
    add_data(option("data", help=f"rows, {ROWS}"))
    option(
        *("-n", "--n-draws", "--draws"),
        type=count,
        default=100,
        metavar="N",
        help="draws from each predictive distribution (default: %(default)s)",
    )
    add_data(
        option(
            *("-o", "--output"),
            metavar="FILE",
            help="table to write: .csv, .tsv or .parquet (default: print it as CSV)",
        )
    )
    option(
        "--level",
        type=fraction,
        default=0.9,
        metavar="P",
        help="probability in the predictive distribution that the interval from Lower "
        "to Upper holds (default: %(default)s)",
    )
    option(
        "--quantiles",
        type=fractions,
        default=(),
        metavar="Q,Q,...",
        help="further columns, such as 0.25,0.75",
    )
    add_columns(command)
    option(
        "--backend",
        choices=backend_names(),
        default="batched",
        help="what predicts; keras is the classical network (default: %(default)s)",
    )
    add_times(command)
    option(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="decides everything that is random (default: %(default)s)",
    )
    option(
        "--checkpoint",
        metavar="DIR",
        help="keep finished draws there, to go on after a crash",
    )
    add_reading(command)


def run(args):
    """Predict, and write or print the table."""
    from nengo_permadrop.study.prediction import predict

    replaced = args.output is not None and os.path.isfile(args.output)
    table = predict(
        args.model,
        args.data,
        args.n_draws,
        output=args.output,
        level=args.level,
        quantiles=args.quantiles,
        backend=args.backend,
        **columns_of(args),
        seed=args.seed,
        presentation_time=args.presentation_time,
        settle=args.settle,
        trust=args.trust,
        **reading_of(args),
        checkpoint=args.checkpoint,
    )
    print(in_words(table.attrs), file=sys.stderr)
    if replaced:
        print(f"{args.output} was there, and has been replaced", file=sys.stderr)
    if args.output is None:
        text = table.to_csv(index=False, float_format="%.6g").rstrip()
    else:
        text = args.output
    rows = table.to_dict(orient="records")
    show(args, {"output": args.output, **table.attrs, "rows": rows}, text)


def in_words(found):
    """What the interval is."""
    percent = f"{100 * found['level']:g}%"
    if found["recalibration"] is None:
        return (
            f"Lower to Upper holds {percent} of the draws, which needn't be {percent} "
            "of the targets: study rows with targets, and give the study's folder as "
            "the model, to recalibrate it"
        )
    factors = ", ".join(f"{each:.3g}" for each in found["recalibration"])
    return (
        f"Lower to Upper holds {percent} of the draws after recalibration: their "
        f"spread times {factors}, fitted on the study's validation rows"
    )
