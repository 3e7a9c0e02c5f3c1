"""
Do converted networks agree with nothing but defaults, and after a calibration?

Five measurements, each a table:

``--part default``: twenty networks as people have them (five data sets, two depths,
relu and SoftLIF), converted and sampled with defaults, 100 draws of 60 observations.

``--part calibrated``: the networks of the study, relu and SoftLIF, five training seeds
each, calibrated on up to 1500 rows without targets, 1000 draws of 50 other
observations, presentations of 0.2 s. relu: firing rates from rows, twice the default,
currents calibrated. SoftLIF: a first layer of exactly its activation's rates, weights
fitted.

``--part short``: combo-small with presentations of 0.08 s, 100 draws of 50
observations, beside the default; ``spikes`` is for a presentation.

``--part tuned``: the same networks, tuned on 200 validation rows for ``--draws`` draws
of 50 other observations, beside what a draw costs by default.

``--part tail``: what each way is worth that brings LIF neurons nearer to the SoftLIF
that was trained, which answers a little below the threshold, where LIF neurons are
silent: networks of the study, converted in these ways, 200 draws of 40 observations,
presentations of 0.2 s. Noise is how far single draws are from the classical ones of the
same masks, in standard deviations.

The classical network's draws against others of its own are the control. Bias is the
root mean square over observations and outputs of the mean difference between draws with
the same masks, in standard deviations, without what the noise of the draws adds.

    python benchmarks/conversion.py --part default --output docs/_data

With ``--output`` the table is written there as CSV, a line at a time, and lines that
are in it already are not measured again.
"""

import argparse
import csv
import itertools
import sys
import time
import warnings
from pathlib import Path

import nengo
import numpy as np

import nengo_permadrop as npd
from nengo_permadrop.converter.meanfield.model import MeanField
from nengo_permadrop.converter.timing import presentation_times
from nengo_permadrop.metrics.differences import Differences
from nengo_permadrop.models import for_dataset, train_for_dataset
from nengo_permadrop.neurons.spiking_twins import exact_spiking, register_spiking
from nengo_permadrop.sampling.pairs import classical_samples, paired_samples
from nengo_permadrop.support.inputs import match_inputs
from nengo_permadrop.targets.base import Target
from nengo_permadrop.targets.registry import register_target

TIMES = {"presentation_time": 0.2, "settle": 0.1}  # seconds; not of the defaults
COLUMNS = {
    "default": "data,layers,activation,rejected,control,bias (sd),spread,warned",
    "calibrated": "data,activation,seed,rejected,control,uniformity p,control p,"
    "bias (sd),spread",
    "tail": "data,way,bias (sd),spread,noise (sd)",
    "tuned": "data,activation,seed,draws,default spikes,spikes,times (s),synapse,rates,"
    "method,predicted,rejected,control,uniformity p,bias (sd),spread",
    "short": "seed,times (s),synapse,spikes,rejected,control,bias (sd),spread,verdict",
}
SETS = ("friedman", "raw targets", "diabetes", "digits", "breast cancer")
DEPTHS = {2: (110, 0.15), 5: (64, 0.1)}  # units and dropout rate


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    option = parser.add_argument
    option("--part", choices=COLUMNS, required=True)
    option("--seeds", nargs="+", type=int, default=range(5), help="of training")
    option("--datasets", nargs="+", default=["diabetes", "digits", "combo-small"])
    option("--activations", nargs="+", default=["relu", "softlif"])
    option("--draws", type=int, default=1000, help="of parts calibrated and tuned")
    option("--rows", type=int, default=1500, help="that weights are fitted on")
    option("--output", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    columns = COLUMNS[args.part].split(",")
    table = Table(columns, args.output, f"conversion_{args.part}.csv")
    start = time.perf_counter()
    parts = {"default": default, "calibrated": calibrated, "tuned": tuned}
    parts.update(short=short, tail=tail)
    parts[args.part](args, table)
    print(f"{time.perf_counter() - start:.0f} s")


class Table:
    """Prints lines, and writes those that are new to a file."""

    def __init__(self, columns, folder, name):
        self.columns = columns
        self.path = None if folder is None else folder / name
        self.known = set()
        if self.path is not None and self.path.exists():
            with self.path.open(newline="") as file:
                rows = list(csv.reader(file))[1:]
            self.known = {tuple(row) for row in rows}
        elif self.path is not None:
            self._write(columns)
        print("  ".join(columns))

    def has(self, *key):
        """Whether a line begins with these."""
        key = tuple(map(str, key))
        return any(row[: len(key)] == key for row in self.known)

    def add(self, *row):
        """Print a line, and write it."""
        print("  ".join(map(str, row)), flush=True)
        if self.path is not None:
            self._write(row)

    def _write(self, row):
        with self.path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row)


