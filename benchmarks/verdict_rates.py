"""
How often the verdict on two sets of samples errs, by simulation.

False alarms: both sets are from one distribution, and the verdict is that they do not
agree. Power: one observation of a hundred is wrong, by some standard deviations or in
another way, and the verdict finds it. The tables of docs/agreement.rst are what this
writes::

    python benchmarks/verdict_rates.py --sets 4000 --output docs/_data
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from nengo_permadrop import ks_agreement


def normal(n_outputs):
    return lambda rng, shape: rng.normal(size=(*shape, n_outputs))


def poisson(mean):
    return lambda rng, shape: rng.poisson(mean, size=(*shape, 1))


def same(rng, shape):
    return np.repeat(rng.normal(size=(*shape, 1)), 4, axis=-1)


def opposed(rng, shape):
    pair = rng.normal(size=(*shape, 2))
    return np.concatenate([pair, -pair], axis=-1)


# What is drawn from, as a function of a generator and of all axes but the last
KINDS = {
    "one output": normal(1),
    "one output, a few values": poisson(1.0),
    "one output, mostly 0": poisson(0.01),
    "four outputs, independent": normal(4),
    "four outputs, the same": same,
    "four outputs, opposed in pairs": opposed,
}

SHIFTS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 100.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--sets", type=int, default=4000, help="of each line")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--observations", type=int, nargs="+", default=[1, 5, 20, 100])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="write tables here, as CSV"
    )
    args = parser.parse_args()
    start = time.monotonic()
    tables = {
        "verdict_rates": false_alarms_table(
            args.observations, args.draws, args.sets, args.seed
        ),
        "verdict_power": power_table(args.draws, max(1, args.sets // 4), args.seed),
    }
    for name, table in tables.items():
        print(table.to_string(), end="\n\n")
        if args.output is not None:
            args.output.mkdir(parents=True, exist_ok=True)
            table.to_csv(args.output / f"{name}.csv")
    print(f"{time.monotonic() - start:.0f} s")


def false_alarms_table(n_observations, n_draws, n_sets, seed):
    """Rates of false alarms, per kind and number of observations."""
    cells = {
        f"{n} observation{'s' * (n > 1)}": [
            shown(false_alarms(kind, n, n_draws, n_sets, seed)) for kind in KINDS
        ]
        for n in n_observations
    }
    return pd.DataFrame(cells, index=pd.Index(KINDS, name="false alarms"))


def power_table(n_draws, n_sets, seed):
    """How often one wrong observation in 100 is found, one row per way to be wrong."""
    # per way: what spoils the samples, and their number of outputs
    ways = {
        **{f"off by {by:g} sd": (shifted(by), 1) for by in SHIFTS},
        **{f"{by:g} times the spread": (scaled(by), 1) for by in (0.25, 0.5, 2.0, 4.0)},
        **{
            f"two outputs swapped, {by:g} sd apart": (swapped(by), 2)
            for by in (1.0, 1.5, 2.0)
        },
    }
    found = [
        shown(power(spoil, n_draws, n_sets, seed, n_outputs=n_outputs))
        for spoil, n_outputs in ways.values()
    ]
    return pd.DataFrame(
        {"found": found}, index=pd.Index(ways, name="how one of 100 is wrong")
    )


def false_alarms(kind, n_observations, n_draws=100, n_sets=4000, seed=0):
    """
    How often samples of one distribution are said not to agree.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    n_observations, n_draws, n_sets, seed : int

    Returns
    -------
    rate : float
    """
    rng = np.random.default_rng([seed, n_observations])
    shape = (2, n_draws, n_observations)
    pairs = (KINDS[kind](rng, shape) for _ in range(n_sets))
    return np.mean(
        [not ks_agreement(*pair, seed=i).verdict() for i, pair in enumerate(pairs)]
    )


def power(spoil, n_draws=100, n_sets=1000, seed=0, n_observations=100, n_outputs=1):
    """
    How often one wrong observation is found.

    Parameters
    ----------
    spoil : callable
        ``spoil(a, b)`` changes both sets at their first observation.
    n_draws, n_sets, seed, n_observations, n_outputs : int

    Returns
    -------
    rate : float
    """
    rng = np.random.default_rng([seed, n_observations])
    found = []
    for i in range(n_sets):
        a, b = rng.normal(size=(2, n_draws, n_observations, n_outputs))
        spoil(a, b)
        found.append(not ks_agreement(a, b, seed=i).verdict())
    return np.mean(found)


def shifted(shift):
    """The first observation off by so many standard deviations."""

    def spoil(_, b):
        b[:, 0] += shift

    return spoil


def scaled(factor):
    """The first observation with another spread."""

    def spoil(_, b):
        b[:, 0] *= factor

    return spoil


def swapped(distance):
    """The outputs of the first observation in the wrong order."""

    def spoil(a, b):
        a[:, 0, 0] += distance
        b[:, 0, 1] += distance

    return spoil


def shown(rate):
    return f"{rate:.1%}"


if __name__ == "__main__":
    main()
