"""
Do annealed and calibrated spiking networks agree at 1000 draws, over several seeds?

Runs the study for each data set and seed, at presentations of 200 ms, and prints a line
a study: rejection rate and uniformity of the spiking network beside those of the
control, bias (root mean square over observations, in standard deviations) and spread.
The criterion is a rejection rate at 0.05 of at most 0.08 and uniformity p >= 0.01.

    python benchmarks/fidelity.py --datasets diabetes digits --seeds 0 1 2 3 4

``--anneal 0`` leaves gamma as it was trained with, ``--no-calibrate`` leaves the
spiking network as it was converted. On Loihi's emulator, which takes its time, with
fewer draws and shorter presentations (networks that are trained with Loihi's curve have
no tail that annealing could take):

    python benchmarks/fidelity.py --backend nengo_loihi --anneal 0 --draws 100 \\
        --presentation-time 0.12 --settle 0.06

A study that is finished (its agreement.json is in the output folder) is not run again.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import nengo_permadrop as npd
from nengo_permadrop.study import study

MOST_REJECTED, LEAST_UNIFORMITY = 0.08, 0.01
HEADINGS = (
    "data set",
    "seed",
    "verdict",
    "rejected",
    "control",
    "uniformity",
    "control",
    "bias",
    "control",
    "spread",
    "r2 test",
)
COLUMNS = "{:<12} {:>4} {:>8} {:>8} {:>8} {:>10} {:>10} {:>6} {:>8} {:>7} {:>8}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    option = parser.add_argument
    option("--datasets", nargs="+", default=["diabetes", "digits", "combo-small"])
    option("--seeds", nargs="+", type=int, default=range(5))
    option("--backend", default="batched")
    option("--workers", type=int, help="processes, on backends that take a draw each")
    option("--draws", type=int, default=1000)
    option("--observations", type=int, default=50)
    option("--presentation-time", type=float, default=0.2)
    option("--settle", type=float, default=0.1)
    option("--synapse", type=float, metavar="SECONDS", help="of Lowpass synapses")
    option("--anneal", type=float, default=0.002, metavar="GAMMA")
    option("--no-calibrate", dest="calibrate", action="store_false")
    option("-o", "--output", default="study-fidelity")
    args = parser.parse_args()

    options = {
        "backend": args.backend,
        "n_draws": args.draws,
        "observations": args.observations,
        "presentation_time": args.presentation_time,
        "settle": args.settle,
        "synapse": args.synapse,
        "anneal": args.anneal or None,
        "calibrate": args.calibrate,
    }
    print(", ".join(f"{name}: {value}" for name, value in options.items()))
    print(COLUMNS.format(*HEADINGS))
    for dataset in args.datasets:
        agreeing = 0
        for seed in args.seeds:
            kind = f"{args.anneal:g}-{'calibrated' if args.calibrate else 'converted'}"
            if args.synapse is not None:
                kind += f"-synapse{args.synapse:g}"
            folder = Path(args.output) / args.backend / f"{dataset}-{kind}-{seed}"
            if not (folder / "agreement.json").exists():
                study(
                    dataset,
                    seed=seed,
                    output=folder,
                    workers=args.workers,
                    progress=False,
                    **options,
                )
            agreeing += print_line(dataset, seed, folder)
        print(f"{dataset}: {agreeing} of {len(args.seeds)} agree", flush=True)


def print_line(dataset, seed, folder):
    """Print what one study found; return whether it meets the criterion."""
    found = json.loads((folder / "agreement.json").read_text())
    samples = {
        name: npd.load_samples(folder / f"samples_{name}.npz")
        for name in ("spiking", "classical", "control")
    }
    classical = samples["classical"]
    bias = {
        name: np.sqrt(
            np.mean(((each.mean() - classical.mean()) / classical.std()) ** 2)
        )
        for name, each in samples.items()
    }
    rejected, uniformity = found["rejection_rate"], found["uniformity"]
    agree = (
        rejected["spiking"] <= MOST_REJECTED
        and uniformity["spiking"]["pvalue"] >= LEAST_UNIFORMITY
    )
    print(
        COLUMNS.format(
            dataset,
            seed,
            "agree" if agree else "differ",
            f"{rejected['spiking']:.3f}",
            f"{rejected['control']:.3f}",
            f"{uniformity['spiking']['pvalue']:.3g}",
            f"{uniformity['control']['pvalue']:.3g}",
            f"{bias['spiking']:.3f}",
            f"{bias['control']:.3f}",
            f"{found['spread']['spiking']:.3f}",
            f"{found['r2']['test']:.3f}",
        ),
        flush=True,
    )
    return agree


if __name__ == "__main__":
    main()
