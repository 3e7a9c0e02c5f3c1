"""
Does a network that NengoDL trains from scratch reach Keras's validation loss?

For each seed, trains the study's network for the diabetes data with Keras, and the same
network made of Nengo objects with NengoDL: ensembles of SoftLIF neurons (``gain=2,
bias=1, amplitude=0.01``), permanent dropout in the connections, the same data, initial
weights, optimiser, batch size and early stopping. Prints the validation losses, each
the mean over stochastic passes, with its standard error over these passes, and their
ratio; at the end the ratio of the mean losses, with its standard error over the seeds.

    python benchmarks/dl_training.py --seeds 0 1 2 3 4

The criterion is that the mean loss of NengoDL is at most 5% above that of Keras.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import nengo
import nengo_dl
import numpy as np
import tensorflow as tf

import nengo_permadrop as npd
from nengo_permadrop import datasets, dl, models
from nengo_permadrop.dropout.seeds import derive_seed

RATE = 0.1
BATCH = 32
EPOCHS, PATIENCE = 200, 15  # as in the study


def nengo_mlp(kmodel):
    """The network of `models.mlp` in Nengo objects, with its initial weights."""
    weights = [layer.get_weights() for layer in kmodel.layers if layer.get_weights()]
    with nengo.Network(seed=0) as net:
        net.input = nengo.Node(np.zeros(weights[0][0].shape[0]), label="input")
        source = net.input
        for kernel, bias in weights[:-1]:
            n = len(bias)
            neurons = nengo.Ensemble(
                n,
                1,
                neuron_type=npd.SoftLIF(amplitude=0.01, gamma=0.02),
                gain=np.full(n, 2.0),
                bias=1 + 2.0 * bias,
            ).neurons
            _connect(source, neurons, kernel)
            source = neurons
        kernel, bias = weights[-1]
        net.output = nengo.Node(size_in=len(bias), label="output")
        _connect(source, net.output, kernel)
        nengo.Connection(  # the bias, which can be trained as a weight
            nengo.Node([1.0]), net.output, transform=bias[:, np.newaxis], synapse=None
        )
        net.probe = nengo.Probe(net.output, label="probe")
    return net


def _connect(pre, post, kernel):
    transform = nengo.Dense(kernel.T.shape, init=kernel.T)
    if isinstance(pre, nengo.ensemble.Neurons):
        transform = npd.PermanentDropout(kernel.T.shape, init=kernel.T, rate=RATE)
    nengo.Connection(pre, post, transform=transform, synapse=None)


class StochasticLoss:
    """Validation losses of single passes, every row with masks of its own."""

    def __init__(self, sim, net, split):
        self.sim, self.net, self.split = sim, net, split

    def __call__(self, seed):
        x, y = self.split.inputs["input"], self.split.target
        rows = np.resize(np.arange(len(x)), -(-len(x) // BATCH) * BATCH)
        outputs = []
        for number, batch in enumerate(rows.reshape(-1, BATCH)):
            dl.set_masks(self.sim, derive_seed(seed, number, np.arange(BATCH)))
            data = {self.net.input: x[batch, np.newaxis]}
            outputs.append(self.sim.predict_on_batch(data)[self.net.probe][:, 0])
        return np.mean((np.concatenate(outputs)[: len(y)] - y) ** 2)


def train_nengo_dl(net, dataset, seed, passes):
    """Losses of passes after training with early stopping, as `models.train` does."""
    x, y = dataset.train.inputs["input"], dataset.train.target
    rng = np.random.RandomState(derive_seed(seed, 1))
    best, waited = (np.inf, None), 0
    with nengo_dl.Simulator(
        net, minibatch_size=BATCH, seed=seed, progress_bar=False
    ) as sim:
        loss = StochasticLoss(sim, net, dataset.validation)
        sim.compile(loss="mse", optimizer=tf.keras.optimizers.Adam(1e-3))
        for epoch in range(EPOCHS):
            # whole minibatches only: a few rows, others each epoch, are left out
            rows = rng.permutation(len(x))[: len(x) // BATCH * BATCH]
            sim.fit(
                {net.input: x[rows, np.newaxis]},
                {net.probe: y[rows, np.newaxis]},
                epochs=1,
                shuffle=False,
                verbose=0,
            )
            value = loss(derive_seed(seed, 2, epoch))
            waited += 1
            if value < best[0]:
                best, waited = (value, sim.keras_model.get_weights()), 0
            if waited >= PATIENCE:
                break
        sim.keras_model.set_weights(best[1])
        return [loss(derive_seed(seed, 3, i)) for i in range(passes)], epoch + 1


def train_keras(kmodel, dataset, seed, passes):
    """The same of the Keras model."""
    history = models.train(
        kmodel, dataset, EPOCHS, patience=PATIENCE, batch_size=BATCH, seed=seed
    )
    x, y = dataset.validation.inputs, dataset.validation.target
    losses = [np.mean((kmodel(x).numpy() - y) ** 2) for _ in range(passes)]
    return losses, len(history["loss"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=range(5))
    parser.add_argument("--passes", type=int, default=50)
    args = parser.parse_args()

    print(
        "seed  Keras: loss (error) epochs seconds  NengoDL: loss (error) epochs "
        "seconds  ratio"
    )
    means = []
    for seed in args.seeds:
        dataset = datasets.load("diabetes", seed=seed)
        row = []
        for train in (train_keras, train_nengo_dl):
            model = models.for_dataset(dataset, seed=seed, rate=RATE)
            if train is train_nengo_dl:
                model = nengo_mlp(model)
            start = time.perf_counter()
            losses, epochs = train(model, dataset, seed, args.passes)
            error = np.std(losses) / np.sqrt(len(losses))
            seconds = time.perf_counter() - start
            row.append((np.mean(losses), error, epochs, seconds))
        means.append([mean for mean, *_ in row])
        columns = "  ".join(
            "{:12.4f} ({:.4f}) {:5d} {:7.1f}".format(*entry) for entry in row
        )
        print(f"{seed:4d}  {columns}  {means[-1][1] / means[-1][0]:.3f}", flush=True)
    keras, nengo_dl_ = np.transpose(means)
    ratios = nengo_dl_ / keras
    error = np.std(ratios) / np.sqrt(len(ratios))
    print(
        f"mean loss: Keras {keras.mean():.4f}, NengoDL {nengo_dl_.mean():.4f}; ratio "
        f"{nengo_dl_.mean() / keras.mean():.3f} ({error:.3f})"
    )


if __name__ == "__main__":
    main()
