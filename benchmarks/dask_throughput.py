"""
Time sample() in this process and on 1, 2 and 4 Dask workers, on the batched backend.

    python benchmarks/dask_throughput.py
    python benchmarks/dask_throughput.py --draws 1000 --workers 1 2 4 8

The network has Combo's shape (nine hidden layers of 200 neurons each, twelve of them
simulated, as both drugs have their own). The workers are processes of this machine,
which share its CPUs. The first run on a cluster includes sending the network and
building it; the later ones find both there. CPU time, of all processes together, tells
what a cluster adds to the work, also where other programs use the CPUs.
"""

import argparse
import time

import numpy as np

import nengo_permadrop as npd
from nengo_permadrop.bench.network import BenchNetwork
from nengo_permadrop.execution.cluster import dask_executor
from nengo_permadrop.execution.pool import usable_cpus


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--observations", type=int, default=20)
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    args = parser.parse_args()

    bench = BenchNetwork(n_units=args.units, n_observations=args.observations)
    net = bench.nengo()
    X = dict(zip(net.stimuli, bench.X))
    replicas = args.draws * args.observations

    def cpu_seconds(executor):
        here = time.process_time()
        if executor is None:
            return here
        return here + sum(executor.client.run(time.process_time).values())

    def timed(executor=None):
        cpu, start = cpu_seconds(executor), time.perf_counter()
        samples = npd.sample(
            net,
            X,
            n_draws=args.draws,
            output=net.output,
            executor=executor,
            progress=False,
        )
        seconds = time.perf_counter() - start
        return seconds, cpu_seconds(executor) - cpu, samples.values

    def row(name, executor=None):
        runs = [timed(executor) for _ in range(args.repeats + 1)]
        first, later = runs[0][0], min(run[0] for run in runs[1:])
        cpu = min(run[1] for run in runs[1:])
        values = runs[-1][2]
        same = "same" if np.array_equal(values, expected) else "DIFFERENT"
        print(
            f"{name:14} {first:8.2f} s {later:8.2f} s {replicas / later:10.0f}/s "
            f"{cpu:8.2f} s  {same}",
            flush=True,
        )

    expected = timed()[2]
    print(f"{replicas} replicas, {usable_cpus()} CPUs; best of {args.repeats}")
    print(f"{'':14} {'first':>10} {'later':>10} {'replicas':>12} {'CPU':>10}  samples")
    row("this process")
    for n_workers in args.workers:
        with dask_executor(f"local:{n_workers}") as executor:
            row(f"{n_workers} worker(s)", executor)


if __name__ == "__main__":
    main()
