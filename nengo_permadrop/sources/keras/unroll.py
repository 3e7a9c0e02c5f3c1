"""
Keras models as plain data, whether they are in memory or in a file.

What is known of a model's calls is a `Network`, which `.reader` makes of a model in
memory and `.file_config` of a file. Here nested models are unrolled; a layer or model
that is used several times gives one `LayerCall` for each use, because each use drops
units of its own.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.traced import ARITHMETIC

# Calls of layers that a model may have when nested models are unrolled. Each of a few
# that are nested in one another and called twice makes twice as many
MAX_CALLS = 20_000


@dataclass(frozen=True)
class LayerSpec:
    """
    A Keras layer without Keras.

    Attributes
    ----------
    name : str
    class_name : str
        Without the package that it may be registered under.
    config : dict
        The layer's ``get_config()``.
    weights : {str: ndarray}
        By the layer's own attribute names, such as ``kernel``.
    acts_as : str
        Name of the class that it does the same as, if its own is the user's; otherwise
        its own.
    generation : int or None
        Major version of the Keras that it is of; None if a file doesn't say.
    always : bool
        Whether it is a dropout that is on whatever it is called with.
    """

    name: str
    class_name: str
    config: dict
    weights: dict
    acts_as: str = None
    generation: int | None = None
    always: bool = False

    def __post_init__(self):
        if self.acts_as is None:
            object.__setattr__(self, "acts_as", self.class_name)

    def __str__(self):
        return f"layer '{self.name}' ({self.class_name})"


@dataclass(frozen=True)
class LayerCall:
    """
    One use of a layer.

    Attributes
    ----------
    path : str
        Unique name of the use: the layer's name, behind the names of the models that
        it is nested in; a model or layer used several times is numbered
        (``drug_encoder[1]/dense_2``).
    spec : `LayerSpec`
    inputs : tuple of int
        Indices into `KerasGraph.shapes` of the values that it takes.
    output : int
        Index of the value that it gives.
    options : dict
        Keyword arguments that it was called with, such as ``training``.
    traced : `.Traced` or None
        Of arithmetic on values: all of the call.
    """

    path: str
    spec: LayerSpec
    inputs: tuple
    output: int
    options: dict
    traced: Any = None

    def __str__(self):
        kind = "layer" if self.traced is None else "operation"
        return f"{kind} '{self.path}' ({self.spec.class_name})"

    @property
    def named(self):
        """Path and label, as a `.GraphWriter` takes them."""
        return self.path, self.spec.class_name


@dataclass
class KerasGraph:
    """
    A Keras model without Keras.

    Attributes
    ----------
    shapes : list of (tuple of int or None)
        Shape of each value, without the batch axis; None where it isn't said, as in a
        file, which says the shapes of inputs only.
    calls : list of `LayerCall`
        In an order in which they can be computed.
    inputs, outputs : {str: int}
        Values that are the model's inputs and outputs, in the model's order.
    """

    shapes: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    inputs: dict = field(default_factory=dict)
    outputs: dict = field(default_factory=dict)

    def size(self, value):
        """Number of elements of a value."""
        return math.prod(self.shapes[value])


@dataclass(frozen=True, eq=False)
class Node:
    """
    One call of a layer, as its model knows it.

    Attributes
    ----------
    layer : object
        Stands for the layer: the same for each of its calls.
    name, class_name : str
    inputs, outputs : list
        Keys of the values that it takes and gives.
    options : dict
        What it was called with beside these values.
    shapes : list of (tuple of (int or None), or None)
        Of its outputs, the batch axis among them; None if it isn't known.
    network : `Network` or None
        If the layer is a model.
    traced : `.Traced` or None
        Of arithmetic on values, which is no layer.
    """

    layer: Any
    name: str
    class_name: str
    inputs: list
    outputs: list
    options: dict
    shapes: list
    network: Any = None
    traced: Any = None


@dataclass(frozen=True, eq=False)
class Network:
    """
    What a functional or Sequential model consists of.

    Attributes
    ----------
    name : str
    inputs, outputs : list
        Keys of values.
    node : callable
        Takes the key of a value that is no input; returns the `Node` that gives it.
    """

    name: str
    inputs: list
    outputs: list
    node: Any


def unrolled(network, input_names, output_names, input_shapes, spec):
    """
    The calls of a model.

    Parameters
    ----------
    network : `Network`
    input_names, output_names : list of str
    input_shapes : list of tuple of (int or None)
        With the batch axis.
    spec : callable
        Takes a `Node`; returns the `LayerSpec` of its layer.

    Returns
    -------
    graph : `KerasGraph`
    layers : list
        ``layer`` of the node of each call.

    Raises
    ------
    ConversionError
        If a value is of unknown size, or a call is not one of a layer with one output.
    """
    unroller = _Unroller(spec)
    inputs = [unroller.add_value(shape, network.name) for shape in input_shapes]
    unroller.graph.inputs = dict(zip(input_names, inputs))
    outputs = unroller.add(network, inputs, prefix="")
    unroller.graph.outputs = dict(zip(output_names, outputs))
    return unroller.graph, unroller.layers


def unique_names(names):
    """Names of outputs, made unique as Keras does."""
    unique = []
    for name in names:
        repeats = sum(1 for known in unique if known.partition("#")[0] == name)
        unique.append(f"{name}#{repeats}" if repeats else name)
    return unique


class _Unroller:
    def __init__(self, spec):
        self.graph = KerasGraph()
        self.layers = []
        self._spec = spec

    def add_value(self, shape, where):
        if shape is not None:
            if any(size is None for size in shape[1:]):
                raise ConversionError(
                    f"model '{where}'",
                    f"a value has the shape {tuple(shape)}, of unknown size",
                    "Give the inputs of the model a fixed shape",
                )
            shape = tuple(int(size) for size in shape[1:])
        self.graph.shapes.append(shape)
        return len(self.graph.shapes) - 1

    def add(self, network, inputs, prefix):
        """Add the calls of a model that takes ``inputs``; return its outputs."""
        values = dict(zip(network.inputs, inputs))
        nodes = _in_order(network, set(values))
        uses = {}
        for node in nodes:
            uses[node.layer] = uses.get(node.layer, 0) + 1
        seen = {}
        for node in nodes:
            number = seen.get(node.layer, 0)
            seen[node.layer] = number + 1
            name = node.name if uses[node.layer] == 1 else f"{node.name}[{number}]"
            arguments = [values[key] for key in node.inputs]
            values.update(zip(node.outputs, self._call(node, arguments, prefix + name)))
        return [values[key] for key in network.outputs]

    def _call(self, node, arguments, path):
        if node.network is not None:
            # a model hands "training" down to all of its layers
            if node.options.get("training") is not None:
                raise ConversionError(
                    f"model '{path}'",
                    f"is called with training={node.options['training']}",
                    "Call it without, and use PermanentDropout for the layers that "
                    "shall drop units at prediction time",
                )
            return self.add(node.network, arguments, prefix=f"{path}/")
        if len(node.outputs) != 1:
            raise ConversionError(
                f"layer '{path}' ({node.class_name})",
                f"has {len(node.outputs)} outputs",
                "Only layers with one output are supported",
            )
        if len(self.graph.calls) == MAX_CALLS:
            raise ConversionError(
                f"layer '{node.name}' ({node.class_name})",
                f"is one of more than {MAX_CALLS} uses of layers in the model",
                "Give a model that calls fewer",
            )
        value = self.add_value(node.shapes[0], path)
        if node.traced is None:
            spec = self._spec(node)
        else:  # some have the names of layers
            spec = LayerSpec(node.name, node.class_name, {}, {}, ARITHMETIC)
        self.graph.calls.append(
            LayerCall(path, spec, tuple(arguments), value, node.options, node.traced)
        )
        self.layers.append(node.layer)
        return [value]


def _in_order(network, known):
    """The nodes from known values to the outputs, in order of computation.

    Iterative, so that a deep model doesn't meet Python's recursion limit.
    """
    order, placed = [], set()
    stack = [(key, None) for key in reversed(network.outputs)]
    while stack:
        key, node = stack.pop()
        if node is not None:
            placed.update(node.outputs)
            order.append(node)
            continue
        if key in known or key in placed:
            continue
        node = network.node(key)
        if not node.inputs:
            raise ConversionError(
                f"layer '{node.name}' ({node.class_name})",
                "is an input that is not among the model's inputs",
                "List every input in keras.Model(inputs=..., outputs=...)",
            )
        stack.append((key, node))
        stack.extend((source, None) for source in reversed(node.inputs))
    return order