def problem(name, seed=0):
    """Standardised inputs, and targets, of a data set; rows in random order."""
    from sklearn import datasets
    from sklearn.preprocessing import StandardScaler

    if name == "friedman":
        X, y = datasets.make_friedman1(900, random_state=seed)
    elif name == "raw targets":
        X, y = datasets.make_friedman2(900, random_state=seed)
    else:
        load = getattr(datasets, f"load_{name.replace(' ', '_')}")
        X, y = load(return_X_y=True)
    order = np.random.RandomState(seed).permutation(len(X))
    X = StandardScaler().fit_transform(X)[order].astype("float32")
    y = y[order].astype("float32")[:, np.newaxis]
    return X, y if name == "raw targets" else (y - y.mean()) / y.std()


def network(n_inputs, depth, activation):
    """Keras layers with their own defaults, as most people write them."""

    from nengo_permadrop.keras_layers import SoftLIF, keras

    units, rate = DEPTHS[depth]
    x = inputs = keras.Input((n_inputs,))
    for _ in range(depth):
        if activation == "relu":
            x = keras.layers.Dense(units, activation="relu")(x)
        else:
            x = SoftLIF()(keras.layers.Dense(units, "linear", True, "he_normal")(x))
        x = keras.layers.Dropout(rate)(x)
    return keras.Model(inputs, keras.layers.Dense(1)(x))


def default(args, table):
    """Twenty networks, with defaults."""
    from nengo_permadrop.keras_layers import keras

    missed = 0
    for name in SETS:
        for depth in DEPTHS:
            for activation in args.activations:
                if table.has(name, depth, activation):
                    continue
                keras.utils.set_random_seed(1)
                X, y = problem(name)
                if name == "raw targets" and activation == "softlif":
                    y = (y - y.mean()) / y.std()  # such a network doesn't learn them
                kmodel = network(X.shape[1], depth, activation)
                kmodel.compile(keras.optimizers.Adam(2e-3), "mse")
                kmodel.fit(X[:-60], y[:-60], epochs=30, verbose=0)
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    conv = npd.Converter(kmodel, seed=1)
                    spiking = npd.sample(conv, X[-60:], 100, seed=2, progress=False)
                found = compared(conv, kmodel, X[-60:], spiking)
                warned = sum(issubclass(w.category, UserWarning) for w in caught)
                missed += found["rejected"] > 0.10
                table.add(
                    name,
                    depth,
                    activation,
                    f"{found['rejected']:.3f}",
                    f"{found['control']:.3f}",
                    f"{found['bias']:.3f}",
                    f"{found['spread']:.3f}",
                    "yes" if warned else "no",
                )
    print(f"{missed} networks with more than 10% rejected")


def calibrated(args, table):
    """The study's networks, calibrated."""
    for name in args.datasets:
        for activation in args.activations:
            for seed in args.seeds:
                if table.has(name, activation, seed):
                    continue
                kmodel, rows, X = trained(name, activation, seed)
                with nengo.Network(seed=seed):
                    if activation == "relu":
                        rates = npd.Converter(kmodel, X=rows).firing_rates
                        twice = {path: 2 * rate for path, rate in rates.items()}
                        conv = npd.Converter(kmodel, scale_firing_rates=twice)
                        npd.calibrate(conv, first(rows, 200), **TIMES)
                    else:
                        conv = npd.Converter(kmodel, first_layer="exact")
                        own = first(rows, args.rows)
                        npd.calibrate(conv, own, method="weights", **TIMES)
                spiking = npd.sample(
                    conv, X, args.draws, seed=100 + seed, progress=False, **TIMES
                )
                found = compared(conv, kmodel, X, spiking)
                table.add(
                    name,
                    activation,
                    seed,
                    f"{found['rejected']:.3f}",
                    f"{found['control']:.3f}",
                    f"{found['uniformity']:.2g}",
                    f"{found['control uniformity']:.2g}",
                    f"{found['bias']:.4f}",
                    f"{found['spread']:.3f}",
                )


def tuned(args, table):
    """The study's networks with the fewest spikes that agree."""
    for name, activation, seed in itertools.product(
        args.datasets, args.activations, args.seeds
    ):
        if table.has(name, activation, seed, args.draws):
            continue
        kmodel, rows, X = trained(name, activation, seed)
        conv = npd.Converter(kmodel, seed=seed)
        tuning = npd.tune(conv, rows, args.draws, seed=seed)
        spiking = npd.sample(
            tuning.conv, X, args.draws, seed=100 + seed, progress=False, **tuning.times
        )
        found = compared(tuning.conv, kmodel, X, spiking)
        chosen = tuning.table.iloc[tuning.chosen]
        table.add(
            name,
            activation,
            seed,
            args.draws,
            f"{spikes_of(conv, X, presentation_times(conv)[0]):.0f}",
            f"{tuning.spikes:.0f}",
            f"{tuning.presentation_time:g}; from {tuning.settle:g}",
            chosen["synapse"],
            chosen["rates"],
            chosen["calibration"],
            f"{tuning.certificate.rejection_rate(args.draws):.3f}",
            f"{found['rejected']:.3f}",
            f"{found['control']:.3f}",
            f"{found['uniformity']:.2g}",
            f"{found['bias']:.4f}",
            f"{found['spread']:.3f}",
        )


