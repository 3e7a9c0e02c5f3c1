"""
Time a convolutional network of CIFAR-10's size, here and in its peers.

Images of 32 x 32 x 3; convolutions 3 x 3 of 32, 32 and 64 channels, with averages of
2 x 2 places after the second and third; one dense layer of ten outputs; 81,920 LIF
neurons with Alpha synapses; dropout before each layer but the first; random weights.

    python benchmarks/convolutions.py                 # ours, NengoDL
    python benchmarks/convolutions.py --peer-python ENV/bin/python
    python benchmarks/convolutions.py --growth        # with images and channels

snnTorch and SpikingJelly run in an environment of their own, which needs only them and
PyTorch. Every simulator runs in a process of its own, for its peak memory; the round of
all is repeated, and medians are compared. NengoDL and the PyTorch loops get minibatches
and fewer replicas, as each minibatch takes as long; times are for all replicas. Draws
of NengoDL with dropout must be ours; others have simpler neurons, or no dropout.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RATE, DT, TAU, STEPS, SETTLE = 0.1, 0.001, 0.005, 100, 40
GAIN, BIAS, AMPLITUDE = 2.0, 1.0, 0.01
TAU_RC = 0.02
TORCH = ("spikingjelly", "snntorch")
# of the replicas: fewer, as these take a constant time for each minibatch
SHARES = {"nengo_dl": 0.05, "nengo_dl_conv": 0.05, **dict.fromkeys(TORCH, 0.2)}


class Network:
    """The weights, drawn with a seed: the same in every environment."""

    def __init__(self, side=32, channels=(32, 32, 64), n_observations=10):
        rng = np.random.RandomState(0)
        self.side, self.channels = side, tuple(channels)
        self.kernels, inputs = [], 3
        for number in channels:
            scale = np.sqrt(2.0 / (9 * inputs))
            self.kernels.append(scale * rng.randn(3, 3, inputs, number))
            inputs = number
        size = (side // 4) ** 2 * channels[-1]
        self.dense = rng.randn(size, 10) * np.sqrt(2.0 / size)
        self.X = rng.randn(n_observations, side, side, 3).astype(np.float32)

    def replicas(self, n):
        """The observation of each replica."""
        return np.arange(n) * len(self.X) // n

    def graph(self):
        """As a `.ModelGraph`, with weights as sparse matrices."""
        from scipy import sparse

        from nengo_permadrop.graph.dropouts import ALWAYS
        from nengo_permadrop.graph.writer import GraphWriter

        writer = GraphWriter()
        value, side = writer.input("x", (self.side, self.side, 3)), self.side
        for number, kernel in enumerate(self.kernels):
            if number > 0:
                value = writer.drop(f"drop_{number}", "Dropout", value, RATE, ALWAYS)
            shifts = [sparse.eye(side, k=k) for k in (-1, 0, 1)]
            matrix = sum(
                sparse.kron(sparse.kron(shifts[y], shifts[x]), kernel[y, x].T)
                for y in range(3)
                for x in range(3)
            )
            n_channels = kernel.shape[-1]
            shape = side, side, n_channels
            constant = np.full(matrix.shape[0], 0.2)
            value = writer.affine(
                f"conv_{number}",
                "Conv2D",
                [value],
                [matrix.tocsr().astype(np.float32)],  # as models have them
                shape,
                constant,
            )
            value = writer.activation(f"lif_{number}", "SoftLIF", value, "softlif")
            if number > 0:
                pairs = sparse.kron(sparse.eye(side // 2), [[0.5, 0.5]])
                matrix = sparse.kron(sparse.kron(pairs, pairs), sparse.eye(n_channels))
                side //= 2
                shape = side, side, n_channels
                value = writer.affine(
                    f"pool_{number}", "Pooling", [value], [matrix.tocsr()], shape
                )
        value = writer.drop("drop_3", "Dropout", value, RATE, ALWAYS)
        value = writer.affine("dense", "Dense", [value], [self.dense.T], (10,))
        writer.output("y", value)
        return writer.graph


def batched(network, n, _):
    """`nengo_permadrop.Simulator`."""
    import nengo

    import nengo_permadrop as npd

    start = time.perf_counter()
    with nengo.Network(seed=0) as net:
        conv = npd.Converter(network.graph())
        probe = nengo.Probe(conv.output)
    converted = time.perf_counter() - start
    seeds, rows = np.arange(n), network.replicas(n)
    x = network.X.reshape(len(network.X), -1)[rows]
    start = time.perf_counter()
    with npd.Simulator(
        net,
        mask_seeds=seeds,
        state_seeds=seeds,
        inputs={conv.input: x},
        progress_bar=False,
    ) as sim:
        built = time.perf_counter() - start
        sim.run_steps(1)  # what is compiled, or read from the cache, once
        start = time.perf_counter()
        sim.reset()
        answers = sim.run_mean(STEPS * DT, probe, settle=SETTLE * DT)
        seconds = time.perf_counter() - start
    return answers, seconds, {"conversion": converted, "build": built}


def nengo_dl(network, n, batch):
    """NengoDL, as this package's backend runs it: sparse products, masks an item."""
    import nengo

    import nengo_permadrop as npd
    from nengo_permadrop.backends.base import Problem, Replicas, get_backend

    with nengo.Network(seed=0):
        conv = npd.Converter(network.graph())
    problem = Problem(
        model=conv,
        inputs=[conv.input],
        output=conv.output,
        X=[network.X.reshape(len(network.X), -1)],
        presentation_time=STEPS * DT,
        settle=SETTLE * DT,
        dt=DT,
        options={"minibatch_size": min(n, batch)},
    )
    replicas = Replicas(network.replicas(n), np.arange(n), np.arange(n), problem.X)
    with get_backend("nengo_dl").session(problem) as answer:
        answer(replicas)
        start = time.perf_counter()
        answers = answer(replicas)
        return answers, time.perf_counter() - start, {}


