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
    command.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files of the same names in that folder, which may be CANDLE's",
    )


def run(args):
    """Write the files."""
    from nengo_permadrop.combo.data.generator import file_names, generate_files
    from nengo_permadrop.support.folders import prepare_folder

    folder = prepare_folder(args.output)
    there = [name for name in file_names() if (folder / name).exists()]
    if there and not args.overwrite:
        raise FileExistsError(
            f"{folder} holds {there[0]}, which may be CANDLE's own; give another "
            "folder, or --overwrite to replace it"
        )
    sizes = {name: getattr(args, name) for _, name, _, _ in SIZES}
    paths = generate_files(args.output, measured=args.measured, seed=args.seed, **sizes)
    paths = [str(path) for path in paths]
    show(args, {"paths": paths}, "\n".join(paths))
