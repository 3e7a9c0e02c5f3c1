"""``nengo-permadrop convert``: a Keras model as a spiking network."""

from nengo_permadrop.cli.arguments import add_command


def add(commands):
    """Add the command ``convert``."""
    command = add_command(
        commands,
        "convert",
        run,
        "convert a Keras model to spiking neurons, verify it, and show what it became",
    )
    command.add_argument("model", help=".h5 or .keras file, or SavedModel folder")
    command.add_argument(
        "--target",
        choices=("nengo", "loihi"),
        default="nengo",
        help="where the spiking network shall run (default: %(default)s)",
    )


def run(args):
    """Do it."""
    from nengo_permadrop.describe import describe_conversion
    from nengo_permadrop.loading import load_model

    print(describe_conversion(load_model(args.model), target=args.target))
