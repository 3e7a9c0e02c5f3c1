"""
Whether certificates are right: in simulation, and on 30 networks.

In simulation, without networks: pairs of draws whose distributions differ in a known
way, the certificate from these, and the true number of draws at which KS tests see the
difference, counted on tests of fresh observations. Prints, for each kind, the truth,
the median of the predictions and where 90% of them are, and how often the interval
covered the truth.

On networks: small relu and SoftLIF networks, certified from pairs of draws; and, at
100, 300 and 1000 draws of the same rows, how often tests between independent draws of
the spiking network and of Keras do reject. Prints predicted beside seen rates, and the
root mean square of their difference, with what chance alone would make of it. The
tables of docs/agreement.rst are what this writes::

    python benchmarks/certificates.py --output docs/_data
"""

import argparse
import math
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.stats

import nengo_permadrop as npd
from nengo_permadrop.metrics import certificate_of
from nengo_permadrop.metrics.ks import critical_height, ks_heights
from nengo_permadrop.samples.samples import PredictiveSamples

ALPHA = 0.05
DRAWS = (100, 300, 1000)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    option = parser.add_argument
    option("--sets", type=int, default=200, help="simulated certificates of each kind")
    option("--tests", type=int, default=4000, help="for each rate of the true number")
    option("--networks", type=int, default=30, help="how many of the networks")
    option("--observations", type=int, default=40)
    option("--pairs", type=int, default=200, help="of draws, for a certificate")
    option("--seed", type=int, default=0)
    option("--output", type=Path, metavar="DIR", help="write tables here, as CSV")
    args = parser.parse_args()
    start = time.monotonic()
    tables = {}
    if args.sets:
        tables["certificate_coverage"] = simulated(
            args.sets, args.observations, args.pairs, args.seed, args.tests
        )
    if args.networks:
        found = compared(args.networks, args.observations, args.pairs, args.seed)
        tables["certificate_errors"], tables["certificate_rates"] = found
    for name, table in tables.items():
        print(table.to_string(), end="\n\n")
        if args.output is not None:
            args.output.mkdir(parents=True, exist_ok=True)
            table.to_csv(args.output / f"{name}.csv")
    print(f"{time.monotonic() - start:.0f} s")


# Simulation


def normal(rng, shape):
    return rng.standard_normal(shape)


def skewed(rng, shape):
    return rng.standard_gamma(2.0, shape) / math.sqrt(2) - math.sqrt(2)


def two_peaks(rng, shape):
    """As where one unit decides, which is dropped in 30% of draws."""
    peaks = np.where(rng.random(shape) < 0.3, -1.5, 1.5)
    return (peaks - 0.6 + rng.standard_normal(shape)) / math.sqrt(1 + 2.25 * 0.84)


class Kind(NamedTuple):
    """
    How two samplers differ, from observation to observation.

    Mean and standard deviation, over observations, of the bias (in standard deviations)
    and of the logarithm of the spread; and the part of the draws in which spikes'
    noise is as good as another mask.
    """

    values: object = normal
    bias: tuple = (0.0, 0.0)
    spread: tuple = (0.0, 0.0)
    noise: float = 0.1

    def pairs(self, rng, n_draws, n_observations, paired=True):
        """Draws of the reference and of the other, ``(n_draws, n_observations)``."""
        shape = n_draws, n_observations
        bias, spread = (
            mean + std * rng.standard_normal(n_observations)
            for mean, std in (self.bias, self.spread)
        )
        reference, other = self.values(rng, shape), self.values(rng, shape)
        if paired:
            other = np.where(rng.random(shape) < self.noise, other, reference)
        return reference, bias + np.exp(spread) * other


KINDS = {
    "no difference": Kind(),
    "no difference, two peaks": Kind(two_peaks, noise=0.02),
    "no difference, skewed, independent draws": Kind(skewed, noise=1.0),
    "bias 0.1, the same everywhere": Kind(bias=(0.1, 0.0)),
    "bias 0.2, of either sign, skewed": Kind(skewed, bias=(0.0, 0.2), noise=0.02),
    "bias 0.05, of either sign": Kind(bias=(0.0, 0.05), noise=0.02),
    "bias and spread, two peaks": Kind(two_peaks, (0.1, 0.15), (0.05, 0.05)),
    "spread 1.2": Kind(spread=(0.18, 0.05)),
    "large bias, two peaks": Kind(two_peaks, (0.5, 0.5), (0.0, 0.2)),
    "bias 0.2, independent draws": Kind(bias=(0.2, 0.1), noise=1.0),
}


