"""
From PyTorch to spikes
======================

A network is trained in PyTorch with the activation that spiking neurons have, and with
dropout that stays on; its spiking version then draws from the same predictive
distribution. The training ends with a sharper curve, which is nearer to that of the
spiking neurons.

Prints what became of the module, and mean and standard deviation of the answers of both
networks, for some inputs.
"""

import numpy as np
import torch

import nengo_permadrop as npd
from nengo_permadrop.torch_layers import PermanentDropout, SoftLIF, set_gamma


def build():
    """A network with permanent dropout."""
    layers, size = [], 1
    for _ in range(2):
        linear = torch.nn.Linear(size, 100)
        torch.nn.init.kaiming_normal_(linear.weight)
        torch.nn.init.constant_(linear.bias, 0.2)
        # 200 spikes a second for an activation of 1
        softlif = SoftLIF(gain=6.18, amplitude=0.005)
        layers += [linear, softlif, PermanentDropout(0.1)]
        size = 100
    return torch.nn.Sequential(*layers, torch.nn.Linear(size, 1))


def train(module, epochs, learning_rate):
    """Fit it to a noisy sine."""
    rng = np.random.RandomState(0)
    x = rng.uniform(-1, 1, size=(600, 1)).astype(np.float32)
    y = np.sin(4 * x) + 0.1 * rng.normal(size=x.shape).astype(np.float32)
    rows = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
    optimizer = torch.optim.Adam(module.parameters(), learning_rate)
    for _ in range(epochs):
        for inputs, targets in torch.utils.data.DataLoader(rows, 32, shuffle=True):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(module(inputs), targets).backward()
            optimizer.step()


def main(n_draws=30):
    torch.manual_seed(0)
    module = build()
    train(module, epochs=30, learning_rate=1e-3)
    set_gamma(module, 0.005)
    train(module, epochs=10, learning_rate=3e-4)

    X = np.linspace(-1, 1, 9)[:, np.newaxis]
    conv = npd.Converter(module, example_inputs=X[:1], first_layer="exact")
    print(f"largest difference from PyTorch, without spikes: {conv.verify(X):.1e}")
    print(conv.report(X), end="\n\n")

    options = {"n_draws": n_draws, "progress": False}
    spiking = npd.sample(conv, X, seed=0, **options)
    classical = npd.sample(module, X, backend="torch", seed=1, **options)
    columns = [X, spiking.mean(), spiking.std(), classical.mean(), classical.std()]
    print("    x  spiking mean, std   classical mean, std")
    for x, *values in np.hstack(columns):
        print("{:5.2f}  {:6.2f} {:8.2f}  {:10.2f} {:8.2f}".format(x, *values))


if __name__ == "__main__":
    main()
