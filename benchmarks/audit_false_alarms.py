"""
How often an audit finds something in models whose dropout is alive.

Networks of NumPy, and of PyTorch where it is installed, of random sizes, rates, rows
and outputs; half of them are compared with a reference. By the audit's own words at
most ``--alpha`` of them are said to be wrong.

    python benchmarks/audit_false_alarms.py --models 200
"""

import argparse
import importlib.util
import time

import numpy as np
import scipy.stats

import nengo_permadrop as npd


class Network:
    """Layers of rectifiers, with dropout after each."""

    def __init__(self, sizes, rate, outputs, seed):
        self.rate, self.rng = rate, np.random.default_rng(seed)
        weights = np.random.RandomState(0)
        widths = [5, *sizes, outputs]
        self.weights = [
            weights.randn(*shape) / shape[0] ** 0.5
            for shape in zip(widths[:-1], widths[1:])
        ]

    def __call__(self, x):
        for weights in self.weights[:-1]:
            x = np.maximum(x @ weights, 0)
            x = x * (self.rng.random(x.shape) >= self.rate) / (1 - self.rate)
        return x @ self.weights[-1]


def module(sizes, rate, outputs, seed):
    """The same in PyTorch."""
    import torch

    from nengo_permadrop.torch_layers import PermanentDropout

    torch.manual_seed(seed)
    layers, width = [], 5
    for size in sizes:
        layers += [torch.nn.Linear(width, size), torch.nn.ReLU()]
        layers += [PermanentDropout(rate)]
        width = size
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, outputs))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--alpha", type=float, default=0.001)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rng = np.random.default_rng(args.seed)
    kinds = [Network]
    if importlib.util.find_spec("torch"):
        kinds.append(module)
    wrong, slowest = 0, 0.0
    for number in range(args.models):
        sizes = rng.integers(8, 150, size=rng.integers(1, 4))
        rate, outputs = rng.uniform(0.05, 0.6), int(rng.integers(1, 4))
        X = rng.normal(size=(int(rng.integers(1, 20)), 5))
        made = kinds[number % len(kinds)](sizes, rate, outputs, number)
        reference = None
        if isinstance(made, Network) and number % 4 < 2:
            reference = Network(sizes, rate, outputs, args.models + number)
        start = time.perf_counter()
        audit = npd.audit(made, X, reference, alpha=args.alpha, seed=number)
        slowest = max(slowest, time.perf_counter() - start)
        if not audit.ok:
            wrong += 1
            print(f"model {number}: {[each.what for each in audit.findings]}")
    limit = scipy.stats.binom.ppf(0.99, args.models, args.alpha)
    print(
        f"{wrong} of {args.models} healthy models are said to be wrong, at a level of "
        f"{args.alpha:g} (in 99% of cases at most {limit:g}); the slowest took "
        f"{slowest:.1f} s"
    )
    return int(wrong > limit)


if __name__ == "__main__":
    raise SystemExit(main())
