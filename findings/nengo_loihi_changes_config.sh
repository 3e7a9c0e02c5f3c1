#!/usr/bin/env bash
# NengoLoihi 1.1.0, with Nengo 4.1.0 (and 3.2.0, not shown). One expects a simulator to read
# a network and leave it as it is, as nengo.Simulator does. But nengo_loihi.Simulator(net) adds
# parameters to the config of the network and of all its subnetworks, for good. Pickled
# afterwards, the network names a class of NengoLoihi; where that isn't installed, it no longer
# loads. A network that was tried on the emulator and is then sent to workers that have only
# Nengo, or compared by its pickle (checkpoints, caches), isn't the one it was. Simulate a copy.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet \
    "nengo-loihi==1.1.0" "nengo==4.1.0" "numpy==1.24.3" "scipy==1.15.3"

cd "$work"
HOME="$work" env/bin/python -I -W ignore - <<'EOF'
import pickle
import sys

import nengo
import nengo_loihi
import numpy as np


def added(network):
    return sorted(network.config[nengo.Ensemble]._extra_params)


with nengo.Network(seed=0) as net:
    with nengo.Network() as sub:
        nengo.Probe(nengo.Ensemble(10, 1))

versions = nengo_loihi.__version__, "nengo", nengo.__version__, "numpy", np.__version__
print("nengo_loihi", *versions)
nengo.Simulator(net, progress_bar=False).close()
print("ensemble parameters added by nengo.Simulator:", added(net), added(sub))
with open("before.pkl", "wb") as file:
    pickle.dump(net, file)
unchanged = not added(net) and not added(sub)
nengo_loihi.Simulator(net, progress_bar=False).close()
print("ensemble parameters added by nengo_loihi.Simulator:", added(net), added(sub))
with open("after.pkl", "wb") as file:
    pickle.dump(net, file)
if not unchanged or not added(net) == added(sub) == ["block_shape", "on_chip"]:
    sys.exit("The behaviour has changed: other parameters were added.")
EOF

env/bin/pip uninstall --quiet --yes nengo-loihi
HOME="$work" env/bin/python -I - <<'EOF'
import pickle
import sys

with open("before.pkl", "rb") as file:
    print("pickled before, without NengoLoihi:", pickle.load(file))
try:
    with open("after.pkl", "rb") as file:
        pickle.load(file)
except ModuleNotFoundError as error:
    print("pickled after, without NengoLoihi: ModuleNotFoundError:", error)
else:
    sys.exit("The behaviour has changed: the network loads without NengoLoihi.")
EOF
