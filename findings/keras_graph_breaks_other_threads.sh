#!/usr/bin/env bash
# Keras 2.12.0 (TensorFlow 2.12.1), the last that NengoDL 3.6.0 runs with. One expects a graph
# entered with `with tf.Graph().as_default():` to concern the thread that entered it. But
# making a layer there swaps the base class of that layer's class, for the whole process and
# beyond the end of the graph: an eager model made before, in another thread, can no longer
# be called, until someone makes a layer outside of a graph.
# Old converters and training scripts build in a graph of their own; run beside a model with
# dropout that is called in threads, they break its draws now and then.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet \
    "tensorflow==2.12.1" "keras==2.12.0" "numpy==1.24.3"

export TF_CPP_MIN_LOG_LEVEL=3
HOME="$work" "$work/env/bin/python" -I -W ignore - <<'EOF'
import sys
import threading

import numpy as np
import tensorflow as tf

Dense = tf.keras.layers.Dense
x = np.ones((1, 3), dtype="float32")
model = tf.keras.Sequential(
    [tf.keras.Input((3,)), Dense(2), tf.keras.layers.Dropout(0.5)]
)


def build_in_a_graph():
    with tf.Graph().as_default():
        Dense(1)


def state():
    """The module of Dense's base class, and whether the eager model can be called."""
    try:
        model(x, training=True)
        works = True
    except ValueError as error:
        works = False
        if "invalid state" not in str(error):
            raise
    return Dense.__bases__[0].__module__, works


print(
    "tensorflow", tf.__version__, "keras", tf.keras.__version__, "numpy", np.__version__
)
found = [state()]
thread = threading.Thread(target=build_in_a_graph)
thread.start()
thread.join()
found.append(state())
Dense(1)
found.append(state())

moments = (
    "at first",
    "after a thread made a layer in its own graph",
    "after a new eager layer",
)
for moment, (module, works) in zip(moments, found):
    print(f"{moment}: base class of Dense from {module}; eager model works: {works}")
eager, graph = "keras.engine.base_layer", "keras.engine.base_layer_v1"
if found != [(eager, True), (graph, False), (eager, True)]:
    sys.exit("The behaviour has changed.")
EOF
