#!/usr/bin/env bash
# onnx2torch 1.5.15, onnx 1.23.2, PyTorch 2.13.0.
#
# Expected: a Dropout node whose training_mode is true drops in the module that is made of it.
# Seen: it becomes nn.Dropout, and follows the mode of the module: in evaluation mode it is off,
# whatever the file says.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
python3.11 -m venv "$temp/env"
"$temp/env/bin/pip" install --quiet "torch==2.13.0" "numpy<2.5" "onnx==1.23.2" "onnx2torch==1.5.15"
cd "$temp"

HOME="$temp" "$temp/env/bin/python" -W ignore - << 'END'
import numpy as np
import onnx
import onnx2torch
import torch
from onnx import TensorProto, helper, numpy_helper

graph = helper.make_graph(
    [helper.make_node("Dropout", ["x", "ratio", "training"], ["y"])],
    "g",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 64])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 64])],
    [
        numpy_helper.from_array(np.array(0.5, np.float32), "ratio"),
        numpy_helper.from_array(np.array(True), "training"),
    ],
)
sets = [helper.make_opsetid("", 13)]
model = helper.make_model(graph, opset_imports=sets, ir_version=8)
onnx.checker.check_model(model)
module = onnx2torch.convert(model)
x = torch.ones(3, 64)
on = {mode: bool((module.train(mode)(x) == 0).any()) for mode in (True, False)}
print("drops in training mode", on[True], "and in evaluation mode", on[False])
assert on == {True: True, False: False}, "this has changed"
END
