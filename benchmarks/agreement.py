"""
Do the spiking networks agree with the classical ones, over several seeds?

Runs the study for each data set and seed and prints, one line per study, the rejection
rate and uniformity of the spiking network beside those of the control. The criterion is
that of the study: a rejection rate at 0.05 of at most 0.10 and uniformity p >= 0.01;
samples of one distribution miss the second in 1% of studies.

    python benchmarks/agreement.py --datasets diabetes combo-small --seeds 0 1 2 3 4

A study that is finished (its agreement.json is in the output folder) is not run again.
"""

import argparse
import json
from pathlib import Path

from nengo_permadrop.study import study

COLUMNS = "{:<12} {:>4} {:>8} {:>9} {:>9} {:>11} {:>11} {:>7} {:>7}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--datasets", nargs="+", default=["diabetes", "combo-small"])
    parser.add_argument("--seeds", nargs="+", type=int, default=range(5))
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--observations", type=int, default=50)
    parser.add_argument("--backend", default="batched")
    parser.add_argument("-o", "--output", default="study-agreement")
    args = parser.parse_args()

    print(
        COLUMNS.format(
            "data set",
            "seed",
            "verdict",
            "rejected",
            "control",
            "uniformity",
            "control",
            "bias/sd",
            "seconds",
        )
    )
    for dataset in args.datasets:
        agreeing = 0
        for seed in args.seeds:
            folder = Path(args.output) / f"{dataset}-{args.backend}-{seed}"
            if not (folder / "agreement.json").exists():
                study(
                    dataset,
                    n_draws=args.draws,
                    observations=args.observations,
                    backend=args.backend,
                    seed=seed,
                    output=folder,
                    progress=False,
                )
            found = json.loads((folder / "agreement.json").read_text())
            agreeing += print_line(dataset, seed, found)
        print(f"{dataset}: {agreeing} of {len(args.seeds)} agree", flush=True)


def print_line(dataset, seed, found):
    """Print what one study found; return whether the networks agree."""
    rejected, uniformity = found["rejection_rate"], found["uniformity"]
    print(
        COLUMNS.format(
            dataset,
            seed,
            "agree" if found["agree"] else "differ",
            f"{rejected['spiking']:.3f}",
            f"{rejected['control']:.3f}",
            f"{uniformity['spiking']['pvalue']:.3g}",
            f"{uniformity['control']['pvalue']:.3g}",
            f"{found['bias']['spiking']:.3f}",
            f"{sum(found['times'].values()):.0f}",
        ),
        flush=True,
    )
    return found["agree"]


if __name__ == "__main__":
    main()
