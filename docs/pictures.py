"""
Draw the pictures of README.rst and of the documentation, from the default study.

::

    nengo-permadrop study && python docs/pictures.py study-diabetes

With ``--single-run single-run/single_run.tsv``, also that of ``docs/single-run.rst``,
from the table that ``benchmarks/single_run.py`` writes.
"""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

import nengo_permadrop as npd
from nengo_permadrop import plots

STATIC = Path(__file__).parent / "_static"


def study_picture(directory):
    """Means, a predictive distribution, and p-values beside their control."""
    spiking, classical, control = (
        npd.load_samples(directory / f"samples_{name}.npz")
        for name in ("spiking", "classical", "control")
    )
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    plots.plot_means(classical, spiking, ax=left)
    plots.plot_ecdfs(spiking, classical, 0, labels=("spiking", "classical"), ax=middle)
    plots.plot_pvalue_histogram(
        npd.ks_agreement(spiking, classical),
        npd.ks_agreement(control, classical),
        labels=("spiking against classical", "classical against itself"),
        ax=right,
    )
    return figure


def softlif_picture():
    """The activation function, and what it is a smooth version of."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    plots.plot_softlif(
        gamma=(0.02, 0.1), current_range=(0.7, 1.5), ax=figure.subplots()
    )
    return figure


def single_run_picture(table):
    """Simulated seconds of 100 effective draws, by data set and way to draw."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots(1, table["dataset"].nunique(), sharey=True, squeeze=False)
    for ax, (name, rows) in zip(axes.flat, table.groupby("dataset", sort=False)):
        colors = ["C0" if way.startswith("restart") else "C1" for way in rows["way"]]
        bars = ax.barh(rows["way"], rows["time_of_effective"], color=colors)
        ax.bar_label(bars, labels=rows["agreeing"] + " agree", padding=3, fontsize=8)
        ax.set_xlim(0, 1.35 * rows["time_of_effective"].max())
        ax.set_title(name)
        ax.set_xlabel("Simulated seconds per observation")
    axes.flat[0].invert_yaxis()
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("study", type=Path, help="folder that the study has written")
    parser.add_argument("--single-run", type=Path, help="table of the benchmark")
    args = parser.parse_args()
    study_picture(args.study).savefig(STATIC / "study.png", dpi=90)
    softlif_picture().savefig(STATIC / "softlif.png", dpi=120)
    if args.single_run is not None:
        table = pd.read_csv(args.single_run, sep="\t")
        single_run_picture(table).savefig(STATIC / "single_run.png", dpi=90)


if __name__ == "__main__":
    main()
