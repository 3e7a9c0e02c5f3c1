"""
Does the spiking version of a network that was trained in PyTorch agree with it?

Trains SoftLIF networks of three dense layers with permanent dropout in PyTorch, with
the package's recipe and at last with a sharper curve, on diabetes (scikit-learn); then
draws 100 times for 100 test rows, classically by PyTorch and with spikes by the batched
simulator. The criterion is a rejection rate at 0.05 of at most 0.10, and uniformity
p >= 0.01; samples of one distribution miss the second in 1% of runs. Needs the extra
"torch", and scikit-learn.

    python benchmarks/torch_agreement.py --seeds 0 1 2 3 4
"""

import argparse

import numpy as np
import torch

import nengo_permadrop as npd
from nengo_permadrop import datasets
from nengo_permadrop.torch_layers import PermanentDropout, SoftLIF, set_gamma

COLUMNS = "{:>4} {:>8} {:>9} {:>9} {:>11} {:>9} {:>9}"


def build(size, units=100, n_layers=3, rate=0.1):
    """Dense layers as the recipe has them (He, bias 0.2)."""
    layers = []
    for _ in range(n_layers):
        linear = torch.nn.Linear(size, units)
        torch.nn.init.kaiming_normal_(linear.weight)
        torch.nn.init.constant_(linear.bias, 0.2)
        layers += [linear, SoftLIF(), PermanentDropout(rate)]
        size = units
    return torch.nn.Sequential(*layers, torch.nn.Linear(size, 1))


def train(module, split, epochs, learning_rate):
    """Fit the mean square error, with dropout on."""
    x = torch.tensor(np.concatenate(list(split.inputs.values()), axis=1))
    y = torch.tensor(split.target)
    rows = torch.utils.data.TensorDataset(x.float(), y.float())
    optimizer = torch.optim.Adam(module.parameters(), learning_rate)
    for _ in range(epochs):
        for inputs, targets in torch.utils.data.DataLoader(rows, 32, shuffle=True):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(module(inputs), targets).backward()
            optimizer.step()


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=range(5))
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--observations", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--anneal", type=float, default=0.005)
    args = parser.parse_args()
    print(
        COLUMNS.format(
            "seed", "verdict", "rejected", "control", "uniformity", "rmse", "verified"
        )
    )
    agreeing = 0
    for seed in args.seeds:
        torch.manual_seed(seed)
        data = datasets.load("diabetes", seed=seed)
        X = np.concatenate(list(data.test.inputs.values()), axis=1)[: args.observations]
        module = build(X.shape[1])
        train(module, data.train, args.epochs, 1e-3)
        set_gamma(module, args.anneal)
        train(module, data.train, args.epochs // 4, 3e-4)
        conv = npd.Converter(module, example_inputs=X[:1])
        options = {"n_draws": args.draws, "progress": False}
        spiking = npd.sample(conv, X, seed=seed, **options)
        classical, control = (
            npd.sample(module, X, backend="torch", seed=1000 + seed + i, **options)
            for i in (0, 500)
        )
        found = npd.ks_agreement(spiking, classical)
        expected = npd.ks_agreement(control, classical)
        rejected, p = found.rejection_rate(0.05), found.uniformity.pvalue
        agrees = rejected <= 0.10 and p >= 0.01
        agreeing += agrees
        error = classical.mean() - data.test.target[: args.observations]
        print(
            COLUMNS.format(
                seed,
                "agrees" if agrees else "no",
                f"{rejected:.3f}",
                f"{expected.rejection_rate(0.05):.3f}",
                f"{p:.2g}",
                f"{np.sqrt(np.mean(error**2)):.3f}",
                f"{conv.verify(X[:8]):.1e}",
            ),
            flush=True,
        )
    print(f"{agreeing} of {len(args.seeds)} agree")


if __name__ == "__main__":
    main()
