#!/usr/bin/env bash
# Keras 3.15.1 on JAX 0.10.2; the same on TensorFlow 2.21.0 and PyTorch. Keras 2.12.0 differs.
#
# Expected: in a functional model, Dropout(0.5)(h, training=True) drops at prediction time,
# which is how much published MC-dropout code has it.
# Seen: model(x) drops, but model.predict(x), model.evaluate and model(x, training=False) don't:
# what the model is called with overrules what the layer's call says. In Keras 2.12.0 it drops
# in all of them. A layer whose own call() says training=True drops everywhere.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
python3.11 -m venv "$temp/env"
"$temp/env/bin/pip" install --quiet "keras==3.15.1" "jax==0.10.2"
cd "$temp"

HOME="$temp" KERAS_BACKEND=jax "$temp/env/bin/python" -W ignore - << 'END'
import keras
import numpy as np

print("keras", keras.__version__)
x = keras.Input((64,))
model = keras.Model(x, keras.layers.Dropout(0.5)(x, training=True))


class Always(keras.layers.Dropout):
    def call(self, inputs, training=None):
        return super().call(inputs, training=True)


always = keras.Model(x, Always(0.5)(x))
X = np.ones((3, 64), np.float32)


def drops(answers):
    return bool((np.asarray(answers) == 0).any())


found = {
    "model(x)": drops(model(X)),
    "model.predict(x)": drops(model.predict(X, verbose=0)),
    "model(x, training=False)": drops(model(X, training=False)),
    "predict, of a layer whose call says so": drops(always.predict(X, verbose=0)),
}
for how, on in found.items():
    print(f"{how}: drops {on}")
assert list(found.values()) == [True, False, False, True], "this has changed"
END
