"""``nengo-permadrop energy``: what a predictive distribution costs."""

from pathlib import Path

from nengo.exceptions import ValidationError

from nengo_permadrop import datasets
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
    reading_of,
    seed,
)
from nengo_permadrop.cli.output import show


def add(commands):
    """Add the command ``energy``."""
    command = add_command(
        commands,
        "energy",
        run,
        "estimate the energy of a predictive distribution, by counting spikes",
    )
    option = command.add_argument
    model = ".h5 or .keras file, such as the model.h5 of a study, or a study's folder"
    add_data(option("model", help=model))
    add_reading(command)
    option(
        "--dataset",
        choices=datasets.names(),
        help="whose test rows the model was trained to predict; firing rates depend on "
        "them (default: diabetes, if there is no --data); those of combo are loaded "
        "with the options of the model's training",
    )
    add_data(option("--data", metavar="FILE", help=f"rows of your own, {ROWS}"))
    add_columns(command)
    option(
        "--data-dir",
        "--data_dir",
        metavar="DIR",
        help="folder with the files of --dataset combo",
    )
    for names, default, what in (
        (("-n", "--n-draws", "--draws"), 100, "draws of the distribution"),
        (("--observations",), 10, "rows to take the mean over"),
    ):
        option(
            *names,
            type=count,
            default=default,
            metavar="N",
            help=f"{what} (default: %(default)s)",
        )
    add_times(command)
    option(
        "--devices",
        nargs="+",
        metavar="NAME",
        help="devices to compare (default: all that are known)",
    )
    option(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="that of the study: decides the data, masks and voltages (default: "
        "%(default)s)",
    )


def run(args):
    """Estimate the energy."""
    import nengo

    from nengo_permadrop.accounting.estimate import energy
    from nengo_permadrop.converter.network import Converter
    from nengo_permadrop.study.model_file import reading_options
    from nengo_permadrop.study.prediction import found_by_study

    check_own_rows(args)
    found = found_by_study(args.model)
    options = reading_options(found, **reading_of(args))
    rows = _own_rows if args.data is not None else _dataset_rows
    model, inputs = rows(args, found, options)
    with nengo.Network(seed=args.seed):
        conv = Converter(model, max_to_avg_pool=options["max_to_avg_pool"])
    estimate = energy(
        conv,
        inputs,
        n_draws=args.n_draws,
        presentation_time=args.presentation_time,
        settle=args.settle,
        seed=args.seed,
        devices=args.devices,
    )
    found = {
        "devices": estimate.devices_frame().reset_index().to_dict("records"),
        "layers": estimate.to_frame().reset_index(names="layer").to_dict("records"),
        "assumptions": estimate.assumptions,
    }
    show(args, found, str(estimate))


def _dataset_rows(args, found, options):
    """A model, and the first test rows of the data set that it was trained on."""
    from nengo_permadrop.combo.saved import trained, warn_of_other_rows
    from nengo_permadrop.dropout.seeds import derive_seed
    from nengo_permadrop.study.run import SEEDED
    from nengo_permadrop.training.evaluation import check_fits

    path, weights, studied = _model_of_study(args.model, args.dataset, found)
    model, record = trained(path, weights, trust=args.trust, **options)
    loading = {
        "seed": derive_seed(args.seed, SEEDED.index("data")),
        **(record.get("data_options") or {}),
    }
    if args.data_dir is not None:
        loading["data_dir"] = args.data_dir
    dataset = datasets.load(args.dataset or studied or "diabetes", **loading)
    shown = dataset.first_test_rows(args.observations)
    check_fits(model, dataset)
    warn_of_other_rows(record, dataset)
    return model, shown.inputs


def _model_of_study(path, dataset, found):
    """Files of a study's model and weights, and its data set; None for what isn't."""
    from nengo_permadrop.study.model_file import written_model

    if found is None:
        return path, None, None
    dataset = dataset or found.get("options", {}).get("dataset")
    if dataset not in datasets.names():
        raise ValidationError(
            f"the study in '{path}' is of rows of your own; give them, too: --data "
            "FILE",
            attr="data",
        )
    return *written_model(Path(path)), dataset


def _own_rows(args, found, options):
    """A model, and the first rows of the user's file."""
    from nengo_permadrop.study.prediction import prepared

    model, inputs = prepared(
        args.model, args.data, **columns_of(args), trust=args.trust, **options
    )
    return model, {name: x[: args.observations] for name, x in inputs.items()}
