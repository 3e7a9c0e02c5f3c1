#!/usr/bin/env bash
# NengoDL 3.6.0. One expects that making a nengo_dl.Simulator concerns that simulator only.
# While it builds it sets Nengo's process-wide option precision.bits to 32, and it sets it
# back only if the build succeeds. A nengo.Simulator that another thread makes meanwhile
# computes in 32 bits, and after one failed build so does every later one, without a word.
# Draws that several backends make in threads of one process, or after a network that NengoDL
# refused, then differ from the same draws made alone.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet \
    "nengo-dl==3.6.0" "nengo==4.1.0" "tensorflow==2.12.1" "keras==2.12.0" "numpy==1.24.3"

export TF_CPP_MIN_LOG_LEVEL=3
HOME="$work" "$work/env/bin/python" -I -W ignore - <<'EOF'
import sys
import threading

import nengo
import nengo_dl
import numpy as np
import tensorflow as tf


def precision():
    """The type that a nengo.Simulator made now computes in."""
    with nengo.Network(seed=0) as net:
        probe = nengo.Probe(nengo.Ensemble(5, 1))
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(1)
    return sim.data[probe].dtype.name


class WithAnotherThread(nengo.dists.Distribution):
    """Encoders; another thread makes a nengo.Simulator while they are drawn."""

    def sample(self, n, d=None, rng=np.random):
        thread = threading.Thread(target=lambda: meanwhile.append(precision()))
        thread.start()
        thread.join()
        return np.ones((n, d))


print("nengo_dl", nengo_dl.__version__, "nengo", nengo.__version__)
print("tensorflow", tf.__version__, "numpy", np.__version__)
meanwhile = []
found = [precision()]
with nengo.Network(seed=0) as net:
    nengo.Ensemble(5, 1, encoders=WithAnotherThread())
nengo_dl.Simulator(net, progress_bar=False).close()
found += [*meanwhile, precision()]
with nengo.Network(seed=0) as refused:
    nengo.Ensemble(5, 1, max_rates=nengo.dists.Choice([1000]))
try:
    nengo_dl.Simulator(refused, progress_bar=False)
except nengo.exceptions.ValidationError as error:
    print("build refused:", error)
found.append(precision())

moments = (
    "first",
    "by a thread during a build of NengoDL",
    "then",
    "after the refused build",
)
for moment, dtype in zip(moments, found):
    print(f"a nengo.Simulator made {moment} computes in {dtype}")
if found != ["float64", "float32", "float64", "float32"]:
    sys.exit("The behaviour has changed.")
EOF
