#!/usr/bin/env bash
# onnx 1.23.2. The reference evaluator is expected to compute what the operators' documents
# say. Two operators of models for inference don't:
#
# - BatchNormalization of opsets 9 to 13, with one output: the document says that it uses
#   the mean and variance that it is given. The evaluator mixes them with those of the
#   batch, by the momentum, so that an answer depends on the other rows beside it. Models
#   of PyTorch's older exporter have it, and comparing with them fails.
# - ConvTranspose with group=2 raises, where groups have several channels.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet "onnx==1.23.2"
cd "$work"

"$work/env/bin/python" - << 'END'
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

print("onnx", onnx.__version__)


def model(node, shape, constants, opset):
    made = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.asarray(value, "float32"), name)
            for name, value in constants.items()
        ],
    )
    opsets = [helper.make_opsetid("", opset)]
    return ReferenceEvaluator(helper.make_model(made, opset_imports=opsets, ir_version=8))


norm = helper.make_node(
    "BatchNormalization", ["x", "scale", "bias", "mean", "var"], ["y"], epsilon=0.0
)
given = {"scale": [1.0], "bias": [0.0], "mean": [0.0], "var": [1.0]}
x = np.array([[1.0], [3.0]], "float32")  # to be handed on as it is
for opset, mixed in ((9, True), (13, True), (15, False)):
    (alone,) = model(norm, [1], given, opset).run(None, {"x": x[:1]})
    (both,) = model(norm, [1], given, opset).run(None, {"x": x})
    print(f"opset {opset}: 1 becomes {alone[0, 0]:.3f} alone, {both[0, 0]:.3f} beside 3")
    if (abs(both[0, 0] - 1.0) > 0.01) != mixed:
        sys.exit("The behaviour has changed.")

node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], group=2)
try:
    evaluator = model(node, [4, 3, 3], {"w": np.ones((4, 3, 3, 3))}, 17)
    evaluator.run(None, {"x": np.ones((1, 4, 3, 3), "float32")})
except ValueError as error:
    print("ConvTranspose with two groups:", error)
else:
    sys.exit("The behaviour has changed.")
END
