"""
Dropout in a population of neurons, live in Nengo GUI.

Open it with ``nengo examples/gui_small.py``, press play, and move the slider. The
population's value is read out with a fifth of the neurons dropped, others every 200 ms;
the picture compares the readouts with those that the neurons' rates would give.
"""

import nengo
import numpy as np

import nengo_permadrop as npd
from nengo_permadrop.live.gui import DistributionView

N, RATE, REDRAW = 100, 0.2, 0.2

rng = np.random.RandomState(0)
neuron_type = nengo.LIF()
gain, bias = neuron_type.gain_bias(rng.uniform(200, 400, N), rng.uniform(-1, 0.9, N))
encoders = rng.choice([-1.0, 1.0], size=(N, 1))


def rates(x):
    """Firing rates for values, in Hz: (n_values, 1) -> (n_values, N)."""
    return neuron_type.rates(x @ encoders.T, gain, bias)


x = np.linspace(-1, 1, 200)[:, np.newaxis]
decoders, _ = nengo.solvers.LstsqL2(reg=0.05)(rates(x), x, rng=rng)


def classical(x):
    """What 500 masks make of the rates' readout for one value."""
    keep = np.random.RandomState(1).rand(500, N) >= RATE
    return (rates(x[np.newaxis]) * keep / (1 - RATE)) @ decoders


with nengo.Network(seed=0) as model:
    stimulus = nengo.Node([0.5], label="stimulus")
    population = nengo.Ensemble(
        N,
        dimensions=1,
        gain=gain,
        bias=bias,
        encoders=encoders,
        neuron_type=neuron_type,
        label="population",
    )
    nengo.Connection(stimulus, population, synapse=None)
    readout = nengo.Node(size_in=1, label="readout")
    dropout = npd.PermanentDropout((1, N), decoders.T, rate=RATE, redraw=REDRAW)
    nengo.Connection(population.neurons, readout, transform=dropout, synapse=0.005)
    distribution = DistributionView(
        readout,
        classical,
        window=REDRAW,
        settle=0.04,
        observation=stimulus,
        label="distribution",
        title="Readout with 20% of the neurons dropped",
        names=("spikes", "rates"),
    )

if __name__ == "__main__":
    print("Open this file in Nengo GUI: nengo examples/gui_small.py")
