"""``nengo-permadrop infer``: CANDLE's ``infer.py`` for Combo, on spikes."""

import sys

from nengo_permadrop.backends.base import backend_names
from nengo_permadrop.cli.arguments import (
    add_command,
    add_reading,
    add_times,
    count,
    fractions,
    reading_of,
    seed,
)
from nengo_permadrop.cli.output import show


def add(commands):
    """Add the command ``infer``."""
    command = add_command(
        commands,
        "infer",
        run,
        "predict growth under all pairs of drugs with a Combo model, as CANDLE's "
        "infer.py does",
    )
    _add_candle_options(command)
    _add_options(command)


def _add_candle_options(command):
    """The options of CANDLE's infer.py, with its names and defaults."""
    option = command.add_argument
    option(
        *("-s", "--sample_set", "--sample-set"),
        default="NCIPDM",
        help="samples: NCI60, NCIPDM, GDSC, RTS, ... (default: %(default)s)",
    )
    option(
        *("-d", "--drug_set", "--drug-set"),
        default="ALMANAC",
        help="drugs: ALMANAC, GDSC, NCI_IOA_AOA, RTS or pan (default: %(default)s)",
    )
    option(
        *("-z", "--batch_size", "--batch-size"),
        type=count,
        default=100_000,
        metavar="N",
        help="predictions to compute at a time, at most (default: %(default)s)",
    )
    option(
        "--step",
        type=count,
        default=10_000,
        metavar="N",
        help="rows to compute at a time, at most (default: %(default)s)",
    )
    option(
        *("-m", "--model_file", "--model-file"),
        default="saved.model.h5",
        metavar="FILE",
        help="trained model (default: %(default)s)",
    )
    option(
        *("-n", "--n_pred", "--n-pred"),
        type=count,
        default=1,
        metavar="N",
        help="predictions of each row (default: %(default)s)",
    )
    option(
        *("-w", "--weights_file", "--weights-file"),
        default="saved.weights.h5",
        metavar="FILE",
        help="its weights (default: %(default)s)",
    )
    for name, words in (
        ("--ns", "samples, of all"),
        ("--nd", "drugs, of all"),
        ("--si", "number of the first sample, from 0"),
    ):
        option(name, type=seed, default=0, metavar="N", help=f"{words} (default: 0)")
    option(
        *("--use_landmark_genes", "--use-landmark-genes"),
        action="store_true",
        help="expression of the landmark genes of LINCS alone (default: as trained)",
    )
    option(
        *("--preprocess_rnaseq", "--preprocess-rnaseq"),
        choices=("source_scale", "combat", "none"),
        help="which preprocessed expression file (default: as trained)",
    )


def _add_options(command):
    option = command.add_argument
    option(
        "--data-dir",
        default=".",
        metavar="DIR",
        help="folder with the data files (default: this one)",
    )
    option(
        *("-o", "--output"),
        default=".",
        metavar="DIR",
        help="folder for the two tables, which replace those of the same names when "
        "both are complete (default: this one)",
    )
    option(
        "--backend",
        choices=backend_names(),
        default="batched",
        help="what predicts (default: %(default)s)",
    )
    option(
        "--quantiles",
        type=fractions,
        default=(),
        metavar="Q,Q,...",
        help="further columns, such as 0.05,0.95",
    )
    option(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="decides everything that is random (default: %(default)s)",
    )
    option(
        "--candle-scaling",
        action="store_true",
        help="scale features again on each set, as CANDLE does, for its own models",
    )
    add_reading(command)
    add_times(command)
    option(
        "--workers",
        type=count,
        default=1,
        metavar="N",
        help="processes on this machine (default: %(default)s)",
    )
    option(
        "--dask",
        metavar="ADDRESS",
        help="compute on a cluster: tcp://HOST:PORT of its scheduler, or local:N for N "
        "processes of this machine",
    )
    option(
        "--checkpoint",
        metavar="DIR",
        help="keep finished blocks there, to go on after a crash",
    )


def run(args):
    """Predict, and write the tables."""
    from nengo_permadrop.combo.infer import infer
    from nengo_permadrop.combo.tables import PredictionTables

    tables = PredictionTables(args.output, args.sample_set, args.drug_set)
    for path in (tables.summary_path, tables.all_path):
        if path.exists():
            print(f"{path} will be replaced when the new one is whole", file=sys.stderr)
    with _executor(args) as executor:
        result = infer(
            sample_set=args.sample_set,
            drug_set=args.drug_set,
            model_file=args.model_file,
            weights_file=args.weights_file,
            n_pred=args.n_pred,
            ns=args.ns,
            nd=args.nd,
            si=args.si,
            use_landmark_genes=args.use_landmark_genes,
            preprocess_rnaseq=args.preprocess_rnaseq,
            batch_size=args.batch_size,
            step=args.step,
            data_dir=args.data_dir,
            output=args.output,
            backend=args.backend,
            quantiles=args.quantiles,
            seed=args.seed,
            candle_scaling=args.candle_scaling,
            trust=args.trust,
            **reading_of(args),
            presentation_time=args.presentation_time,
            settle=args.settle,
            checkpoint=args.checkpoint,
            executor=executor,
        )
    print(
        f"Predicted {result.n_rows} combinations: {result.n_samples} samples x "
        f"{result.n_drugs} drugs x {result.n_drugs} drugs",
        file=sys.stderr,
    )
    paths = [str(path) for path in result.paths]
    show(args, {**vars(result), "paths": paths}, "\n".join(paths))


def _executor(args):
    if args.dask is None:
        from nengo_permadrop.execution.pool import process_pool

        return process_pool(args.workers)
    from nengo_permadrop.execution.cluster import dask_executor

    return dask_executor(args.dask)
