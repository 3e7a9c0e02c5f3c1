"""
The simulators that the benchmark compares.

Each has a context manager of the network, a number of replicas and of steps, and the
settling steps that the answers leave out. It prepares what needs preparing and gives a
function that simulates once and returns the answers, ``(n_replicas,)``; only that is
timed. To add a simulator, write one and add a `Peer` to `PEERS`.
"""

import importlib.util
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import nengo
import numpy as np

from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.support.optional import require


def replica_seeds(n_replicas):
    """The seeds of the replicas, the same for all simulators that take seeds."""
    return derive_seed(1, np.arange(n_replicas))


@contextmanager
def batched(bench, n_replicas, n_steps, settle):
    """`nengo_permadrop.Simulator`."""
    from nengo_permadrop.batched.simulator import Simulator

    net = bench.nengo()
    rows = bench.replicas(n_replicas)
    seeds = replica_seeds(n_replicas)
    sim = Simulator(
        net,
        mask_seeds=seeds,
        state_seeds=seeds,
        inputs={node: x[rows] for node, x in zip(net.stimuli, bench.X)},
        progress_bar=False,
    )

    def run():
        sim.reset()
        seconds, first = n_steps * bench.dt, settle * bench.dt
        answers = sim.run_mean(seconds, net.probe, settle=first)
        return answers[:, 0]

    with sim:
        yield run


def nengo_loop(bench, n_replicas, n_steps, settle):
    """`nengo.Simulator`, built once, one replica after the other."""
    return _by_backend("nengo", bench, n_replicas, n_steps, settle)


def nengo_dl(bench, n_replicas, n_steps, settle):
    """NengoDL with the replicas as a minibatch, each with masks of its own."""
    options = {"minibatch_size": n_replicas}
    return _by_backend("nengo_dl", bench, n_replicas, n_steps, settle, options)


@contextmanager
def _by_backend(name, bench, n_replicas, n_steps, settle, options=None):
    from nengo_permadrop.backends.base import Problem, Replicas, get_backend

    net = bench.nengo()
    problem = Problem(
        model=net,
        inputs=net.stimuli,
        output=net.output,
        X=bench.X,
        presentation_time=n_steps * bench.dt,
        settle=settle * bench.dt,
        dt=bench.dt,
        options={} if options is None else options,
    )
    seeds = replica_seeds(n_replicas)
    replicas = Replicas(bench.replicas(n_replicas), seeds, seeds, problem.X)
    with get_backend(name).session(problem) as answer:
        yield lambda: answer(replicas)[:, 0]


def snntorch(bench, n_replicas, n_steps, settle):
    """snnTorch's ``Leaky`` layers, all replicas as a batch."""
    snn = require("snntorch")
    decay = float(np.exp(-bench.dt / bench.tau_rc))

    def make_layer(voltage):
        layer = snn.Leaky(beta=decay, threshold=1.0, reset_mechanism="zero")

        def step(current):
            nonlocal voltage
            spikes, voltage = layer(current * (1.0 - decay), voltage)
            return spikes

        return step

    return _torch(bench, n_replicas, n_steps, settle, make_layer)


def spikingjelly(bench, n_replicas, n_steps, settle):
    """SpikingJelly's ``LIFNode`` layers, all replicas as a batch."""
    neuron = require("spikingjelly.activation_based.neuron")
    decay = float(np.exp(-bench.dt / bench.tau_rc))

    def make_layer(voltage):
        layer = neuron.LIFNode(tau=1.0 / (1.0 - decay), v_threshold=1.0, v_reset=0.0)
        layer.v = voltage
        return layer

    return _torch(bench, n_replicas, n_steps, settle, make_layer)


