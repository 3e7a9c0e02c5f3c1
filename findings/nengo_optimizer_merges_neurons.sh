#!/usr/bin/env bash
# Nengo 4.1.0. One expects the optimizer, on by default, to make a simulation faster and
# leave its results as they are. But it merges populations whose neuron types compare
# equal, and they are compared by their Param descriptors only: two instances of a subclass
# that keeps an option in a plain attribute are equal, whatever the option. One of the two
# then runs with the other's option, without a warning.
# A neuron type with a drop rate or a noise level is easily written so; all layers can then
# run with the rate of one of them. The option has to be a NumberParam.
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


class Scaled(nengo.RectifiedLinear):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def step(self, dt, J, output):
        output[...] = self.scale * np.maximum(0.0, J)


class ScaledParam(Scaled):
    scale = nengo.params.NumberParam("scale")


def rates(neuron_type, optimize):
    """Rates of two neurons that differ only in their scale."""
    with nengo.Network(seed=0) as net:
        probes = [
            nengo.Probe(
                nengo.Ensemble(
                    1, 1, gain=[1], bias=[5], neuron_type=neuron_type(scale)
                ).neurons
            )
            for scale in (1.0, 10.0)
        ]
    with nengo.Simulator(net, optimize=optimize, progress_bar=False) as sim:
        sim.run_steps(1)
    return [float(sim.data[probe][-1, 0]) for probe in probes]


print("nengo", nengo.__version__, "numpy", np.__version__)
print("Scaled(1) == Scaled(10):", Scaled(1.0) == Scaled(10.0))
for neuron_type, optimize, expected in [
    (Scaled, False, [5.0, 50.0]),
    (Scaled, True, [5.0, 5.0]),
    (ScaledParam, True, [5.0, 50.0]),
]:
    found = rates(neuron_type, optimize)
    print(f"{neuron_type.__name__}, scales 1 and 10, optimize={optimize}: {found}")
    if found != expected:
        sys.exit(f"The behaviour has changed: expected {expected}.")
if Scaled(1.0) != Scaled(10.0):
    sys.exit("The behaviour has changed: the two types differ now.")
EOF
