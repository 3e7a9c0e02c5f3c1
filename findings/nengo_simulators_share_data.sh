#!/usr/bin/env bash
# Nengo 4.1.0. Simulator(None, model=model) takes a network that is built already, so one
# expects to build once and run many simulators on it, each with its own seed and data. But
# the recorded data live in the model: making a second simulator empties the first one's
# data, and from then on each finds the other's steps among its own.
# Building once and simulating many draws is what a user with dropout masks wants to do; the
# data of each draw have to be copied before the next simulator is made, and never in threads.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet "nengo==4.1.0" "numpy==1.24.3"

HOME="$work" "$work/env/bin/python" -I - <<'EOF'
import sys

import nengo
import numpy as np

with nengo.Network(seed=0) as net:
    probe = nengo.Probe(nengo.Node(nengo.processes.WhiteNoise()))
model = nengo.builder.Model(dt=0.001)
model.build(net)

print("nengo", nengo.__version__, "numpy", np.__version__)
found = []
with nengo.Simulator(None, model=model, seed=1, progress_bar=False) as first:
    first.run_steps(5)
    found.append(len(first.data[probe]))
    print("first simulator after 5 steps:", found[-1], "rows")
    with nengo.Simulator(None, model=model, seed=2, progress_bar=False) as second:
        found.append(len(first.data[probe]))
        print("first simulator when a second one was made:", found[-1], "rows")
        second.run_steps(3)
        first.run_steps(2)
        same = np.array_equal(first.data[probe], second.data[probe])
        found += [len(first.data[probe]), len(second.data[probe]), same]
        print(
            f"3 more steps of the second, 2 of the first: first has {found[2]} "
            f"rows for {first.n_steps} steps, second {found[3]} rows for "
            f"{second.n_steps} steps; equal data: {same}"
        )
if found != [5, 0, 5, 5, True]:
    sys.exit("The behaviour has changed: expected 5, 0, 5 and 5 rows, equal data.")
EOF
