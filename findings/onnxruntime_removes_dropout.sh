#!/usr/bin/env bash
# ONNX Runtime 1.32.0 (and 1.23.2), onnx 1.23.2.
#
# Expected: a Dropout node whose training_mode is true drops, as ONNX's specification says,
# and a node without a fixed seed gives other masks in each run.
# Seen: by default the optimiser "EliminateDropout" removes the node, whether training_mode is
# an initializer, a Constant or an input that is fed True; nothing is said. It stays with
# disabled_optimizers=["EliminateDropout"]. Then a seed makes each new session replay the same
# masks; with the seed 0 the second run of a session repeats the first; and two nodes of the
# same seed have the same masks.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
python3.11 -m venv "$temp/env"
"$temp/env/bin/pip" install --quiet "onnx==1.23.2" "onnxruntime==1.32.0"
cd "$temp"

HOME="$temp" "$temp/env/bin/python" -W ignore - << 'END'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

print("onnxruntime", onnxruntime.__version__)
X = np.ones((3, 64), np.float32)


def model(training, n_nodes=1, **attributes):
    """One or two Dropout nodes of the rate 0.5."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 64])]
    constants = [numpy_helper.from_array(np.array(0.5, np.float32), "ratio")]
    nodes = []
    true = numpy_helper.from_array(np.array(True), "training")
    if training == "initializer":
        constants.append(true)
    elif training == "Constant":
        nodes.append(helper.make_node("Constant", [], ["training"], value=true))
    else:
        kind = helper.make_tensor_value_info("training", TensorProto.BOOL, [])
        inputs.append(kind)
    outputs = []
    nodes.append(helper.make_node("Relu", ["x"], ["r"]))
    for number in range(n_nodes):
        taken = ["r", "ratio", "training"]
        nodes.append(helper.make_node("Dropout", taken, [f"d{number}"], **attributes))
        nodes.append(helper.make_node("Abs", [f"d{number}"], [f"y{number}"]))
        kind = helper.make_tensor_value_info(f"y{number}", TensorProto.FLOAT, [None, 64])
        outputs.append(kind)
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    sets = [helper.make_opsetid("", 17)]
    made = helper.make_model(graph, opset_imports=sets, ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def opened(made, **options):
    return onnxruntime.InferenceSession(made, **options)


def run(session):
    feed = {"x": X}
    if len(session.get_inputs()) > 1:
        feed["training"] = np.array(True)
    return session.run(None, feed)


kept = {"disabled_optimizers": ["EliminateDropout"]}
for training in ("initializer", "Constant", "input"):
    lost = (run(opened(model(training)))[0] != 0).all()
    on = (run(opened(model(training), **kept))[0] == 0).any()
    print(f"training_mode as {training}: lost {lost}; without the optimiser, on {on}")
    assert lost and on, "this has changed"
a, b = (run(opened(model("initializer", seed=42), **kept))[0] for _ in range(2))
print("seed 42: two sessions have the same masks:", np.array_equal(a, b))
assert np.array_equal(a, b), "this has changed"
session = opened(model("initializer", seed=0), **kept)
runs = [run(session)[0] for _ in range(3)]
print("seed 0: run 2 repeats run 1:", np.array_equal(runs[0], runs[1]))
assert np.array_equal(runs[0], runs[1]), "this has changed"
assert not np.array_equal(runs[1], runs[2]), "this has changed"
first, second = run(opened(model("initializer", 2, seed=7), **kept))
print("two nodes of one seed share masks:", np.array_equal(first, second))
assert np.array_equal(first, second), "this has changed"
END
