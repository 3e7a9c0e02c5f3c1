"""
What is each way worth that brings LIF neurons nearer to the SoftLIF that was trained?

SoftLIF neurons answer a little below the threshold, where LIF neurons are silent. Each
line is a network of the study, converted in one way, against its classical network with
the same masks: bias (root mean square over observations and outputs, in standard
deviations), spread, and how far single draws are apart (the noise of spikes, sd).
Presentations of 0.2 s, read from 0.1 s on; currents are calibrated on 200 rows, weights
fitted on 1000, the observations are others.

    python benchmarks/softlif_tail.py --datasets digits diabetes --output docs/_data
"""

import argparse
import csv
import sys
import time
from pathlib import Path

import nengo
import numpy as np
from conversion import first, trained

import nengo_permadrop as npd
from nengo_permadrop.metrics.differences import Differences
from nengo_permadrop.neurons.softlif import SoftLIF
from nengo_permadrop.neurons.spiking_twins import exact_spiking, register_spiking
from nengo_permadrop.sampling.pairs import paired_samples
from nengo_permadrop.targets.base import Target
from nengo_permadrop.targets.registry import register_target

COLUMNS = ("data", "way", "bias (sd)", "spread", "noise (sd)")
TIMES = {"presentation_time": 0.2, "settle": 0.1}


@register_target
class Regular(Target):
    """Neurons that spike regularly at exactly their activation's rates, everywhere."""

    name = "regular"

    def spiking_neurons(self, rate_type, driven):
        return exact_spiking(rate_type)


register_spiking(SoftLIF, target="regular")(exact_spiking)


def shifted(conv, by):
    """Thresholds lowered by an input current, after the first layer."""
    for ensemble in conv.all_ensembles[1:]:
        ensemble.bias = ensemble.bias + by


def dithered(conv, std):
    """Noise added to the currents of all layers after the first."""
    for ensemble in conv.all_ensembles[1:]:
        ensemble.noise = nengo.processes.FilteredNoise(
            nengo.Alpha(0.005), nengo.dists.Gaussian(0, std), seed=None
        )


def faster(conv, factor):
    """Time constants of all neurons, divided."""
    for ensemble in conv.all_ensembles:
        own = ensemble.neuron_type
        ensemble.neuron_type = nengo.LIF(
            own.tau_rc / factor, own.tau_ref / factor, amplitude=own.amplitude / factor
        )


EXACT = {"first_layer": "exact"}
WAYS = {
    "as converted": ({}, None),
    "thresholds lower by 0.02": ({}, lambda conv, rows: shifted(conv, 0.02)),
    "noise of 0.05 on the currents": ({}, lambda conv, rows: dithered(conv, 0.05)),
    "noise of 0.15 on the currents": ({}, lambda conv, rows: dithered(conv, 0.15)),
    "time constants halved": ({}, lambda conv, rows: faster(conv, 2)),
    "currents calibrated": (
        {},
        lambda conv, rows: npd.calibrate(conv, first(rows, 200), **TIMES),
    ),
    "weights fitted": (
        {},
        lambda conv, rows: npd.calibrate(conv, rows, method="weights", **TIMES),
    ),
    "exact first layer": (EXACT, None),
    "exact first layer, Alpha(0.003)": ({**EXACT, "synapse": nengo.Alpha(0.003)}, None),
    "exact first layer, currents calibrated": (
        EXACT,
        lambda conv, rows: npd.calibrate(conv, first(rows, 200), **TIMES),
    ),
    "exact first layer, weights fitted": (
        EXACT,
        lambda conv, rows: npd.calibrate(conv, rows, method="weights", **TIMES),
    ),
    "all layers exact (no LIF)": ({"target": "regular"}, None),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    option = parser.add_argument
    option("--datasets", nargs="+", default=["digits", "diabetes"])
    option("--seed", type=int, default=0, help="of training")
    option("--draws", type=int, default=200)
    option("--observations", type=int, default=40)
    option("--output", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    rows_found = [COLUMNS]
    print("  ".join(COLUMNS))
    for name in args.datasets:
        kmodel, rows, X = trained(name, "softlif", args.seed)
        X = {key: x[: args.observations] for key, x in X.items()}
        for way, (options, change) in WAYS.items():
            start = time.perf_counter()
            with nengo.Network(seed=0):
                conv = npd.Converter(kmodel, **options)
                if change is not None:
                    change(conv, rows)
            rows_found.append((name, way, *measured(conv, X, args.draws)))
            print("  ".join(rows_found[-1]), f" {time.perf_counter() - start:.0f} s")
            sys.stdout.flush()
    if args.output is not None:
        with (args.output / "softlif_tail.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows_found)


def measured(conv, X, n_draws):
    spiking, classical = paired_samples(conv, X, n_draws, seed=1, **TIMES)
    found = Differences(classical.values, spiking.values)
    square = np.mean(found.bias**2) - np.mean(found.bias_variance)
    apart = (spiking.values - classical.values).std(axis=0) / classical.std()
    return (
        f"{np.sqrt(max(0.0, square)):.3f}",
        f"{np.mean(found.ratio):.3f}",
        f"{np.mean(apart):.2f}",
    )


if __name__ == "__main__":
    main()
