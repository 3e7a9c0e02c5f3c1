"""``nengo-permadrop combo-data``: generated files in the formats of CANDLE's Combo."""

from nengo_permadrop.cli.arguments import add_command, count, seed
from nengo_permadrop.cli.output import show

SIZES = (
    ("--cells", "n_cells", 59, "screened cell lines"),
    ("--drugs", "n_drugs", 54, "screened drugs"),
    ("--genes", "n_genes", 942, "columns of the expression files"),
    ("--descriptors", "n_descriptors", 3820, "columns of the descriptor files"),
    ("--set-samples", "n_set_samples", 20, "samples of each other sample set"),
    ("--set-drugs", "n_set_drugs", 20, "drugs of each other drug set"),
    ("--doses", "n_doses", 3, "measured concentrations of each pair"),
    ("--replicates", "n_replicates", 2, "measurements at each concentration"),
)


def add(commands):
    """Add the command ``combo-data``."""
    command = add_command(
        commands,
        "combo-data",
        run,
        "write a generated data set in the formats of CANDLE's Combo benchmark",
    )
    for option, name, default, words in SIZES:
        command.add_argument(
            option,
            dest=name,
            type=count,
            default=default,
            metavar="N",
            help=f"{words} (default: %(default)s)",
        )
    command.add_argument(
        "--measured",
        type=float,
        default=0.97361,
        metavar="FRACTION",
        help="of all cells and pairs of drugs (default: %(default)s)",
    )
    command.add_argument(
        "--seed", type=seed, default=0, help="decides everything (default: %(default)s)"
    )
    command.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="folder for the files"
    )


def run(args):
    """Do it."""
    from nengo_permadrop.datasets.combo import generate_files

    sizes = {name: getattr(args, name) for _, name, _, _ in SIZES}
    paths = generate_files(args.output, measured=args.measured, seed=args.seed, **sizes)
    paths = [str(path) for path in paths]
    show(args, {"paths": paths}, "\n".join(paths))
