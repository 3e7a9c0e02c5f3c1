"""``nengo-permadrop audit``: whether the dropout of a deployed model is alive."""

from nengo_permadrop.cli import codes
from nengo_permadrop.cli.arguments import (
    ROWS,
    add_command,
    add_data,
    add_trust,
    count,
    fraction,
    seed,
)
from nengo_permadrop.cli.output import show


def add(commands):
    """Add the command ``audit``."""
    command = add_command(
        commands,
        "audit",
        run,
        "test whether the dropout of a deployed model is alive; the exit code is "
        f"{codes.ERROR} if it isn't",
    )
    option = command.add_argument
    add_data(
        option(
            "model",
            metavar="FILE",
            help=".onnx, .h5, .keras, .tflite, .xml (OpenVINO) or .pt2 file, or "
            "SavedModel folder",
        )
    )
    add_trust(command)
    add_data(
        option(
            "--data",
            metavar="FILE",
            required=True,
            help=f"rows that the model answers, {ROWS}; of an .npz file, each array is "
            "the input of its name, if there are several",
        )
    )
    add_data(
        option(
            "--reference",
            metavar="FILE",
            help="what the distribution should be: samples that were saved "
            "(samples.save), or an .npy file of (draws, rows, outputs)",
        )
    )
    option(
        "--masks",
        choices=("observation", "draw"),
        default="observation",
        help="whether rows shall have masks of their own, or all rows of a call the "
        "same (default: %(default)s)",
    )
    option(
        "--no-processes",
        action="store_true",
        help="don't open the file in other processes, too",
    )
    option(
        "-n",
        "--n-draws",
        type=count,
        default=100,
        metavar="N",
        help="how often the model is asked, at least 20 (default: %(default)s)",
    )
    option(
        "--alpha",
        type=fraction,
        default=0.001,
        metavar="P",
        help="probability, at most, of a false alarm (default: %(default)s)",
    )
    option(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="of the tests; the model's draws are its own (default: %(default)s)",
    )


def run(args):
    """Audit; the exit code says whether something is wrong."""
    from nengo_permadrop.sampling.audit.auditing import audit

    found = audit(
        args.model,
        _rows(args.data),
        _reference(args.reference),
        args.n_draws,
        trust=args.trust,
        masks=args.masks,
        processes=not args.no_processes,
        alpha=args.alpha,
        seed=args.seed,
    )
    show(args, found.to_dict(), str(found))
    return codes.SUCCESS if found.ok else codes.ERROR


def _rows(path):
    """Rows of a file: an array, or arrays by name where there are several."""
    from nengo_permadrop.datasets.tables import read_table

    table = read_table(path)
    if table.columns is not None:
        return table.columns.to_numpy()
    arrays = table.arrays
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))


def _reference(path):
    import numpy as np

    from nengo_permadrop.samples.loading import load_samples

    if path is None:
        return None
    if path.endswith(".npy"):
        return np.load(path, allow_pickle=False)
    return load_samples(path)
