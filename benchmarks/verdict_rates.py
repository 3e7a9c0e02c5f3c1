"""
How often the verdict on two sets of samples errs, by simulation.

False alarms: both sets are from one distribution, and the verdict is that they do not
agree. Power: one observation of a hundred is wrong, by some standard deviations or in
another way, and the verdict finds it. Rates are given with their standard errors::

    python benchmarks/verdict_rates.py --sets 4000
"""

import argparse
import math
import time

import numpy as np

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
    args = parser.parse_args()
    start = time.monotonic()

    print(f"False alarms, {args.draws} draws a side, {args.sets} pairs of sets each:")
    print(f"{'':34s}" + "".join(f"{n:>15d}" for n in args.observations))
    for kind in KINDS:
        found = [
            false_alarms(kind, n, args.draws, args.sets, args.seed)
            for n in args.observations
        ]
        print(f"{kind:34s}" + "".join(f"{shown(*each):>15s}" for each in found))

    print(f"\nPower for one wrong observation in 100, {args.draws} draws a side:")
    n_sets = max(1, args.sets // 4)
    for shift in SHIFTS:
        found = power(shifted(shift), args.draws, n_sets, args.seed)
        print(f"{f'off by {shift:g} sd':34s}{shown(*found):>15s}")
    for factor in (0.25, 0.5, 2.0, 4.0):
        found = power(scaled(factor), args.draws, n_sets, args.seed)
        print(f"{f'spread times {factor:g}':34s}{shown(*found):>15s}")
    for distance in (1.0, 1.5, 2.0):
        found = power(swapped(distance), args.draws, n_sets, args.seed, n_outputs=2)
        words = f"two outputs swapped, {distance:g} sd apart"
        print(f"{words:34s}{shown(*found):>15s}")
    print(f"{time.monotonic() - start:.0f} s")


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
    rate, standard_error : float
    """
    rng = np.random.default_rng([seed, n_observations])
    shape = (2, n_draws, n_observations)
    pairs = (KINDS[kind](rng, shape) for _ in range(n_sets))
    return rate(
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
    rate, standard_error : float
    """
    rng = np.random.default_rng([seed, n_observations])
    found = []
    for i in range(n_sets):
        a, b = rng.normal(size=(2, n_draws, n_observations, n_outputs))
        spoil(a, b)
        found.append(not ks_agreement(a, b, seed=i).verdict())
    return rate(found)


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


def rate(found):
    """The fraction of true ones, and its standard error."""
    fraction = float(np.mean(found))
    return fraction, math.sqrt(fraction * (1 - fraction) / len(found))


def shown(fraction, error):
    return f"{fraction:.2%} ± {error:.2%}"


if __name__ == "__main__":
    main()
