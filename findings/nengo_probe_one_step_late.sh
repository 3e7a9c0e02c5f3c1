#!/usr/bin/env bash
# Nengo 4.1.0. One expects Probe(sample_every=0.1 + 0.2) to record what
# sample_every=0.3 does: every 300th step at dt=0.001. But 0.1 + 0.2 is a hair above
# 0.3, and the probe compares without tolerance, so every sample is taken one step late
# and the last is lost. The same happens to the plain number 0.07 at dt=0.01.
# PresentInput does round, so a probe read once per presentation, with a period computed as
# settling time + window, gives the next observation's value, under other dropout masks.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet "nengo==4.1.0" "numpy==1.24.3"

HOME="$work" "$work/env/bin/python" -I - <<'EOF'
import sys

import nengo
import numpy as np


def recorded(period, dt, n_steps):
    """Steps at which a probe samples, and what PresentInput shows at these steps."""
    with nengo.Network(seed=0) as net:
        step = nengo.Node(lambda t: round(t / dt))
        shown = nengo.Node(nengo.processes.PresentInput([[1], [2], [3]], period))
        steps = nengo.Probe(step, sample_every=period)
        values = nengo.Probe(shown, sample_every=period)
    with nengo.Simulator(net, dt=dt, progress_bar=False) as sim:
        sim.run_steps(n_steps)
    return sim.data[steps].ravel().astype(int), sim.data[values].ravel().astype(int)


print("nengo", nengo.__version__, "numpy", np.__version__)
cases = [
    # text, period, dt, steps to run, steps recorded, observations recorded
    ("0.3", 0.3, 0.001, 900, [300, 600, 900], [1, 2, 3]),
    ("0.1 + 0.2", 0.1 + 0.2, 0.001, 900, [301, 601], [2, 3]),
    ("3 * 0.1", 3 * 0.1, 0.001, 900, [301, 601], [2, 3]),
    ("0.07", 0.07, 0.01, 21, [8, 15], [2, 3]),
]
for text, period, dt, n_steps, *expected in cases:
    steps, values = recorded(period, dt, n_steps)
    print(
        f"sample_every={text}, dt={dt}, {n_steps} steps: "
        f"recorded at steps {steps.tolist()}, observations {values.tolist()}"
    )
    if [steps.tolist(), values.tolist()] != expected:
        sys.exit(f"The behaviour has changed: expected {expected}.")
EOF