def nengo_dl_conv(network, n, batch):
    """NengoDL's own convolutions; without any dropout, which these can't have."""
    import nengo
    import nengo_dl

    side, synapse = network.side, nengo.Alpha(TAU)
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(stateful=False)
        stimulus = nengo.Node(np.zeros(side * side * 3))
        before, channels = stimulus, 3
        for number, kernel in enumerate(network.kernels):
            shape = side, side, channels
            conv = nengo.Convolution(
                kernel.shape[-1], shape, strides=(1, 1), padding="same", init=kernel
            )
            size = conv.size_out
            layer = nengo.Ensemble(
                size,
                1,
                neuron_type=nengo.LIF(amplitude=AMPLITUDE),
                gain=np.full(size, GAIN),
                bias=np.full(size, BIAS + GAIN * 0.2),
            ).neurons
            filtered = synapse if number > 0 else None
            nengo.Connection(before, layer, transform=conv, synapse=filtered)
            before, channels = layer, kernel.shape[-1]
            if number > 0:
                pool = np.zeros((2, 2, channels, channels))
                pool[:, :] = np.eye(channels) / 4
                average = nengo.Convolution(
                    channels,
                    (side, side, channels),
                    kernel_size=(2, 2),
                    strides=(2, 2),
                    init=pool,
                )
                before = nengo.Node(size_in=average.size_out)
                nengo.Connection(layer, before, transform=average, synapse=None)
                side //= 2
        output = nengo.Node(size_in=10)
        nengo.Connection(before, output, transform=network.dense.T, synapse=synapse)
        probe = nengo.Probe(output)
    rows = network.replicas(n)
    x = network.X.reshape(len(network.X), 1, -1)[rows].repeat(STEPS, axis=1)
    with nengo_dl.Simulator(
        net, minibatch_size=min(n, batch), progress_bar=False
    ) as sim:
        first = {stimulus: x[: min(n, batch)]}
        sim.predict(first)
        start = time.perf_counter()
        answers = sim.predict({stimulus: x})[probe][:, SETTLE:].mean(axis=1)
        return answers, time.perf_counter() - start, {}


