#!/usr/bin/env bash
# Nengo 4.1.0. One expects that a network with a seed, in a simulator with a seed, has
# nothing to do with NumPy's global generator. But every build draws one number from it and
# throws it away. So numbers drawn with np.random after np.random.seed depend on whether,
# and how many times, a network was built in between, and threads that build disturb each other.
# A study that draws its dropout masks, its shuffles or its test split with np.random changes
# when a simulator is made earlier or once more. Use a generator of one's own.
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
    nengo.Ensemble(10, 1, seed=1)


def shuffle(n_builds):
    """A shuffle from NumPy's global generator, after seeding it and some builds."""
    np.random.seed(0)
    for _ in range(n_builds):
        nengo.Simulator(net, seed=2, progress_bar=False).close()
    return np.random.permutation(8).tolist()


print("nengo", nengo.__version__, "numpy", np.__version__)
shuffles = [shuffle(n_builds) for n_builds in range(3)]
for n_builds, order in enumerate(shuffles):
    print(f"permutation after {n_builds} builds of a seeded network: {order}")

# exactly one draw a build
np.random.seed(0)
np.random.randint(np.iinfo(np.int32).max)
one_draw = np.random.permutation(8).tolist()
if shuffles[0] == shuffles[1] or shuffles[1] == shuffles[2]:
    sys.exit("The behaviour has changed: a build leaves the global generator alone.")
if shuffles[1] != one_draw:
    sys.exit("The behaviour has changed: a build no longer draws one number.")
EOF
