"""``nengo-permadrop combo-train``: trains the Combo network, with CANDLE's options."""

import os
import sys

from nengo_permadrop.cli.arguments import (
    add_command,
    count,
    existing,
    positive,
    rate,
    seed,
)
from nengo_permadrop.cli.output import show
from nengo_permadrop.neurons.activations import curve_names
from nengo_permadrop.training.recipe import SOFTLIF

FLAG = {"action": "store_true"}
OPTIONS = (
    # CANDLE's names and defaults first
    (
        ("-z", "--batch_size", "--batch-size"),
        {"type": count, "default": 32},
        "rows of a step",
    ),
    (
        ("-e", "--epochs"),
        {"type": count, "default": 10},
        "passes over the training rows",
    ),
    (
        ("--dense",),
        {"type": count, "nargs": "+", "default": [1000, 1000, 1000], "metavar": "N"},
        "units of the layers after the encoders",
    ),
    (
        ("--dense_feature_layers", "--dense-feature-layers"),
        {"type": count, "nargs": "+", "default": [1000, 1000, 1000], "metavar": "N"},
        "units of each encoder's layers",
    ),
    (
        ("-a", "--activation"),
        {"choices": ("softlif", "relu"), "default": "softlif"},
        "of all hidden layers",
    ),
    (
        ("--dropout", "--drop"),
        {"type": rate, "default": 0.1, "metavar": "RATE"},
        "rate of the permanent dropout",
    ),
    (("--residual",), FLAG, "add a layer's input to what it gives"),
    (("--optimizer",), {"default": "adam", "metavar": "NAME"}, "Keras's name for it"),
    (
        ("--learning_rate", "--learning-rate", "-l"),
        {"type": positive, "metavar": "RATE"},
        "instead of the optimizer's own",
    ),
    (("--loss",), {"choices": ("mse", "mae"), "default": "mse"}, "what is minimised"),
    (
        ("--reduce_lr", "--reduce-lr"),
        FLAG,
        "halve the learning rate after 5 epochs without improvement",
    ),
    (
        ("--scaling",),
        {"choices": ("std", "maxabs", "minmax", "none"), "default": "std"},
        "of the features",
    ),
    (
        ("--validation_split", "--validation-split"),
        {"type": float, "default": 0.2, "metavar": "FRACTION"},
        "of all rows",
    ),
    (
        ("--use_landmark_genes", "--use-landmark-genes"),
        FLAG,
        "use the expression of the landmark genes of LINCS alone",
    ),
    (
        ("--preprocess_rnaseq", "--preprocess-rnaseq"),
        {"choices": ("source_scale", "combat", "none"), "default": "none"},
        "which expression file",
    ),
    # ours
    (
        ("--n-test", "--n_test"),
        {"type": count, "default": 1000, "metavar": "N"},
        "rows that are kept for the study's test",
    ),
    (
        ("--target",),
        {"choices": curve_names(), "default": "nengo"},
        "where the spiking network shall run",
    ),
    (
        ("--seed", "--rng_seed"),
        {"type": seed, "default": 0, "metavar": "N"},
        "decides everything that is random",
    ),
    (
        ("--gamma",),
        {"type": positive, "default": SOFTLIF["gamma"]},
        "width of SoftLIF's smoothing; smaller ones are nearer to spiking neurons",
    ),
    (
        ("-w", "--initial-weights", "--initial_weights"),
        {"metavar": "FILE"},
        "weights to begin with, such as those of a network with a larger gamma",
    ),
    (("--resume",), FLAG, "go on with a training that was stopped"),
    (("--overwrite",), FLAG, "start over, and replace the files of another training"),
)
# parts of the command that take randomness; a part's seed depends on its place here
SEEDED = ("data", "weights", "training", "score")


def add(commands):
    """Add the command ``combo-train``."""
    command = add_command(
        commands,
        "combo-train",
        run,
        "train CANDLE's Combo network with permanent dropout",
    )
    command.add_argument(
        "--data-dir",
        "--data_dir",
        required=True,
        metavar="DIR",
        help="folder with CANDLE's files, or with those of combo-data",
    )
    command.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="PREFIX",
        help="beginning of the names of all files: PREFIX.model.h5 and so on",
    )
    for names, how, words in OPTIONS:
        default = how.get("default")
        shown = " ".join(map(str, default)) if isinstance(default, list) else default
        if default is not None:
            words = f"{words} (default: {shown})"
        command.add_argument(*names, **how, help=words)


def run(args):
    """Train the network."""
    from nengo_permadrop import combo, datasets
    from nengo_permadrop.dropout.seeds import derive_seed
    from nengo_permadrop.sources.keras.loading import load_weights
    from nengo_permadrop.training.evaluation import mean_scores

    _check(args)
    seeds = {part: derive_seed(args.seed, i) for i, part in enumerate(SEEDED)}
    data_options = {
        "seed": seeds["data"],
        "scaling": args.scaling,
        "validation_split": args.validation_split,
        "n_test": args.n_test,
        "use_landmark_genes": args.use_landmark_genes,
        "preprocess_rnaseq": args.preprocess_rnaseq,
    }
    dataset = datasets.load("combo", data_dir=args.data_dir, **data_options)
    features = dataset.train.n_features
    model = combo.model(
        features["cell"],
        features["drug1"],
        dense=args.dense,
        dense_feature_layers=args.dense_feature_layers,
        residual=args.residual,
        activation=args.activation,
        rate=args.dropout,
        seed=seeds["weights"],
        target=args.target,
        gamma=args.gamma,
    )
    if args.initial_weights is not None:
        load_weights(model, args.initial_weights)
    print(
        f"{len(dataset.train)} training and {len(dataset.validation)} validation rows, "
        f"{model.count_params()} parameters",
        file=sys.stderr,
    )
    try:
        combo.train(
            model,
            dataset,
            prefix=args.output,
            epochs=args.epochs,
            batch_size=args.batch_size,
            optimizer=args.optimizer,
            learning_rate=args.learning_rate,
            loss=args.loss,
            reduce_lr=args.reduce_lr,
            seed=seeds["training"],
            resume=args.resume,
            overwrite=args.overwrite,
            data_options=data_options,
        )
    except KeyboardInterrupt:
        if os.path.exists(f"{args.output}.state.npz"):
            print("Every whole epoch is kept; go on with --resume", file=sys.stderr)
        raise
    found = mean_scores(model, dataset.validation, seed=seeds["score"])
    words = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
    path = f"{args.output}.model.h5"
    show(
        args,
        {"model": path, "validation": found},
        f"Mean of 20 draws on 2000 validation rows at most: {words}\nModel: {path}",
    )


def _check(args):
    """What can be wrong before the data are read, which takes time."""
    from nengo_permadrop.combo.saved import TrainingFiles
    from nengo_permadrop.combo.training_options import check_optimizer
    from nengo_permadrop.support.folders import check_folder

    files = TrainingFiles(args.output)
    check_folder(files.prefix.parent)
    files.check_new(args.resume, args.overwrite)
    check_optimizer(args.optimizer)
    if args.initial_weights is not None:
        existing(args.initial_weights, "weights")