@contextmanager
def _torch(bench, n_replicas, n_steps, settle, make_layer):
    """
    The network as a PyTorch loop over steps, with a framework's neurons.

    Constant input is multiplied once; masks are a product with the spikes; the synapse
    is the Alpha filter's state-space form, after the product, as in Nengo.
    """
    torch = require("torch")
    spike = bench.amplitude / bench.dt
    synapse = nengo.Alpha(bench.tau_synapse)
    state = synapse.make_state((2,), (2,), bench.dt)
    filter_step = synapse.make_step((2,), (2,), bench.dt, None, state)
    a, b, c = filter_step.A, filter_step.B.ravel(), filter_step.C.ravel()
    (a11, a12), (a21, a22) = a.tolist()
    (b1, b2), (c1, c2) = b.tolist(), c.tolist()

    rows = bench.replicas(n_replicas)
    inputs = {
        name: torch.from_numpy(x[rows])
        for name, x in zip(("cell", "drug1", "drug2"), bench.X)
    }
    layers = [
        (reads, [torch.from_numpy(w.T.astype(np.float32)) for w in weights])
        for reads, weights in bench.layers
    ]
    readout = torch.from_numpy(bench.readout.T.astype(np.float32))
    last = len(layers) - 1

    def filtered(total, x):
        x1, x2 = x
        new = (a11 * x1 + a12 * x2 + b1 * total, a21 * x1 + a22 * x2 + b2 * total)
        return new, c1 * new[0] + c2 * new[1]

    def run():
        torch.manual_seed(1)
        shape = (n_replicas, bench.n_units)
        masks, neurons, synapses, currents, constant = [], [], [], [], []
        for reads, weights in layers:
            kept = (torch.rand(shape) >= bench.rate).to(torch.float32)
            masks.append(kept * (spike / (1.0 - bench.rate)))
            neurons.append(make_layer(torch.rand(shape)))
            synapses.append((torch.zeros(shape), torch.zeros(shape)))
            current = torch.full(shape, bench.bias)
            if reads[0] in inputs:
                current = current + bench.gain * (inputs[reads[0]] @ weights[0])
            constant.append(reads[0] in inputs)
            currents.append(current)
        outputs = [torch.zeros(shape) for _ in layers]
        synapse = (torch.zeros(n_replicas, 1), torch.zeros(n_replicas, 1))
        value, answer = torch.zeros(n_replicas, 1), torch.zeros(n_replicas, 1)
        arriving = [torch.zeros(shape) for _ in layers]
        for t in range(n_steps):
            if t >= settle:
                answer += value
            for i in range(len(layers)):
                current = currents[i]
                if not constant[i]:
                    current = current + bench.gain * arriving[i]
                outputs[i] = neurons[i](current) * masks[i]
            for i, (reads, weights) in enumerate(layers):
                if not constant[i]:
                    total = outputs[reads[0]] @ weights[0]
                    for before, matrix in zip(reads[1:], weights[1:]):
                        total = total + outputs[before] @ matrix
                    synapses[i], arriving[i] = filtered(total, synapses[i])
            synapse, value = filtered(outputs[last] @ readout, synapse)
        return (answer / (n_steps - settle))[:, 0].numpy()

    with torch.no_grad():
        yield run


@dataclass(frozen=True)
class Peer:
    """
    A simulator that is timed.

    Attributes
    ----------
    name : str
    make : callable
        ``make(bench, n_replicas, n_steps, settle)``: the context manager.
    package : str
        What must be installed.
    seeded : bool
        Whether it takes the seeds of the replicas, so that its draws are those of the
        reference, number by number. Otherwise their distributions are compared.
    share : float
        The part of the replicas that it simulates: fewer, if its time a replica hardly
        depends on their number.
    """

    name: str
    make: Callable
    package: str
    seeded: bool = False
    share: float = 1.0


# What all others are checked against, and their times compared with
REFERENCE = Peer("batched", batched, "nengo_permadrop", seeded=True)

PEERS = {
    peer.name: peer
    for peer in (
        REFERENCE,
        Peer("nengo", nengo_loop, "nengo", seeded=True, share=0.004),
        Peer("nengo_dl", nengo_dl, "nengo_dl", seeded=True, share=0.25),
        Peer("snntorch", snntorch, "snntorch"),
        Peer("spikingjelly", spikingjelly, "spikingjelly"),
    )
}


def installed_peers():
    """Names of the simulators that are installed, a tuple of str."""
    return tuple(
        name for name, peer in PEERS.items() if importlib.util.find_spec(peer.package)
    )