def spikingjelly(network, n, batch):
    """SpikingJelly's ``LIFNode`` layers."""
    from spikingjelly.activation_based import neuron

    decay = float(np.exp(-DT / TAU_RC))

    def make_layer(voltage):
        layer = neuron.LIFNode(tau=1.0 / (1.0 - decay), v_threshold=1.0, v_reset=0.0)
        layer.v = voltage
        return layer

    return _torch(network, n, batch, make_layer)


def snntorch(network, n, batch):
    """snnTorch's ``Leaky`` layers."""
    import snntorch as snn

    decay = float(np.exp(-DT / TAU_RC))

    def make_layer(voltage):
        layer = snn.Leaky(beta=decay, threshold=1.0, reset_mechanism="zero")

        def step(current):
            nonlocal voltage
            spikes, voltage = layer(current * (1.0 - decay), voltage)
            return spikes

        return step

    return _torch(network, n, batch, make_layer)


def alpha():
    """The Alpha synapse's state space for a time step, as Nengo discretises it."""
    decay = np.exp(-DT / TAU)
    # two Lowpass filters, one after the other, with zero-order hold of the input
    a = np.array([[decay, 0.0], [DT / TAU * decay, decay]])
    b = np.array([1.0 - decay, 1.0 - decay - DT / TAU * decay])
    return a, b


