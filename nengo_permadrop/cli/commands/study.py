"""``nengo-permadrop study``: the paper's study."""

import os
from pathlib import Path

import shtab

from nengo_permadrop import datasets
from nengo_permadrop.backends.base import CLASSICAL, backend_names
from nengo_permadrop.cli import codes
from nengo_permadrop.cli.arguments import (
    ROWS,
    add_columns,
    add_command,
    add_data,
    add_reading,
    add_times,
    check_own_rows,
    columns_of,
    count,
    positive,
    reading_of,
    seed,
)
from nengo_permadrop.cli.output import show


def add(commands):
    """Add the command ``study``."""
    command = add_command(
        commands,
        "study",
        run,
        "convert a classical network, yours or one that is trained on a data set, to "
        "spiking neurons, and test whether both draw from the same predictive "
        "distributions",
    )
    _add_rows(command)
    _add_study(command)
    _add_output(command)
    _add_running(command)
    _add_network(command)


def _add_rows(command):
    """Rows of one's own, or a data set."""
    option = command.add_argument
    option(
        "--dataset",
        choices=datasets.names(),
        help="data to learn (default: diabetes, if there is no --data)",
    )
    add_data(option("--data", metavar="FILE", help=f"rows of your own, {ROWS}"))
    option(
        "--target",
        action="append",
        metavar="COLUMN",
        help="column of --data to predict, by name or number; once for each of several "
        "(an .npz file's array y is taken by itself)",
    )
    add_columns(command)


def _add_study(command):
    """How much is studied."""
    option = command.add_argument
    option(
        "--data-dir",
        "--data_dir",
        metavar="DIR",
        help="folder with the files of --dataset combo",
    )
    option(
        *("-n", "--n-draws", "--draws"),
        type=count,
        default=100,
        metavar="N",
        help="draws from each predictive distribution (default: %(default)s)",
    )
    option(
        "--observations",
        type=count,
        metavar="N",
        help="rows of the test data to predict (default: 100, or all if there are "
        "fewer)",
    )
    option(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="decides everything that is random (default: %(default)s)",
    )


def _add_output(command):
    """Where it goes, and what the exit code says."""
    option = command.add_argument
    output = option(
        "-o",
        "--output",
        metavar="DIR",
        help="folder for all files (default: study-DATASET, or study-FILE "
        "of --data)",
    )
    output.complete = shtab.DIRECTORY
    option(
        "--overwrite",
        action="store_true",
        help="replace another study in that folder, or the same one that is finished; "
        "an unfinished one of the same arguments goes on without",
    )
    option(
        "--strict",
        action="store_true",
        help=f"exit with code {codes.DISAGREE} if the networks don't agree",
    )


def _add_running(command):
    """How the spiking network runs."""
    option = command.add_argument
    option(
        "--backend",
        choices=[name for name in backend_names() if name not in CLASSICAL],
        default="batched",
        help="what simulates the spiking network (default: %(default)s)",
    )
    add_times(command)
    option(
        "--workers",
        type=count,
        metavar="N",
        help="processes for nengo and nengo_loihi (default: one per CPU)",
    )


def _add_network(command):
    """The networks: what is trained, and how it is converted."""
    option = command.add_argument
    option(
        "--model",
        metavar="FILE",
        help="a trained network, such as PREFIX.model.h5 of combo-train, that is not "
        "trained again",
    )
    option("--weights", metavar="FILE", help="other weights for --model")
    add_reading(command, "--model")
    option(
        "--epochs",
        type=count,
        metavar="N",
        help="train for so many epochs at the most (default: what suits the data)",
    )
    option(
        "--anneal",
        type=positive,
        metavar="GAMMA",
        help="train on with this gamma in the SoftLIF layers, such as 0.002, which "
        "brings their curve near that of spiking neurons",
    )
    option(
        "--synapse",
        type=positive,
        metavar="SECONDS",
        help="time constant of Lowpass synapses (default: 5 ms; of Alpha ones but on "
        "Loihi)",
    )
    option(
        "--calibrate",
        action="store_true",
        help="correct gains and biases of the spiking network on validation rows",
    )
    option(
        "--tune",
        action="store_true",
        help="choose synapses, times, firing rates and a calibration on validation "
        "rows, so that the networks agree with the fewest spikes",
    )
    # all that is finished is in its folder
    command.set_defaults(goes_on=True)


def run(args):
    """Run the study."""
    from nengo_permadrop.study.report import to_dict
    from nengo_permadrop.study.run import study

    check_own_rows(args)
    data = args.data if args.data is None else Path(args.data)
    dataset = args.dataset or ("diabetes" if data is None else None)
    output = args.output or f"study-{dataset or data.stem}"
    result = study(
        dataset,
        X=data,
        y=args.target,
        n_draws=args.n_draws,
        observations=args.observations,
        backend=args.backend,
        seed=args.seed,
        output=output,
        presentation_time=args.presentation_time,
        settle=args.settle,
        workers=args.workers,
        epochs=args.epochs,
        dataset_options=None if args.data_dir is None else {"data_dir": args.data_dir},
        model=args.model,
        weights=args.weights,
        anneal=args.anneal,
        calibrate=args.calibrate,
        synapse=args.synapse,
        tune=args.tune,
        **columns_of(args),
        trust=args.trust,
        **reading_of(args),
        overwrite=args.overwrite,
    )
    verdict = result.verdict()
    report = os.path.join(output, "report.html")
    # the single tests are in agreement.json
    found = {key: value for key, value in to_dict(result).items() if key != "tests"}
    lines = [
        *(f"{each.question} {each.answer}" for each in result.judgements().values()),
        *steps_in_lines(found.get("next_steps", ())),
        f"Report: {report}",
        verdict.words,
    ]
    show(args, {"report": report, **found}, "\n".join(lines))
    return codes.DISAGREE if args.strict and not verdict else codes.SUCCESS


def steps_in_lines(steps):
    """What to do next: a line each, and commands on lines of their own."""
    from nengo_permadrop.study.answers import in_lines

    lines = []
    for i, step in enumerate(steps):
        first, *others = in_lines(step, width=10_000)
        lines += [f"{'Then' if i else 'Next'}: {first.strip()}", *others]
    return lines
