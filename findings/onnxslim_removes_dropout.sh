#!/usr/bin/env bash
# onnxslim 0.1.98, onnx 1.23.2.
#
# Expected: what makes a model slimmer leaves what it computes.
# Seen: a Dropout node that is in training mode (its training_mode is a true initializer) is
# removed as if it were in inference mode. The slim model is deterministic; nothing is said.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
python3.11 -m venv "$temp/env"
"$temp/env/bin/pip" install --quiet "onnx==1.23.2" "onnxslim==0.1.98"
cd "$temp"

HOME="$temp" "$temp/env/bin/python" -W ignore - << 'END'
import numpy as np
import onnx
import onnxslim
from onnx import TensorProto, helper, numpy_helper

print("onnxslim", onnxslim.__version__)
graph = helper.make_graph(
    [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Dropout", ["r", "ratio", "training"], ["d"]),
        helper.make_node("Abs", ["d"], ["y"]),
    ],
    "g",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 64])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 64])],
    [
        numpy_helper.from_array(np.array(0.5, np.float32), "ratio"),
        numpy_helper.from_array(np.array(True), "training"),
    ],
)
model = helper.make_model(
    graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
)
onnx.checker.check_model(model)
slim = onnxslim.slim(model)
after = [node.op_type for node in slim.graph.node]
before = [node.op_type for node in graph.node]
print("nodes before:", before)
print("nodes after: ", after)
assert "Dropout" in before and "Dropout" not in after, "this has changed"
END
