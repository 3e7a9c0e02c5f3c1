#!/usr/bin/env bash
# Keras 3.15.1 on JAX 0.10.2.
#
# Expected: in the JSON of a functional model a value is named by its layer, the number of
# that layer's call, and a tensor's number, and one value has one name.
# Seen: the value that a nested functional model gives is ["nested", 0, 0] where a layer
# takes it, and ["nested", 1, 0] where it is an output of the model: only there is the call
# counted that the nested model has from its own making. A reader that takes the first
# for the second finds no such call, or another one.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
python3.11 -m venv "$temp/env"
"$temp/env/bin/pip" install --quiet "keras==3.15.1" "jax==0.10.2"
cd "$temp"

HOME="$temp" KERAS_BACKEND=jax "$temp/env/bin/python" - << 'END'
import json

import keras

x = keras.Input((3,))
nested = keras.Model(x, keras.layers.Dense(2)(x), name="nested")
inputs = keras.Input((3,))
value = nested(inputs)
model = keras.Model(inputs, [value, keras.layers.Dense(1, name="last")(value)])
config = json.loads(model.to_json())["config"]
(last,) = (layer for layer in config["layers"] if layer["name"] == "last")
taken = last["inbound_nodes"][0]["args"][0]["config"]["keras_history"]
given = config["output_layers"][0]
print("as the last layer takes it:", taken)
print("as the model gives it:     ", given)
assert taken == ["nested", 0, 0] and given == ["nested", 1, 0], "this has changed"
END
