#!/usr/bin/env bash
# NengoDL 3.6.0. One expects nengo_dl.Simulator(seed=...) to seed that simulator. It calls
# tf.random.set_seed, so it seeds everything in the process that draws with TensorFlow,
# Keras models that have nothing to do with the simulator among them.
# A comparison of a Keras model's Monte Carlo dropout with its Nengo version, repeated with a
# new simulator each time, gets the very same Keras masks in every repetition: its "independent"
# draws aren't, and its spread over repetitions is zero. Set the seed again after the build.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet \
    "nengo-dl==3.6.0" "nengo==4.1.0" "tensorflow==2.12.1" "keras==2.12.0" "numpy==1.24.3"

export TF_CPP_MIN_LOG_LEVEL=3
HOME="$work" "$work/env/bin/python" -I -W ignore - <<'EOF'
import sys

import nengo
import nengo_dl
import numpy as np
import tensorflow as tf

with nengo.Network(seed=0) as net:
    nengo.Probe(nengo.Ensemble(5, 1))

inputs = tf.keras.Input((8,))
dropped = tf.keras.layers.Dropout(0.5)(inputs, training=True)
model = tf.keras.Model(inputs, dropped)


def masks(simulator):
    """Units kept in three draws of the Keras model, a simulator made before each."""
    tf.random.set_seed(7)
    found = []
    for _ in range(3):
        if simulator is not None:
            simulator(net, progress_bar=False).close()
        kept = model(np.ones((1, 8))).numpy()[0] > 0
        found.append("".join("01"[int(unit)] for unit in kept))
    return found


print("nengo_dl", nengo_dl.__version__, "nengo", nengo.__version__)
print("tensorflow", tf.__version__, "numpy", np.__version__)
alone, beside_nengo = masks(None), masks(nengo.Simulator)
beside_nengo_dl = masks(nengo_dl.Simulator)
print("masks of a Keras model by itself:           ", *alone)
print("... a nengo.Simulator made before each:     ", *beside_nengo)
print("... a nengo_dl.Simulator made before each:  ", *beside_nengo_dl)
if len(set(alone)) != 3 or beside_nengo != alone:
    sys.exit("The behaviour has changed: Keras' own masks are the same each time.")
if len(set(beside_nengo_dl)) != 1:
    sys.exit("The behaviour has changed: NengoDL leaves TensorFlow's seed alone.")
EOF