def _torch(network, n, batch, make_layer):
    """A loop over steps; masks are products with spikes, synapses follow products."""
    import torch
    from torch.nn import functional

    (a11, _), (a21, a22) = alpha()[0]
    b1, b2 = alpha()[1]
    spike, gain = AMPLITUDE / DT, GAIN
    kernels = [
        torch.from_numpy(kernel.transpose(3, 2, 0, 1).astype(np.float32))
        for kernel in network.kernels
    ]
    side = network.side // 4
    dense = network.dense.reshape(side, side, -1, 10).transpose(2, 0, 1, 3)
    dense = torch.from_numpy(dense.reshape(-1, 10).astype(np.float32))
    x = torch.from_numpy(network.X.transpose(0, 3, 1, 2).copy())

    def product(number, spikes):
        if number < len(kernels):
            return functional.conv2d(spikes, kernels[number], padding=1)
        return spikes.flatten(1) @ dense

    def filtered(total, state):
        x1, x2 = state
        return a11 * x1 + b1 * total, a21 * x1 + a22 * x2 + b2 * total

    def run(rows):
        size, sides = len(rows), (network.side, network.side, network.side // 2)
        shapes = [(size, k.shape[0], s, s) for k, s in zip(kernels, sides)]
        layers = [make_layer(torch.rand(shape)) for shape in shapes]
        outs = [*(s[:2] + (s[2] // (1 + (i > 0)),) * 2 for i, s in enumerate(shapes))]
        masks = [(torch.rand(out) >= RATE) * (spike / (1 - RATE)) for out in outs]
        constant = BIAS + gain * (product(0, x[rows]) + 0.2)
        zeros = [*(torch.zeros(shape) for shape in shapes[1:]), torch.zeros(size, 10)]
        states = [(zero, zero) for zero in zeros]
        answer = torch.zeros(size, 10)
        for t in range(STEPS):
            if t >= SETTLE:
                answer += states[-1][1]
            sent = []
            for number, layer in enumerate(layers):
                current = constant
                if number > 0:
                    current = (BIAS + gain * 0.2) + gain * states[number - 1][1]
                spikes = layer(current)
                if number > 0:
                    spikes = functional.avg_pool2d(spikes, 2)
                sent.append(spikes * masks[number])
            states = [
                filtered(product(number + 1, spikes), state)
                for number, (spikes, state) in enumerate(zip(sent, states))
            ]
        return (answer / (STEPS - SETTLE)).numpy()

    torch.manual_seed(1)
    rows = network.replicas(n)
    with torch.no_grad():
        run(rows[:2])
        start = time.perf_counter()
        parts = [run(rows[i : i + batch]) for i in range(0, n, batch)]
        return np.concatenate(parts), time.perf_counter() - start, {}


def worker(name, options, folder):
    """Run one simulator; write what it took."""
    network = Network(options["side"], options["channels"])
    n = options["replicas"]
    answers, seconds, more = globals()[name](network, n, options["batch"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    np.save(folder / f"{name}.npy", answers)
    found = {"seconds": seconds, "GB": peak, **more}
    (folder / f"{name}.json").write_text(json.dumps(found))


def timed(name, options, python):
    """What a simulator takes in a process of its own, and its answers."""
    with tempfile.TemporaryDirectory() as folder:
        call = [python, __file__, "--worker", name, json.dumps(options), folder]
        subprocess.run(call, check=True)
        found = json.loads((Path(folder) / f"{name}.json").read_text())
        return found, np.load(Path(folder) / f"{name}.npy")


def compare(names, options, pythons, repeats):
    """Print medians, and how many times as long as ours the others take."""
    times, answers = {name: [] for name in names}, {}
    for _ in range(repeats):
        for name in names:
            share = SHARES.get(name, 1.0)
            own = {**options, "replicas": round(options["replicas"] * share)}
            found, answers[name] = timed(name, own, pythons.get(name, sys.executable))
            times[name].append({**found, "seconds": found["seconds"] / share})
            print(name, times[name][-1], flush=True)
    ours = statistics.median(each["seconds"] for each in times[names[0]])
    for name in names:
        seconds = statistics.median(each["seconds"] for each in times[name])
        peak = max(each["GB"] for each in times[name])
        more = {
            key: statistics.median(each[key] for each in times[name])
            for key in times[name][0]
            if key not in ("seconds", "GB")
        }
        print(f"{name}: {seconds:.1f} s, {seconds / ours:.1f} x ours, {peak:.2f} GB")
        for key, value in more.items():
            print(f"    {key}: {value:.1f} s")
    if "nengo_dl" in names:
        own = {**options, "replicas": len(answers["nengo_dl"])}
        _, ours = timed("batched", own, sys.executable)
        check(ours, answers["nengo_dl"])


def check(ours, theirs):
    """That draws are the same, but for a spike in another step now and then."""
    error = np.abs(ours - theirs)
    spread = ours.std(axis=0).mean()
    print(f"draws differ by {np.median(error) / spread:.1e} of their spread")
    assert np.median(error) < 0.05 * spread


def growth(options):
    """Time and memory against non-zero weights."""
    for side, channels in (
        (16, (32, 32, 64)),
        (24, (32, 32, 64)),
        (32, (32, 32, 64)),
        (32, (16, 16, 32)),
        (32, (64, 64, 128)),
    ):
        own = {**options, "side": side, "channels": channels}
        weights = sum(op.matrices[0].nnz for op in _sparse(Network(side, channels)))
        neurons = side**2 * (channels[0] + channels[1]) + (side // 2) ** 2 * channels[2]
        found, _ = timed("batched", own, sys.executable)
        print(
            f"{side} x {side}, {channels}: {neurons} neurons, {weights / 1e6:.2f} M "
            f"weights: {found['seconds']:.2f} s, build {found['build']:.2f} s, "
            f"{found['GB']:.2f} GB",
            flush=True,
        )


def _sparse(network):
    """Operations of its graph that have sparse weights."""
    return [
        operation
        for operation in network.graph().operations
        if hasattr(getattr(operation, "matrices", [None])[0], "nnz")
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--replicas", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=50, help="of the peers")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--peer-python", help="with snnTorch and SpikingJelly")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        name, options, folder = args.worker
        worker(name, json.loads(options), Path(folder))
        return
    options = {
        "side": 32,
        "channels": (32, 32, 64),
        "replicas": args.replicas,
        "batch": args.batch,
    }
    if args.growth:
        growth(options)
        return
    peers = TORCH if args.peer_python else ()
    names = args.only or ["batched", "nengo_dl", "nengo_dl_conv", *peers]
    pythons = dict.fromkeys(TORCH, args.peer_python)
    compare(names, options, pythons, args.repeats)


if __name__ == "__main__":
    main()
