"""
Does the network on Loihi's emulator agree with the classical one?

Trains the study's network for a data set with Loihi's tuning curve, converts it, draws
from it on the emulator, and compares the distributions with those of the classical
network, beside a control of the classical network with itself. The criterion is that of
the study: a rejection rate at 0.05 of at most 0.10 and uniformity p >= 0.01.

    python benchmarks/loihi_agreement.py combo-small --workers 2

The trained model and the samples of the emulator are kept in the output folder, and are
not made again.
"""

import argparse
from pathlib import Path

import nengo
import numpy as np

import nengo_permadrop as npd
from nengo_permadrop import datasets, models
from nengo_permadrop.execution.pool import process_pool
from nengo_permadrop.sources.keras.loading import load_model


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("dataset", choices=datasets.names())
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--observations", type=int, default=50)
    parser.add_argument(
        "--synapse", type=float, help="seconds; the converter's default"
    )
    parser.add_argument("--presentation-time", type=float, default=0.15)
    parser.add_argument("--settle", type=float, help="the converter's settling time")
    parser.add_argument("--trained-for", choices=("nengo", "loihi"), default="loihi")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("-o", "--output", default="loihi-agreement")
    args = parser.parse_args()

    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    dataset = datasets.load(args.dataset, seed=args.seed)
    model = trained(dataset, args, folder)
    X = dataset.test.take(slice(args.observations)).inputs
    with nengo.Network(seed=0):
        conv = npd.Converter(model, target="loihi", synapse=args.synapse)
    conv.verify({name: x[:5] for name, x in X.items()})
    settle = conv.settling_time if args.settle is None else args.settle
    print(npd.loihi.resources(conv, X), flush=True)

    name = "-".join(
        str(part)
        for part in (
            args.dataset,
            args.trained_for,
            f"{args.draws}x{args.observations}",
            f"synapse{conv.synapse.tau:g}",
            f"read{settle:.3f}to{args.presentation_time:g}",
            args.seed,
        )
    )
    path = folder / f"{name}.npz"
    if path.exists():
        spiking = npd.load_samples(path)
    else:
        with process_pool(args.workers) as executor:
            spiking = npd.sample(
                conv,
                X,
                n_draws=args.draws,
                backend="nengo_loihi",
                presentation_time=args.presentation_time,
                settle=settle,
                seed=args.seed,
                executor=executor,
            )
        spiking.save(path)
    classical, control = (
        npd.sample(
            model, X, n_draws=args.draws, backend="keras", seed=seed, progress=False
        )
        for seed in (args.seed + 1, args.seed + 2)
    )
    print(f"{name}, {spiking.meta['seconds']:.0f} s on the emulator")
    for what, samples in (("Loihi", spiking), ("control", control)):
        report(what, samples, classical)


def trained(dataset, args, folder):
    """The classical network, from the output folder if it is there."""
    path = folder / f"{args.dataset}-{args.trained_for}-{args.seed}.h5"
    if path.exists():
        return load_model(path)
    model = models.for_dataset(dataset, seed=args.seed, target=args.trained_for)
    models.train_for_dataset(model, dataset, seed=args.seed)
    print(f"R2 {models.r2(model, dataset.test):.3f} on the test rows", flush=True)
    model.save(path)
    return model


def report(what, samples, classical):
    """Print how two sets of samples agree."""
    agreement = npd.ks_agreement(samples, classical, seed=0)
    z = (samples.mean() - classical.mean()) / classical.std()
    spread = np.exp(np.mean(np.log(samples.std() / classical.std())))
    print(
        f"{what:>8}: rejected {agreement.rejection_rate():.3f}, uniformity p "
        f"{agreement.uniformity.pvalue:.3g}, bias {z.mean():.3f} and rms difference of "
        f"means {np.sqrt(np.mean(z**2)):.3f} standard deviations, spread {spread:.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
