"""
Keras models as plain data: which layers there are, and how their values flow.

A `KerasGraph` holds no Keras object, so that reading it, in this process or in a
worker, needs no Keras; `.convert.neutral` makes the neutral graph of it. Nested models
are unrolled; a layer or model that is used several times gives one `LayerCall` for each
use, because each use drops units of its own.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from nengo_permadrop.graph.errors import ConversionError


@dataclass(frozen=True)
class LayerSpec:
    """A Keras layer without Keras.

    Attributes
    ----------
    name : str
    class_name : str
        Without the package that it may be registered under.
    config : dict
        The layer's ``get_config()``.
    weights : {str: ndarray}
        By the layer's own attribute names, such as ``kernel``.
    """

    name: str
    class_name: str
    config: dict
    weights: dict

    def __str__(self):
        return f"layer '{self.name}' ({self.class_name})"


@dataclass(frozen=True)
class LayerCall:
    """One use of a layer.

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
    shape : tuple of int
        Of the value that it gives, without the batch axis.
    """

    path: str
    spec: LayerSpec
    inputs: tuple
    output: int
    options: dict
    shape: tuple

    def __str__(self):
        return f"layer '{self.path}' ({self.spec.class_name})"

    @property
    def named(self):
        """Path and label, as a `.GraphWriter` takes them."""
        return self.path, self.spec.class_name


@dataclass
class KerasGraph:
    """A Keras model without Keras.

    Attributes
    ----------
    shapes : list of tuple of int
        Shape of each value, without the batch axis.
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


def read_keras(kmodel):
    """
    Read the graph of a Keras model.

    Parameters
    ----------
    kmodel : `keras.Model`
        Sequential or functional, built.

    Returns
    -------
    graph : `KerasGraph`
    layers : list of `keras.layers.Layer`
        The Keras layer of each call.

    Raises
    ------
    ConversionError
        If the model is not built, is subclassed, or has values that are not tensors of
        known shape.
    """
    if not hasattr(kmodel, "layers") or not hasattr(kmodel, "get_config"):
        raise ConversionError(
            f"{type(kmodel).__name__}",
            "is not a Keras model",
            "Convert a keras.Model; load a saved one with "
            "nengo_permadrop.sources.keras.loading.load_model",
        )
    reader = _Reader()
    inputs = [reader.add_value(tensor, kmodel.name) for tensor in _ends(kmodel)[0]]
    reader.graph.inputs = dict(zip(_input_names(kmodel), inputs))
    outputs = reader.read(kmodel, inputs, prefix="")
    reader.graph.outputs = dict(zip(_output_names(kmodel), outputs))
    return reader.graph, reader.layers


class _Reader:
    def __init__(self):
        self.graph = KerasGraph()
        self.layers = []
        self._specs = {}  # a layer that is used twice has its weights here once

    def add_value(self, tensor, where):
        shape = tuple(tensor.shape)[1:]
        if any(size is None for size in shape):
            raise ConversionError(
                f"model '{where}'",
                f"a value has the shape {tuple(tensor.shape)}, of unknown size",
                "Give the inputs of the model a fixed shape",
            )
        self.graph.shapes.append(tuple(int(size) for size in shape))
        return len(self.graph.shapes) - 1

    def read(self, kmodel, inputs, prefix):
        """Add the calls of a model that takes ``inputs``; return its outputs."""
        input_tensors, output_tensors = _ends(kmodel)
        values = {_key(tensor): value for tensor, value in zip(input_tensors, inputs)}
        nodes = _nodes_in_order(output_tensors, set(values))
        uses = {}
        for layer, _ in nodes:
            uses[id(layer)] = uses.get(id(layer), 0) + 1
        seen = {}
        for layer, node in nodes:
            number = seen.get(id(layer), 0)
            seen[id(layer)] = number + 1
            name = layer.name if uses[id(layer)] == 1 else f"{layer.name}[{number}]"
            arguments = [values[_key(tensor)] for tensor in _node_inputs(node)]
            results = self._call(layer, node, arguments, prefix + name)
            for tensor, value in zip(_node_outputs(node), results):
                values[_key(tensor)] = value
        return [values[_key(tensor)] for tensor in output_tensors]

    def _call(self, layer, node, arguments, path):
        options = dict(_node_options(node))
        if _is_model(layer):
            # a model hands "training" down to all of its layers
            if options.get("training") is not None:
                raise ConversionError(
                    f"model '{path}'",
                    f"is called with training={options['training']}",
                    "Call it without, and use PermanentDropout for the layers that "
                    "shall drop units at prediction time",
                )
            return self.read(layer, arguments, prefix=f"{path}/")
        if not hasattr(layer, "weights"):  # of Keras 3; some have the names of layers
            raise ConversionError(
                f"operation '{path}' ({type(layer).__name__})",
                "is arithmetic on values, not a layer",
                "Use a layer of keras.layers for it",
            )
        outputs = _node_outputs(node)
        if len(outputs) != 1:
            raise ConversionError(
                f"layer '{path}' ({type(layer).__name__})",
                f"has {len(outputs)} outputs",
                "Only layers with one output are supported",
            )
        value = self.add_value(outputs[0], path)
        self.graph.calls.append(
            LayerCall(
                path,
                self._spec(layer),
                tuple(arguments),
                value,
                options,
                self.graph.shapes[value],
            )
        )
        self.layers.append(layer)
        return [value]

    def _spec(self, layer):
        if id(layer) not in self._specs:
            self._specs[id(layer)] = LayerSpec(
                name=layer.name,
                class_name=type(layer).__name__,
                config=layer.get_config(),
                weights={
                    _weight_name(weight): np.asarray(value)
                    for weight, value in zip(layer.weights, layer.get_weights())
                },
            )
        return self._specs[id(layer)]


