"""
Time the batched simulator and its peers on one network.

    python benchmarks/simulators.py                  # all, at the size of combo-small
    python benchmarks/simulators.py --only batched nengo --replicas 200
    python benchmarks/simulators.py --growth         # time with replicas, steps, units
    python benchmarks/simulators.py --full           # Combo's full size, batched only

snnTorch and SpikingJelly come with ``pip install 'nengo-permadrop[bench]'``, NengoDL
with ``nengo-permadrop[dl]``.
"""

import argparse
import resource
import time

import numpy as np

from nengo_permadrop.bench import peers
from nengo_permadrop.bench.network import BenchNetwork
from nengo_permadrop.bench.run import growth, run_benchmark


def full_size(n_draws, n_observations=100, n_steps=100):
    """Combo at its full size: seconds and peak memory, from the built network on."""
    sizes = {"n_units": 1000, "size_in": (942, 3820, 3820)}
    bench = BenchNetwork(n_observations=n_observations, **sizes)
    start = time.perf_counter()
    with peers.batched(bench, n_draws * n_observations, n_steps, settle=40) as run:
        built = time.perf_counter()
        answers = run()
        seconds = time.perf_counter() - built
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    assert np.all(np.isfinite(answers))
    print(
        f"{n_draws} draws x {n_observations} observations, {n_steps} steps, 12 x 1000 "
        f"neurons: build {built - start:.1f} s, simulation {seconds:.1f} s, peak "
        f"{peak:.2f} GB"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--replicas", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=list(peers.PEERS))
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--draws", type=int, default=100, help="with --full")
    args = parser.parse_args()
    if args.full:
        full_size(args.draws)
    elif args.growth:
        growth(args.replicas, args.steps, args.units, args.repeats)
    else:
        run_benchmark(
            args.replicas, args.steps, args.units, tuple(args.only), args.repeats
        )


if __name__ == "__main__":
    main()
