"""
Dropout in a running network
============================

Permanent dropout in a network without Keras, with new masks while it runs.

A population of LIF neurons represents a constant. It is read out twice: from all
neurons, and with a fifth of them dropped, others every 100 ms. How far the second
readout strays is how much the represented value depends on single neurons.
"""

import nengo
import numpy as np

import nengo_permadrop as npd

with nengo.Network(seed=0) as net:
    stimulus = nengo.Node(0.7)
    # a seed of its own: the decoders below are for these very neurons
    population = nengo.Ensemble(100, dimensions=1, seed=0)
    nengo.Connection(stimulus, population)

    # the decoders that Nengo would use, as the weights of a connection from neurons
    with nengo.Simulator(net, progress_bar=False) as sim:
        eval_points, rates = nengo.utils.ensemble.tuning_curves(population, sim)
    solver = nengo.solvers.LstsqL2()
    decoders, _ = solver(rates, eval_points, rng=np.random.RandomState(0))

    probes = {}
    for rate in (0.0, 0.2):
        value = nengo.Node(size_in=1, label=f"readout, {rate:.0%} dropped")
        dropout = npd.PermanentDropout((1, 100), decoders.T, rate=rate, redraw=0.1)
        nengo.Connection(population.neurons, value, transform=dropout, seed=0)
        probes[value.label] = nengo.Probe(value, synapse=0.02)

if __name__ == "__main__":
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(5.0)
    for label, probe in probes.items():
        settled = sim.data[probe][sim.trange() > 0.2]
        print(f"{label}: {settled.mean():.2f} ± {settled.std():.2f}")
