#!/usr/bin/env bash
# Nengo 4.1.0. rates() is said to give the firing rates that decoders are solved for, and of
# all neuron types with an amplitude its result includes it, so that decoders make up for it:
# an ensemble of LIF(amplitude=0.01) represents its input as one of LIF() does. One expects
# the same of RegularSpiking, StochasticSpiking and PoissonSpiking, whose step() multiplies
# by their amplitude; but their rates() is that of the type they are made from, without it.
# Decoded values are therefore wrong by that factor, with no error or warning: an ensemble
# of RegularSpiking(LIFRate(), amplitude=0.01) that is given 0.5 represents 0.005. (Amplitudes
# came to LIF with nengo/nengo#1325, these types with nengo/nengo#1609.)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet \
    "nengo==4.1.0" "numpy==1.24.3" "scipy==1.15.3"

HOME="$work" "$work/env/bin/python" -I - <<'EOF'
import sys

import nengo
import numpy as np

AMPLITUDE = 0.01
TYPES = {
    "LIF": nengo.LIF(amplitude=AMPLITUDE),
    "RegularSpiking": nengo.RegularSpiking(nengo.LIFRate(), amplitude=AMPLITUDE),
    "StochasticSpiking": nengo.StochasticSpiking(nengo.LIFRate(), amplitude=AMPLITUDE),
    "PoissonSpiking": nengo.PoissonSpiking(nengo.LIFRate(), amplitude=AMPLITUDE),
}

probes = {}
with nengo.Network(seed=0) as net:
    stimulus = nengo.Node(0.5)
    for name, neuron_type in TYPES.items():
        ens = nengo.Ensemble(200, 1, neuron_type=neuron_type)
        nengo.Connection(stimulus, ens, synapse=None)
        probes[name] = nengo.Probe(ens, synapse=0.05)
with nengo.Simulator(net, seed=0, progress_bar=False) as sim:
    sim.run(1.0)

print("nengo", nengo.__version__, "numpy", np.__version__)
for name, neuron_type in TYPES.items():
    rate = neuron_type.rates([2.0], gain=[1.0], bias=[0.0]).item()
    represented = sim.data[probes[name]][500:].mean()
    print(
        f"{name}(amplitude={AMPLITUDE}): rates() at a current of 2 gives {rate:.3f}; "
        f"represents {represented:.4f} for an input of 0.5"
    )
    expected = 0.5 if name == "LIF" else 0.5 * AMPLITUDE
    if abs(represented - expected) > 0.1 * expected:
        sys.exit(f"The behaviour of {name} has changed: expected {expected}.")
EOF
