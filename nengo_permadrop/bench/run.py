"""Running the benchmark: simulators in processes of their own, checked, then timed."""

import multiprocessing
import resource
import sys
import time

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.bench import peers
from nengo_permadrop.bench.network import BenchNetwork
from nengo_permadrop.execution.pool import ignore_interrupt, interrupts_wait

SETTLE = 40  # steps
# Of the test of distributions, for each simulator.
FALSE_ALARM = 1e-3
# Largest difference between simulators with the same masks and voltages, in standard
# deviations over draws: rounding moves a few spikes by a step.
TOLERANCE = 0.25


class Disagreement(RuntimeError):
    """A simulator's answers have another distribution than the batched simulator's."""


def run_benchmark(
    n_replicas=2000,
    n_steps=300,
    n_units=200,
    simulators=tuple(peers.PEERS),
    repeats=3,
    log=print,
):
    """
    Time the draws of one network on several simulators.

    Before a simulator's time is printed its answers are compared with those of the
    batched simulator: for nengo.Simulator and NengoDL, with the same seeds, number by
    number; for others, by two-sample Kolmogorov-Smirnov tests per observation (with a
    false-alarm rate of 0.1% for all observations together).

    Parameters
    ----------
    n_replicas, n_steps : int, optional
        What is simulated. nengo.Simulator and NengoDL simulate a part of the replicas;
        their seconds are scaled up (column ``replicas``).
    n_units : int, optional
        Neurons of each of the 12 layers.
    simulators : tuple of str, optional
        Of ``nengo_permadrop.bench.peers.PEERS``; "batched" is always among them.
    repeats : int, optional
        Timed runs after a first one; the least time counts.
    log : callable, optional
        Takes lines of text.

    Returns
    -------
    results : list of dict
        ``simulator, seconds, cpu_seconds, ratio, replicas, peak_gb, check``, one per
        simulator: seconds of all replicas, and of the processors together (which other
        work on the machine changes less); ratio of the seconds to the batched
        simulator's; peak memory of the process, in GB.

    Raises
    ------
    Disagreement
        If a simulator's answers differ.
    ImportError
        If a simulator isn't installed.
    nengo.exceptions.ValidationError
        If there is no such simulator, or nothing is left to average after settling.
    """
    unknown = set(simulators) - set(peers.PEERS)
    if unknown:
        raise ValidationError(
            f"no simulator {', '.join(sorted(unknown))}; there are "
            f"{', '.join(peers.PEERS)}",
            attr="simulators",
        )
    if n_steps <= SETTLE:
        raise ValidationError(
            f"must be more than {SETTLE}, got {n_steps}", attr="n_steps"
        )
    missing = sorted(set(simulators) - set(peers.installed_peers()))
    if missing:  # before others have been timed
        raise ImportError(
            f"not installed: {', '.join(missing)}; leave them out, or install them"
        )
    work = {"n_units": n_units, "n_steps": n_steps, "repeats": repeats}
    log(f"{n_replicas} replicas of 12 x {n_units} neurons, {n_steps} steps")
    log(f"{'simulator':14}{'seconds':>10}{'CPU':>10}{'ratio':>8}{'peak GB':>9}  check")
    results, reference = [], None
    asked = [peers.PEERS[name] for name in simulators]
    for peer in dict.fromkeys([peers.REFERENCE, *asked]):
        replicas = max(2, int(round(n_replicas * peer.share)))
        seconds, cpu, answers, peak = _in_process(
            peer.name, n_replicas=replicas, **work
        )
        seconds, cpu = (value * n_replicas / replicas for value in (seconds, cpu))
        if reference is None:
            reference, base, check = answers, seconds, "reference"
        else:
            check = _check(peer, answers, reference)
        results.append(
            {
                "simulator": peer.name,
                "seconds": seconds,
                "cpu_seconds": cpu,
                "ratio": seconds / base,
                "replicas": replicas,
                "peak_gb": peak,
                "check": check,
            }
        )
        log(
            f"{peer.name:14}{seconds:10.2f}{cpu:10.2f}{seconds / base:8.1f}"
            f"{peak:9.2f}  {check}"
        )
    return results