def short(args, table):
    """combo-small in half of the default's time."""
    settings = (
        (nengo.Alpha(0.005), {}),
        (nengo.Alpha(0.003), {"presentation_time": 0.08, "settle": 0.05}),
    )
    for seed in args.seeds:
        kmodel, _, X = trained("combo-small", "softlif", seed)
        for synapse, times in settings:
            with nengo.Network(seed=seed):
                conv = npd.Converter(kmodel, synapse=synapse)
            spiking = npd.sample(conv, X, 100, seed=100 + seed, progress=False, **times)
            shown = spiking.meta["presentation_time"], spiking.meta["settle"]
            words = f"{shown[0]:g}; from {shown[1]:g}"
            if table.has(seed, words):
                continue
            found = compared(conv, kmodel, X, spiking)
            table.add(
                seed,
                words,
                f"Alpha({synapse.tau:g})",
                f"{spikes_of(conv, X, shown[0]):.0f}",
                f"{found['rejected']:.3f}",
                f"{found['control']:.3f}",
                f"{found['bias']:.3f}",
                f"{found['spread']:.3f}",
                "agree" if found["verdict"] else "differ",
            )


def tail(args, table):
    """Ways against SoftLIF's tail."""
    register_target(Regular)
    register_spiking(npd.SoftLIF, target="regular")(exact_spiking)
    for name in args.datasets:
        kmodel, rows, X = trained(name, "softlif", args.seeds[0])
        X = first(X, 40)
        for way, (options, change) in WAYS.items():
            if table.has(name, way):
                continue
            with nengo.Network(seed=0):
                conv = npd.Converter(kmodel, **options)
                if change is not None:
                    change(conv, rows)
            pair = paired_samples(conv, X, 200, seed=1, **TIMES)
            spiking, classical = (samples.values for samples in pair)
            found = Differences(classical, spiking)
            square = np.mean(found.bias**2) - np.mean(found.bias_variance)
            apart = (spiking - classical).std(axis=0) / classical.std(axis=0)
            table.add(
                name,
                way,
                f"{np.sqrt(max(0.0, square)):.3f}",
                f"{np.mean(found.ratio):.3f}",
                f"{np.mean(apart):.2f}",
            )


class Regular(Target):
    """Neurons that spike regularly at exactly their activation's rates, everywhere."""

    name = "regular"

    def spiking_neurons(self, rate_type, driven):
        return exact_spiking(rate_type)


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
    "noise of 0.05 on the currents": ({}, lambda conv, rows: dithered(conv, 0.05)),
    "noise of 0.15 on the currents": ({}, lambda conv, rows: dithered(conv, 0.15)),
}


def first(rows, n):
    """The first n rows of each input."""
    return {name: x[:n] for name, x in rows.items()}


def spikes_of(conv, X, presentation_time):
    """Spikes of a draw, on average, by the mean-field model."""
    model = MeanField(conv)
    inputs = match_inputs(X, conv.graph.input_shapes)
    masks = model.draw_masks(len(inputs[0]), np.random.RandomState(0))
    return model.spikes(model.forward(inputs, masks)) * presentation_time


def trained(name, activation, seed):
    """
    A network of the study, inputs to calibrate on, and 50 test observations.

    The former are up to 1500 of the validation and training rows.
    """
    data = npd.datasets.load(name, seed=seed)
    kmodel = for_dataset(data, seed=seed, activation=activation)
    train_for_dataset(kmodel, data, seed=seed)
    rows = {
        key: np.concatenate([x, data.train.inputs[key]])[:1500]
        for key, x in data.validation.inputs.items()
    }
    return kmodel, rows, data.test.take(slice(50)).inputs


def compared(conv, kmodel, X, spiking):
    """What the spiking draws are, beside the classical network's."""
    seed, n_draws = spiking.seed, spiking.n_draws
    paired = classical_samples(conv, X, n_draws, seed=seed, progress=False)
    classical, control = (
        npd.sample(kmodel, X, n_draws, backend="keras", seed=other, progress=False)
        for other in (seed + 1000, seed + 2000)
    )
    agreement = npd.ks_agreement(spiking, classical, seed=0)
    own = npd.ks_agreement(control, classical, seed=0)
    found = Differences(paired.values, spiking.values)  # the classical one first
    square = np.mean(found.bias**2) - np.mean(found.bias_variance)
    return {
        "rejected": agreement.rejection_rate(),
        "control": own.rejection_rate(),
        "uniformity": agreement.uniformity.pvalue,
        "control uniformity": own.uniformity.pvalue,
        "bias": float(np.sqrt(max(0.0, square))),
        "spread": float(np.mean(found.ratio)),
        "verdict": bool(agreement.verdict()),
    }


if __name__ == "__main__":
    sys.exit(main())