def simulated(n_sets, n_observations, n_pairs, seed, n_tests=4000):
    """A row of the table for each kind."""
    rows = {}
    for number, (name, kind) in enumerate(KINDS.items()):
        rng = np.random.default_rng([seed, number])
        truth = true_number(kind, rng, n_tests=n_tests)
        found = [
            certified(kind, rng, n_pairs, n_observations, seed=i) for i in range(n_sets)
        ]
        n_draws = np.array([each.n_draws for each in found])
        low, high = np.array([each.interval for each in found]).T
        rows[name] = {
            "seen at": shown(truth),
            "predicted (median)": shown(np.quantile(n_draws, 0.5, method="lower")),
            "from": shown(np.quantile(n_draws, 0.05, method="lower")),
            "to": shown(np.quantile(n_draws, 0.95, method="higher")),
            "in the interval": f"{np.mean((low <= truth) & (truth <= high)):.1%}",
            "below it": f"{np.mean(truth < low):.1%}",
            "above it": f"{np.mean(truth > high):.1%}",
        }
        print(name, rows[name], flush=True)
    return pd.DataFrame(rows.values(), index=pd.Index(rows, name="difference"))


def certified(kind, rng, n_pairs, n_observations, seed=0):
    """A certificate from some simulated pairs."""
    sets = kind.pairs(rng, n_pairs, n_observations)
    classical, spiking = (PredictiveSamples(values[..., np.newaxis]) for values in sets)
    return certificate_of(spiking, classical, seed=seed)


