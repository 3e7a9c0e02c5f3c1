"""``nengo-permadrop convert``: a Keras model as a spiking network."""

from pathlib import Path

import shtab

from nengo_permadrop.cli.arguments import add_command, add_reading, reading_of
from nengo_permadrop.cli.output import show
from nengo_permadrop.targets.registry import target_names


def add(commands):
    """Add the command ``convert``."""
    command = add_command(
        commands,
        "convert",
        run,
        "convert a model to spiking neurons, verify it, and show what it became",
    )
    model = command.add_argument(
        "model",
        help=".h5, .keras, .onnx or .pt2 file, folder of a study, or SavedModel folder",
    )
    model.complete = shtab.FILE
    add_reading(command)
    command.add_argument(
        "--target",
        choices=target_names(),
        default="nengo",
        help="where the spiking network shall run (default: %(default)s)",
    )


def run(args):
    """Convert and verify."""
    from nengo_permadrop.converter.describe import conversion_facts, in_words
    from nengo_permadrop.sources.registry import opened
    from nengo_permadrop.study.model_file import reading_options, written_model
    from nengo_permadrop.study.prediction import found_by_study

    path, weights = args.model, None
    found = found_by_study(path)
    if found is not None:
        path, weights = written_model(Path(path))
    options = reading_options(found, **reading_of(args))
    model = opened(path, trust=args.trust, weights=weights, **options)
    pools = options["max_to_avg_pool"]
    facts = conversion_facts(model, target=args.target, max_to_avg_pool=pools)
    show(args, facts, in_words(facts))
