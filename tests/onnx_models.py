"""Small ONNX models, made node by node."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """
    Nodes one behind the other.

    Parameters
    ----------
    *shape : int
        Of the input "x", without rows.
    opset : int, optional
    rows : int or str, optional
        How many it takes; a name for any number.
    dtype : int, optional
        Of the input, as onnx numbers it.
    """

    def __init__(self, *shape, opset=17, rows="rows", dtype=TensorProto.FLOAT):
        self.opset, self.last = opset, "x"
        self.inputs = [helper.make_tensor_value_info("x", dtype, [rows, *shape])]
        self.shape, self.nodes, self.constants = shape, [], []
        self.rng = np.random.RandomState(0)

    def constant(self, value, dtype=np.float32):
        """The name of an initializer."""
        name = f"c{len(self.constants)}"
        array = np.asarray(value, dtype)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def weights(self, *shape):
        return self.constant(self.rng.normal(size=shape) / np.sqrt(shape[-1]))

    def add(self, operator, *others, inputs=None, outputs=1, domain="", **attributes):
        """Add a node that takes what the last one gives, and others."""
        names = [f"v{len(self.nodes)}_{n}" for n in range(outputs)]
        node = helper.make_node(
            operator,
            [self.last, *others] if inputs is None else inputs,
            names,
            name=f"{operator.lower()}_{len(self.nodes)}",
            domain=domain,
            **attributes,
        )
        self.nodes.append(node)
        self.last = names[0]
        return self

    def linear(self, n_in, n_out):
        weight, bias = self.weights(n_out, n_in), self.weights(n_out)
        return self.add("Gemm", weight, bias, transB=1)

    def model(self, *outputs, inputs=(), dtype=TensorProto.FLOAT):
        """The model, with the last value as its output, or those of some names."""
        outputs = outputs or (self.last,)
        graph = helper.make_graph(
            self.nodes,
            "small",
            [*self.inputs, *inputs],
            [helper.make_tensor_value_info(name, dtype, None) for name in outputs],
            self.constants,
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def rows(*shape, n=3):
    return np.random.RandomState(1).normal(size=(n, *shape)).astype(np.float32)


def whole(graph, *numbers):
    return graph.constant(numbers, np.int64)


def resized(graph, times, opset):
    """Nearest-neighbour upsampling in each opset's words."""
    scales = graph.constant(times)
    if opset == 9:
        return graph.add("Upsample", scales, mode="nearest")
    if opset == 10:
        return graph.add("Resize", scales, mode="nearest")
    options = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    roi = graph.constant([]) if opset == 11 else ""
    return graph.add("Resize", roi, scales, mode="nearest", **options)


def worded(opset):
    """A model of operators whose words changed between opsets."""
    graph = Graph(3, 6, 5, opset=opset)
    pads = [0, 0, 1, 0, 0, 0, 0, 2]
    if opset < 11:
        graph.add("Pad", pads=pads, value=0.5)
    else:
        graph.add("Pad", whole(graph, *pads), graph.constant(0.5))
    graph.add("Conv", graph.weights(4, 3, 3, 3), graph.weights(4), dilations=[2, 1])
    norm = [graph.weights(4), graph.weights(4), graph.weights(4)]
    graph.add("BatchNormalization", *norm, graph.constant(np.linspace(0.5, 2, 4)))
    bounds = {"min": 0.0, "max": 1.5}
    if opset < 11:
        graph.add("Clip", **bounds)
    else:
        graph.add("Clip", *map(graph.constant, bounds.values()))
    if opset < 10:
        graph.add("Slice", axes=[2, 3], starts=[0, -4], ends=[2, 100])
    else:
        parts = [(0, -4), (2, 100), (2, 3)]
        graph.add("Slice", *(whole(graph, *each) for each in parts))
    resized(graph, [1, 1, 2, 1], opset)
    if opset < 12:
        graph.add("Dropout", ratio=0.25)
    else:
        graph.add("Dropout", graph.constant(0.25))
    if opset < 13:
        graph.add("Unsqueeze", axes=[1]).add("Squeeze", axes=[1])
        graph.add("Split", axis=3, split=[1, 3], outputs=2)
        graph.last = graph.nodes[-1].output[1]
        graph.add("ReduceSum", axes=[3], keepdims=0)
    else:
        graph.add("Unsqueeze", whole(graph, 1)).add("Squeeze", whole(graph, 1))
        graph.add("Split", whole(graph, 1, 3), axis=3, outputs=2)
        graph.last = graph.nodes[-1].output[1]
        graph.add("ReduceSum", whole(graph, 3), keepdims=0)
    if opset < 18:
        graph.add("ReduceMean", axes=[2], keepdims=0)
    else:
        graph.add("ReduceMean", whole(graph, 2), keepdims=0)
    graph.linear(4, 3)
    return graph.add("Softmax", axis=1).model()


def activated(operator, **attributes):
    graph = Graph(4).linear(4, 6)
    return graph.add(operator, **attributes).linear(6, 2).model()


ACTIVATIONS = {
    "Abs": {},
    "Celu": {"alpha": 0.5},
    "Elu": {"alpha": 0.7},
    "HardSigmoid": {"alpha": 0.3, "beta": 0.4},
    "LeakyRelu": {"alpha": 0.2},
    "Relu": {},
    "Selu": {},
    "Sigmoid": {},
    "Softplus": {},
    "Tanh": {},
}