def _is_model(layer):
    return hasattr(layer, "layers") and hasattr(layer, "outputs")


def _ends(kmodel):
    """The input and output tensors of a model."""
    if not getattr(kmodel, "inputs", None) or not getattr(kmodel, "outputs", None):
        raise ConversionError(
            f"model '{kmodel.name}' ({type(kmodel).__name__})",
            "has no known graph of layers",
            "Only Sequential and functional models can be converted; give a Sequential "
            "model an input shape, and write a subclassed one with the functional API",
        )
    return list(kmodel.inputs), list(kmodel.outputs)


def _input_names(kmodel):
    return [tensor._keras_history[0].name for tensor in kmodel.inputs]


def _output_names(kmodel):
    """Names of the layers that give the outputs, made unique as Keras does."""
    names = []
    for tensor in kmodel.outputs:
        name = tensor._keras_history[0].name
        repeats = sum(1 for known in names if known.partition("#")[0] == name)
        names.append(f"{name}#{repeats}" if repeats else name)
    return names


def _key(tensor):
    layer, node_index, tensor_index = tensor._keras_history[:3]
    return id(layer), node_index, tensor_index


def _nodes_in_order(outputs, known):
    """The (layer, node) pairs from known tensors to outputs, in order of computation.

    Iterative, so that a deep model doesn't meet Python's recursion limit.
    """
    order, placed = [], set()
    stack = [(tensor, False) for tensor in reversed(outputs)]
    while stack:
        tensor, expanded = stack.pop()
        if _key(tensor) in known:
            continue
        layer, node_index = tensor._keras_history[:2]
        if (id(layer), node_index) in placed:
            continue
        node = layer._inbound_nodes[node_index]
        if expanded:
            placed.add((id(layer), node_index))
            order.append((layer, node))
            continue
        sources = _node_inputs(node)
        if not sources:
            raise ConversionError(
                f"layer '{layer.name}' ({type(layer).__name__})",
                "is an input that is not among the model's inputs",
                "List every input in keras.Model(inputs=..., outputs=...)",
            )
        stack.append((tensor, True))
        stack.extend((source, False) for source in reversed(sources))
    return order


def _node_inputs(node):
    tensors = node.keras_inputs if hasattr(node, "keras_inputs") else node.input_tensors
    return list(tensors)


def _node_outputs(node):
    outputs = node.outputs if hasattr(node, "outputs") else node.output_tensors
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def _node_options(node):
    """Keyword arguments of a call, and those positional ones that are not tensors."""
    if hasattr(node, "arguments"):  # Keras 3
        options, positional = dict(node.arguments.kwargs), node.arguments.args
        if options.get("training") is False:
            del options["training"]  # what it notes where nothing was said
    else:
        options, positional = node.call_kwargs or {}, node.call_args or ()
    flat = []
    for argument in positional:
        flat.extend(argument if isinstance(argument, (list, tuple)) else [argument])
    extra = [arg for arg in flat if arg is not None and not hasattr(arg, "shape")]
    options = {name: value for name, value in options.items() if value is not None}
    return {**options, **({"positional": extra} if extra else {})}


def _weight_name(weight):
    return weight.name.rpartition("/")[2].partition(":")[0]