def growth(n_replicas=2000, n_steps=300, n_units=200, repeats=3, log=print):
    """
    How the batched simulator's time grows with replicas, steps and units.

    Parameters
    ----------
    n_replicas, n_steps, n_units, repeats : int, optional
        The largest of each.
    log : callable, optional

    Returns
    -------
    results : list of dict
        ``n_replicas, n_steps, n_units, seconds, nanoseconds`` (a neuron and step),
        ``peak_gb``.
    """
    log(f"{'replicas':>9}{'steps':>7}{'units':>7}{'seconds':>9}{'ns':>7}{'peak GB':>9}")
    results = []
    full = (n_replicas, n_steps, n_units)
    for case in dict.fromkeys(
        [
            (n_replicas // 4, n_steps, n_units),
            (n_replicas // 2, n_steps, n_units),
            (n_replicas, n_steps // 4, n_units),
            (n_replicas, n_steps // 2, n_units),
            (n_replicas, n_steps, n_units // 4),
            (n_replicas, n_steps, n_units // 2),
            full,
        ]
    ):
        replicas, steps, units = case
        seconds, _, _, peak = _in_process(
            peers.REFERENCE.name,
            n_replicas=replicas,
            n_steps=steps,
            n_units=units,
            repeats=repeats,
        )
        nanoseconds = seconds / (replicas * steps * units * 12) * 1e9
        names = ("n_replicas", "n_steps", "n_units")
        results.append(
            {
                **dict(zip(names, case)),
                "seconds": seconds,
                "nanoseconds": nanoseconds,
                "peak_gb": peak,
            }
        )
        log(
            f"{replicas:9}{steps:7}{units:7}{seconds:9.2f}{nanoseconds:7.2f}{peak:9.2f}"
        )
    return results


def _check(peer, answers, reference):
    """Raise if a simulator's answers are not the reference's; returns what was done."""
    spread = reference.std()
    if peer.seeded:
        expected = reference[: len(answers)]
        error = np.abs(answers - expected).max() / spread
        if not error < TOLERANCE:
            raise Disagreement(
                f"{peer.name}: the same draws differ by {error:.2f} of their SD"
            )
        return f"same draws, within {error:.3f} SD"
    from scipy.stats import ks_2samp

    observations = BenchNetwork().replicas(len(reference))
    pvalues = [
        ks_2samp(answers[observations == i], reference[observations == i]).pvalue
        for i in np.unique(observations)
    ]
    lowest = min(pvalues) * len(pvalues)
    if lowest < FALSE_ALARM:
        raise Disagreement(f"{peer.name}: another distribution (p = {lowest:.2g})")
    return f"same distribution, p = {min(lowest, 1):.2f}"


def _in_process(name, **work):
    """Seconds, of processors too, answers, and peak GB of a simulator in a process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(sender, name), kwargs=work)
    with interrupts_wait():
        process.start()
    sender.close()
    try:
        outcome = receiver.recv()
    except EOFError:
        process.join()
        outcome = RuntimeError(f"{name}: its process ended with {process.exitcode}")
    except BaseException:  # Ctrl-C
        process.terminate()
        raise
    finally:
        process.join()
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _measure(sender, name, n_replicas, n_steps, n_units, repeats):
    ignore_interrupt()
    try:
        make, bench = peers.PEERS[name].make, BenchNetwork(n_units=n_units)
        with make(bench, n_replicas, n_steps, SETTLE) as run:
            answers = run()  # compiles, warms up
            seconds = cpu_seconds = np.inf
            for _ in range(repeats):
                start, cpu_start = time.perf_counter(), time.process_time()
                run()
                seconds = min(seconds, time.perf_counter() - start)
                cpu_seconds = min(cpu_seconds, time.process_time() - cpu_start)
        unit = 2**30 if sys.platform == "darwin" else 2**20
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        sender.send((seconds, cpu_seconds, answers, peak))
    except ImportError as error:
        sender.send(error)
    except Exception as error:  # of a type that may not survive the way back
        sender.send(RuntimeError(f"{name}: {type(error).__name__}: {error}"))
