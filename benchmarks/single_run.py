"""
How much simulated time does a predictive distribution take, drawn in which way?

Trains the study's network for a data set and converts it. For each way to draw, the
shortest window that agrees is sought on validation rows (`tune_window`), and then
tested on test rows, over several seeds:

- ``restart``: every draw from the initial state; "as study" with the presentations of
  ``nengo-permadrop study``, which aren't tuned;
- ``redraw``: one run, in which masks travel through the layers (``run="single"``);
- ``redraw at once``: the same window, but all layers take new masks at the same time;
- ``redraw, 4 copies``: the same window, and four copies of the network side by side;
- ``redraw, decorrelated``: one run, whose draws are taken apart by
  ``samples.decorrelated()``.

    python benchmarks/single_run.py diabetes combo-small

Writes a table, ``single_run.tsv``, of which ``docs/pictures.py`` makes a plot. What is
in the table already is not measured again (so give each ``--anneal`` an output folder
of its own). With ``--backend nengo_loihi`` (the emulator, slow) give few
``--observations``, ``--seeds`` and ``--ways``, and windows that are found before with
Loihi's neurons and gates on the batched simulator:

    python benchmarks/single_run.py diabetes --target loihi
    python benchmarks/single_run.py diabetes --backend nengo_loihi --seeds 1 \\
        --networks 0 1 2 --ways restart redraw --calibrate \\
        --fixed restart=0.035:0.025 redraw=0.015:0.005
"""

import argparse
import functools
import itertools
from pathlib import Path

import nengo
import numpy as np
import pandas as pd

import nengo_permadrop as npd
from nengo_permadrop import datasets, models
from nengo_permadrop.converter.timing import default_times
from nengo_permadrop.sources.keras.loading import load_model
from nengo_permadrop.study.steps import CALIBRATION_ROWS
from nengo_permadrop.support.files import atomic_path
from nengo_permadrop.targets.registry import target_names

COPIES = 4
FRACTIONS = (0.8, 0.9)  # of a window that isn't read
FRACTIONS_TAKEN_APART = (0.5, 0.65)  # likewise, where the mixing is undone


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("datasets", nargs="+", choices=datasets.names())
    parser.add_argument("--backend", default="batched")
    parser.add_argument(
        "--target",
        choices=target_names(),
        help="what networks are trained and converted for (default: as the backend)",
    )
    parser.add_argument("--anneal", type=float, help="end training with this gamma")
    parser.add_argument("--calibrate", action="store_true", help="on validation rows")
    parser.add_argument(
        "--synapse", type=float, metavar="SECONDS", help="of Lowpass synapses"
    )
    parser.add_argument(
        "--networks",
        nargs="+",
        type=int,
        default=[0],
        help="networks to train, by the seeds of their data and training",
    )
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--observations", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=5, help="a window must agree for")
    parser.add_argument("--seed", type=int, default=1, help="of the tuning")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--windows", nargs="+", type=float, help="seconds, to try")
    parser.add_argument(
        "--fixed",
        nargs="+",
        default=(),
        metavar="WAY=WINDOW:SETTLE",
        help="take these times, in seconds, and don't tune",
    )
    parser.add_argument("-o", "--output", default="single-run")
    args = parser.parse_args()
    if args.target is None:
        args.target = "loihi" if args.backend == "nengo_loihi" else "nengo"

    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "single_run.tsv"
    rows = pd.read_csv(path, sep="\t").to_dict("records") if path.exists() else []
    for name, network in itertools.product(args.datasets, args.networks):
        dataset = datasets.load(name, seed=network)
        model = trained(dataset, network, folder, args.target, args.anneal)
        for way in args.ways:
            of = {
                "dataset": name,
                "backend": args.backend,
                "target": args.target,
                "network": network,
            }
            found = {
                row["way"]: row
                for row in rows
                if all(row[key] == value for key, value in of.items())
            }
            if way in found:
                continue
            row = measure(way, model, dataset, args, found)
            rows.append({**of, "way": way, **row})
            with atomic_path(path) as temporary:
                pd.DataFrame(rows).to_csv(temporary, sep="\t", index=False)
            print(pd.DataFrame(rows[-1:]).to_string(index=False), flush=True)
    print(pd.DataFrame(rows).to_string(index=False))


def trained(dataset, seed, folder, target, gamma):
    """The classical network, from the output folder if it is there."""
    path = folder / f"{dataset.name}-{target}-{gamma}-{seed}.h5"
    if path.exists():
        return load_model(path)
    model = models.for_dataset(dataset, seed=seed, target=target)
    models.train_for_dataset(model, dataset, seed=seed)
    if gamma is not None:
        models.anneal(model, dataset, gamma, seed=seed)
    model.save(path)
    return model


