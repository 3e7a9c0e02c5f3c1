"""ONNX models with dropout, as exporters of all kinds write them."""

import numpy as np
import onnx

RATE = 0.4
WEIGHTS = np.random.RandomState(1).randn(4, 60), np.random.RandomState(2).randn(60, 2)


def model(training="initializer", opset=17, rows="rows", mask=False, kind=np.float32):
    """Two matrices and a rectifier, with a Dropout between them."""
    make, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    elements = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    weights = [tensor(w.astype(kind), f"w{i}") for i, w in enumerate(WEIGHTS)]
    inputs = [onnx.helper.make_tensor_value_info("x", elements, [rows, 4])]
    nodes = [make("MatMul", ["x", "w0"], ["h"]), make("Relu", ["h"], ["r"])]
    taken = ["r"]
    if opset >= 12:
        weights.append(tensor(np.array(RATE, np.float32), "ratio"))
        taken.append("ratio")
        if training == "initializer":
            weights.append(tensor(np.array(True), "training"))
        elif training == "constant":
            value = tensor(np.array(True))
            nodes.append(make("Constant", [], ["training"], value=value))
        elif training == "input":
            inputs.append(
                onnx.helper.make_tensor_value_info(
                    "training", onnx.TensorProto.BOOL, []
                )
            )
        taken += ["training"] if training else []
        attributes = {"seed": 42}
    else:
        attributes = {"ratio": RATE}
    outputs = ["d", "mask"] if mask else ["d"]
    nodes.append(make("Dropout", taken, outputs, name="drop", **attributes))
    last = "d"
    if mask:  # only what is kept, once more
        nodes += [
            make("Cast", ["mask"], ["m"], to=elements),
            make("Mul", ["d", "m"], ["dm"]),
        ]
        last = "dm"
    nodes.append(make("MatMul", [last, "w1"], ["y"]))
    outputs = [onnx.helper.make_tensor_value_info("y", elements, [rows, 2])]
    graph = onnx.helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    sets = [onnx.helper.make_opsetid("", opset)]
    made = onnx.helper.make_model(graph, opset_imports=sets, ir_version=8)
    onnx.checker.check_model(made)
    return made
