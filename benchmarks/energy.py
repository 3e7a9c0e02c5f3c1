"""
What one predictive distribution costs in energy, by device and presentation time.

Trains the network of the study for a data set, converts it, counts in runs of several
presentation times, and prints what `nengo_permadrop.energy` makes of the counts.

    python benchmarks/energy.py --dataset combo-small --draws 100 --observations 10
"""

import argparse

import nengo

import nengo_permadrop as npd
from nengo_permadrop import datasets, models


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--dataset", default="combo-small")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--observations", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--times", nargs="+", type=float, default=[0.12, 0.16, 0.2])
    parser.add_argument("--settle", type=float, default=0.1)
    args = parser.parse_args()

    dataset = datasets.load(args.dataset, seed=args.seed)
    model = models.for_dataset(dataset, seed=args.seed)
    history = models.train_for_dataset(model, dataset, seed=args.seed)
    print(
        f"{args.dataset}, seed {args.seed}: {len(history['loss'])} epochs, test R2 "
        f"{models.r2(model, dataset.test):.3f}"
    )
    with nengo.Network(seed=args.seed):
        conv = npd.Converter(model)
    rows = dataset.test.take(slice(args.observations)).inputs

    estimates = [
        npd.energy(
            conv,
            rows,
            n_draws=args.draws,
            presentation_time=time,
            settle=args.settle,
            seed=args.seed,
            progress=False,
        )
        for time in args.times
    ]
    print(f"\n{estimates[0]}")
    for estimate in estimates[1:]:
        print(f"\n{estimate.presentation_time} s")
        print(estimate.to_frame().loc[["all"]].to_string())
        print(estimate.devices_frame().to_string())
    extrapolated = estimates[0].by_presentation_time(args.times)["loihi"]
    print("\nJoules on Loihi, counted and extrapolated from the first:")
    for estimate, guess in zip(estimates, extrapolated):
        counted = estimate.joules("loihi")
        print(
            f"{estimate.presentation_time:.3f} s  {counted:.4g}  {guess:.4g}  "
            f"({guess / counted - 1:+.1%})"
        )
    print("\nOne run without a reset, draws of a window each:")
    for window in (0.01, 0.02, 0.04, 0.06):
        seconds = args.settle + args.draws * window
        joules = estimates[-1].run_joules("loihi", seconds)
        print(f"window {window} s: {seconds:.2f} s, {joules:.4g} J on Loihi")


if __name__ == "__main__":
    main()