class Conversion:
    """Converters of a model, as the options ask for them."""

    def __init__(self, model, dataset, args):
        self.model = model
        self.rows = dataset.validation.take(slice(CALIBRATION_ROWS)).inputs
        self.args = args
        self._converters = {}

    def __call__(self, **options):
        """A converter, calibrated if that is asked for."""
        with nengo.Network(seed=0):
            conv = npd.Converter(
                self.model,
                target=self.args.target,
                synapse=self.args.synapse,
                seed=0,
                **options,
            )
        if self.args.calibrate:
            npd.calibrate(conv, self.rows)
        return conv

    def for_run(self, run, copies=1):
        """A converter that the backend can run so; always the same one."""
        gates = self.args.target == "loihi" and run == "single"
        redraw = 0.1 if gates else None  # the window takes its place
        key = redraw, copies
        if key not in self._converters:
            self._converters[key] = self(redraw=redraw, copies=copies)
        return self._converters[key]


def measure(way, model, dataset, args, found):
    """A row of the table."""
    chosen = dataset.validation.take(slice(args.observations)).inputs
    convert = Conversion(model, dataset, args)
    choose, draws_of = WAYS[way]
    fixed = dict(item.split("=") for item in args.fixed)
    if way in fixed:
        window, settle = map(float, fixed[way].split(":"))
    else:
        window, settle = choose(convert, chosen, found)
    shown = dataset.test.take(slice(args.observations)).inputs
    verdicts, rates, sizes, times = [], [], [], []
    for seed in range(args.seeds):
        samples = draws_of(convert, shown, window, settle, 100 + seed)
        sizes.append(samples.effective_size().mean())
        times.append(samples.meta["simulated_time"])
        if "decorrelated" in way:
            samples = samples.decorrelated()
        classical = npd.sample(
            model, shown, args.draws, backend="keras", seed=200 + seed, progress=False
        )
        agreement = npd.ks_agreement(samples, classical, seed=seed)
        verdicts.append(bool(agreement.verdict()))
        rates.append(agreement.rejection_rate())
    worth = 1.0 if "decorrelated" in way else min(1, np.mean(sizes) / args.draws)
    return {
        "window": window,
        "settle": settle,
        "agreeing": f"{sum(verdicts)}/{args.seeds}",
        "rejected": np.mean(rates),
        "effective": np.mean(sizes),
        "simulated_time": np.mean(times),
        "time_of_effective": np.mean(times) / worth,
    }


def draw(convert, X, window, settle, seed, run="single", **options):
    """Samples of a converted network."""
    return npd.sample(
        convert.for_run(run, **options),
        X,
        convert.args.draws,
        backend=convert.args.backend,
        presentation_time=window,
        settle=settle,
        seed=seed,
        run=run,
        progress=False,
    )


def draw_at_once(convert, X, window, settle, seed):
    """Samples of a plain network that holds a converted one: its masks don't travel."""
    conv = convert(redraw=window)
    with nengo.Network(seed=0) as net:
        net.add(conv)
    return npd.sample(
        net,
        {node: X[name] for name, node in conv.inputs.items()},
        convert.args.draws,
        backend=convert.args.backend,
        output=conv.output,
        presentation_time=window,
        settle=settle,
        seed=seed,
        run="single",
        progress=False,
    )


def tune(convert, X, run="single", **options):
    """The shortest window that agrees, and its settling time."""
    args = convert.args
    best = npd.tune_window(
        convert.for_run(run),
        X,
        args.draws,
        run=run,
        windows=args.windows,
        backend=args.backend,
        seed=args.seed,
        repeats=args.seeds,
        fractions=FRACTIONS_TAKEN_APART if options.get("decorrelate") else FRACTIONS,
        **options,
    )
    print(best, flush=True)
    return best.window, best.settle


def same_as(way):
    """The window of a way that has been measured before."""

    def window(convert, X, found):
        return found[way]["window"], found[way]["settle"]

    return window


def study_window(convert, X, found):
    """Not tuned: the presentation that ``nengo-permadrop study`` takes."""
    return default_times(convert().settling_time)


def tuned(**options):
    return lambda convert, X, found: tune(convert, X, **options)


# way: (window, draw)
WAYS = {
    "restart, as study": (study_window, functools.partial(draw, run="restart")),
    "restart": (tuned(run="restart"), functools.partial(draw, run="restart")),
    "redraw": (tuned(), draw),
    "redraw at once": (same_as("redraw"), draw_at_once),
    f"redraw, {COPIES} copies": (
        same_as("redraw"),
        functools.partial(draw, copies=COPIES),
    ),
    "redraw, decorrelated": (tuned(decorrelate=True), draw),
}


if __name__ == "__main__":
    main()
