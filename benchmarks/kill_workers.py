"""
Kill worker processes at random times of sample(), and look at what comes of it.

    python benchmarks/kill_workers.py
    python benchmarks/kill_workers.py --kills 200 --seed 1

Each run samples a small network in `.execution.pool.process_pool`, with a
checkpoint, and one of the pool's processes is killed: before it has started, while it
imports, while it computes, or at the end. Either the samples were done already, or
sample() raises ``BrokenExecutor``; then the run is repeated from its checkpoint,
without a kill. The samples must be those of a run in one process, to the last bit, and
no process may be left. A run that takes longer than ``--limit`` seconds counts as a
hang and ends the program, with a traceback of all threads.
"""

import argparse
import collections
import faulthandler
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from concurrent.futures import BrokenExecutor

import nengo
import numpy as np

import nengo_permadrop as npd
from nengo_permadrop.execution.pool import process_pool


def network():
    """A layer with dropout, its stimulus and what is read."""
    with nengo.Network(seed=0) as net:
        stimulus = nengo.Node(np.zeros(2))
        layer = nengo.Ensemble(20, 1)
        nengo.Connection(stimulus, layer.neurons, transform=np.ones((20, 2)))
        out = nengo.Node(size_in=1)
        weights = np.ones((1, 20)) / 20
        dropout = npd.PermanentDropout((1, 20), weights, rate=0.3)
        nengo.Connection(layer.neurons, out, transform=dropout, synapse=0.005)
    return net, stimulus, out


def kill(executor, delay, rng):
    """Kill one of the pool's processes after a time, if there is one."""
    time.sleep(delay)
    processes = executor.processes()
    if processes:
        victim = processes[rng.randint(len(processes))]
        if victim.is_alive():
            os.kill(victim.pid, signal.SIGKILL)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=120)
    args = parser.parse_args()

    rng = np.random.RandomState(args.seed)
    net, stimulus, out = network()
    X = {stimulus: rng.randn(20, 2)}
    kwargs = dict(output=out, backend="nengo", n_draws=100, progress=False)
    kwargs.update(presentation_time=0.02, settle=0.01)
    expected = npd.sample(net, X, **kwargs).values
    start = time.perf_counter()
    with process_pool(args.workers) as executor:
        npd.sample(net, X, executor=executor, **kwargs)
    usual = time.perf_counter() - start

    outcomes = collections.Counter()
    for _ in range(args.kills):
        faulthandler.dump_traceback_later(args.limit, exit=True)
        with tempfile.TemporaryDirectory() as folder:
            outcomes[one(net, X, folder, usual, rng, args, kwargs, expected)] += 1
        faulthandler.cancel_dump_traceback_later()
    print(f"{args.kills} kills at 0 to {usual:.1f} s: {dict(outcomes)}")


def one(net, X, folder, usual, rng, args, kwargs, expected):
    """One run with a kill; returns what came of it."""
    kwargs = {**kwargs, "checkpoint": folder}
    outcome = "done before"
    try:
        with process_pool(args.workers) as executor:
            killer = threading.Thread(
                target=kill, args=(executor, usual * rng.rand(), rng)
            )
            killer.start()
            try:
                samples = npd.sample(net, X, executor=executor, **kwargs)
            finally:
                killer.join()
    except BrokenExecutor:
        outcome = "BrokenExecutor, resumed"
        samples = npd.sample(net, X, **kwargs)
    assert np.array_equal(samples.values, expected), "other samples"
    deadline = time.monotonic() + 30
    while multiprocessing.active_children():
        assert time.monotonic() < deadline, "processes are left"
        time.sleep(0.01)
    return outcome


if __name__ == "__main__":
    main()
