"""
Whether ``sample(conv, X)`` agrees with the classical network when no times are said.

A network of three layers per encoder and after them (combo-small), and one of nine
layers one after the other (diabetes), each with the times that the package chooses and
with 0.1 s read from 0.04 s on, which are too short for them. Prints the fraction of
p-values under 0.05, that of the control (the classical network with itself), bias and
spread in standard deviations, and the verdict::

    python benchmarks/default_times.py
"""

import argparse
import warnings

import numpy as np

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
    args = parser.parse_args()
    for name, kmodel, data in networks(args.epochs):
        models.train_for_dataset(kmodel, data, epochs=args.epochs, seed=2)
        conv = npd.Converter(kmodel, seed=3)
        X = data.test.take(slice(args.observations)).inputs
        options = {"n_draws": args.draws, "progress": False}
        classical, control = (
            npd.sample(kmodel, X, backend="keras", seed=seed, **options)
            for seed in (4, 5)
        )
        for times in ({}, {"presentation_time": 0.1, "settle": 0.04}):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the times that are too short
                spiking = npd.sample(conv, X, seed=6, **options, **times)
            agreement = npd.ks_agreement(spiking, classical)
            std = classical.std()
            bias = np.sqrt(np.mean(((spiking.mean() - classical.mean()) / std) ** 2))
            print(
                f"{name}, {spiking.meta['presentation_time']} s from "
                f"{spiking.meta['settle']} s on: rejected "
                f"{agreement.rejection_rate():.3f} (control "
                f"{npd.ks_agreement(control, classical).rejection_rate():.3f}), bias "
                f"{bias:.2f}, spread {np.mean(spiking.std() / std):.2f}: "
                f"{agreement.verdict().words}",
                flush=True,
            )


if __name__ == "__main__":
    main()