def true_number(kind, rng, power=0.5, n_tests=4000):
    """The number of draws at which tests of a kind reject so often, by counting."""

    def rate(n_draws, n_tests):
        at_once = max(1, 2_000_000 // n_draws)
        rejected = 0
        for first in range(0, n_tests, at_once):
            n = min(at_once, n_tests - first)
            heights, _ = ks_heights(*kind.pairs(rng, n_draws, n, paired=False))
            rejected += np.count_nonzero(heights >= critical_height(n_draws, ALPHA)[0])
        return rejected / n_tests

    below, above = 5, 10_000
    if rate(above, n_tests // 4) < power:
        return math.inf
    while above > 1.3 * below:
        middle = int(math.sqrt(below * above))
        if rate(middle, n_tests // 4) < power:
            below = middle
        else:
            above = middle
    # a line through rates about there, which chance moves less than any one of them
    n_draws = np.unique(np.geomspace(below / 1.25, above * 1.25, 10).astype(int))
    rates = np.clip([rate(n, n_tests) for n in n_draws], 0.01, 0.99)
    line = np.polyfit(scipy.stats.norm.ppf(rates), np.log(n_draws), 1)
    return float(np.exp(np.polyval(line, scipy.stats.norm.ppf(power))))


# Networks

DATASETS = ("diabetes", "breast cancer", "wine", "digits", "friedman")
SIZES = ((48,), (64, 64), (48, 48, 48), (40,) * 5)
RATES = (50.0, 100.0, 200.0, 400.0)
SETTLED = {"presentation_time": None, "settle": None}
SHORT = {"presentation_time": 0.05, "settle": 0.03}


def settings(n_networks):
    """What the networks are: data, activation, sizes, rate and times of each."""
    for number in range(n_networks):
        activation = "softlif" if number % 3 == 2 else "relu"
        yield {
            "data": DATASETS[number % len(DATASETS)],
            "activation": activation,
            "sizes": SIZES[(number // 2) % len(SIZES)],
            "rate": RATES[number % len(RATES)] if activation == "relu" else None,
            "times": SHORT if number % 7 in (3, 6) else SETTLED,
        }


def rows_of(name):
    """Standardised inputs and targets, ``(n, ...)``."""
    from sklearn import datasets

    if name == "friedman":
        X, y = datasets.make_friedman1(400, noise=1.0, random_state=0)
    else:
        load = getattr(datasets, f"load_{name.replace(' ', '_')}")
        X, y = load(return_X_y=True)
    if name == "digits":
        y = np.eye(10)[y]
    else:
        y = ((y - y.mean()) / y.std())[:, np.newaxis]
    order = np.random.default_rng(0).permutation(len(X))
    X = (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-9)
    return X[order].astype(np.float32), y[order].astype(np.float32)


def trained(data, activation, sizes, seed):
    """A Keras network with dropout after each layer."""
    from nengo_permadrop.keras_layers import PermanentDropout, SoftLIF
    from nengo_permadrop.sources.keras.layers import keras

    keras.utils.set_random_seed(seed)
    X, y = data
    layers = [keras.Input(X.shape[1:])]
    for n_units in sizes:
        layers.append(
            keras.layers.Dense(
                n_units,
                kernel_initializer="he_normal",
                bias_initializer=keras.initializers.Constant(0.2),
            )
        )
        layers.append(SoftLIF() if activation == "softlif" else keras.layers.ReLU())
        layers.append(PermanentDropout(0.15))
    kmodel = keras.Sequential([*layers, keras.layers.Dense(y.shape[1])])
    kmodel.compile(keras.optimizers.Adam(2e-3), "mse")
    kmodel.fit(X, y, epochs=30, batch_size=32, verbose=0)
    return kmodel


def compared(n_networks, n_observations, n_pairs, seed):
    """The errors at each number of draws, and a row for each network."""
    rows, rates = [], []
    for number, setting in enumerate(settings(n_networks)):
        X, y = rows_of(setting["data"])
        data = X[n_observations:], y[n_observations:]
        kmodel = trained(data, setting["activation"], setting["sizes"], seed + number)
        X = X[:n_observations]
        conv = npd.Converter(kmodel, scale_firing_rates=setting["rate"], seed=seed)
        times = setting["times"]
        found = npd.certify(conv, X, n_draws=n_pairs, seed=seed, **times)
        options = {"n_draws": max(DRAWS), "progress": False}
        spiking = npd.sample(conv, X, seed=seed + 1, **times, **options)
        classical = npd.sample(kmodel, X, backend="keras", seed=seed + 2, **options)
        predicted = [found.rejection_rate(n, ALPHA) for n in DRAWS]
        seen = [seen_rate(spiking.values, classical.values, n) for n in DRAWS]
        rates.append([predicted, seen])
        rate, ends = setting["rate"], found.interval
        rows.append(
            {
                "data": setting["data"],
                "layers": " ".join(map(str, setting["sizes"])),
                "neurons": "SoftLIF" if rate is None else f"relu, {rate:.0f} Hz",
                "times": "default" if times is SETTLED else "20 ms",
                "bias (sd)": f"{found.bias:.3f}",
                "spread": f"{found.spread:.3f}",
                "seen at (draws)": shown(found.n_draws),
                "interval": " to ".join(map(shown, ends)),
                **{
                    f"at {n}": f"{p:.0%} / {s:.0%}"
                    for n, p, s in zip(DRAWS, predicted, seen)
                },
            }
        )
        print(number, rows[-1], flush=True)
    table = pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="network"))
    return errors(np.array(rates), n_observations), table


def seen_rate(spiking, classical, n_draws):
    """How often tests between blocks of so many draws reject."""
    return float(
        np.mean(
            [
                npd.ks_agreement(
                    *(
                        values[first : first + n_draws]
                        for values in (spiking, classical)
                    )
                ).rejection_rate(ALPHA)
                for first in range(0, len(spiking) - n_draws + 1, n_draws)
            ]
        )
    )


def errors(rates, n_observations):
    """
    Predicted less seen rates over the networks, in percent points.

    "chance" is the binomial standard deviation of what is seen, were the prediction
    right; outputs of one observation count as one test.
    """
    predicted, seen = rates.transpose(1, 2, 0)
    blocks = np.array([max(DRAWS) // n for n in DRAWS])[:, np.newaxis]
    variance = predicted * (1 - predicted) / (n_observations * blocks)
    off = predicted - seen
    rms, chance = np.sqrt(np.mean(off**2, axis=1)), np.sqrt(variance.mean(axis=1))
    columns = {
        "lowest seen": seen.min(axis=1),
        "highest seen": seen.max(axis=1),
        "mean error": off.mean(axis=1),
        "root mean square error": rms,
        "of that chance": chance,
        "beyond chance": np.sqrt(np.maximum(0, rms**2 - chance**2)),
    }
    return pd.DataFrame(
        {name: [f"{x:.1%}" for x in values] for name, values in columns.items()},
        index=pd.Index(DRAWS, name="draws"),
    )


def shown(n_draws):
    return f"{n_draws:.0f}" if math.isfinite(n_draws) else "> 10000"


if __name__ == "__main__":
    main()
