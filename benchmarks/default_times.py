"""
Whether ``sample(conv, X)`` agrees with the classical network when no times are said.

A network of three layers per encoder and after them (combo-small), and one of nine
layers one after the other (diabetes), each with the times that the package chooses and
with 0.1 s read from 0.04 s on, which are too short for them. Prints the fraction of
p-values under 0.05, that of the control (the classical network with itself), bias and
spread in standard deviations, and the verdict::

    python benchmarks/default_times.py --output docs/_data
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import nengo_permadrop as npd
from nengo_permadrop import datasets, models


def networks(epochs):
    """A trained network and test rows for each of the two."""
    data = datasets.load("combo-small", seed=0)
    yield "combo-small", models.for_dataset(data, seed=1), data
    data = datasets.load("diabetes", seed=0)
    yield "nine layers", models.mlp(10, (60,) * 9, seed=1), data


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--observations", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="write the table here, as CSV"
    )
    args = parser.parse_args()
    rows = []
    for name, kmodel, data in networks(args.epochs):
        models.train_for_dataset(kmodel, data, epochs=args.epochs, seed=2)
        X = data.test.take(slice(args.observations)).inputs
        rows += compared(name, kmodel, X, n_draws=args.draws, progress=False)
    table = pd.DataFrame(rows).set_index("network")
    print(table.to_string())
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
        table.to_csv(args.output / "default_times.csv")


def compared(name, kmodel, X, **options):
    """A row of the table for each of the times."""
    conv = npd.Converter(kmodel, seed=3)
    classical, control = (
        npd.sample(kmodel, X, backend="keras", seed=seed, **options) for seed in (4, 5)
    )
    std = classical.std()
    of_control = npd.ks_agreement(control, classical).rejection_rate()
    for times in ({}, {"presentation_time": 0.1, "settle": 0.04}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the times that are too short
            spiking = npd.sample(conv, X, seed=6, **options, **times)
        agreement = npd.ks_agreement(spiking, classical)
        bias = np.sqrt(np.mean(((spiking.mean() - classical.mean()) / std) ** 2))
        settle, end = (spiking.meta[n] for n in ("settle", "presentation_time"))
        yield {
            "network": name,
            "times": "given" if times else "default",
            "read": f"{1000 * settle:.0f} to {1000 * end:.0f} ms",
            "p-values under 0.05": f"{agreement.rejection_rate():.0%}",
            "of the control": f"{of_control:.0%}",
            "bias (sd)": f"{bias:.2f}",
            "spread ratio": f"{np.mean(spiking.std() / std):.2f}",
            "verdict": "agree" if agreement.verdict() else "differ",
        }


if __name__ == "__main__":
    main()
