#!/usr/bin/env bash
# Keras 2.12.0 (TensorFlow 2.12.1). A model that is saved and loaded again is expected to be
# the same model. Two layers leave an option out of their configuration, so that it isn't:
#
# - SpatialDropout2D(data_format="channels_first") comes back as channels_last: it drops
#   other units together than those that the model was trained with. Nothing is said, and
#   the spread of its answers is another one.
# - Normalization(invert=True) comes back without invert: it scales the other way.
#
# The same in .h5 files and in the .keras format of that version.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet "tensorflow==2.12.1" "numpy==1.23.5"
cd "$work"

HOME="$work" TF_CPP_MIN_LOG_LEVEL=3 "$work/env/bin/python" - << 'END'
import sys

import numpy as np
from tensorflow import keras

print("keras", keras.__version__)
layers = keras.layers
model = keras.Sequential(
    [
        keras.Input((4, 6, 6)),
        layers.Normalization(axis=1, mean=[0.0] * 4, variance=[4.0] * 4, invert=True),
        layers.SpatialDropout2D(0.5, data_format="channels_first"),
    ]
)
model.save("model.h5")
model.save("model.keras", save_format="keras_v3")
x = np.ones((1, 4, 6, 6), "float32")


def whole_channels(model):
    """Whether what is dropped in training are whole channels, of the first axis."""
    keras.utils.set_random_seed(1)
    dropped = np.array(model(x, training=True))[0] == 0
    return bool(np.all(dropped == dropped[:, :1, :1]) and dropped.any())


print("as it was made:", float(np.array(model(x)).max()), whole_channels(model))
if np.array(model(x)).max() != 2.0 or not whole_channels(model):
    sys.exit("The model isn't as it was asked for.")
for name in ("model.h5", "model.keras"):
    loaded = keras.models.load_model(name, compile=False)
    value, channels = float(np.array(loaded(x)).max()), whole_channels(loaded)
    print(f"{name}: an input of 1 becomes {value}; drops its channels: {channels}")
    if (value, channels) != (0.5, False):
        sys.exit("The behaviour has changed.")
END
