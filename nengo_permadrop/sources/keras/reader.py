"""Keras models in memory as plain data; see `.unroll`."""

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.dropouts import dropout_class, dropout_options
from nengo_permadrop.sources.keras.pools import pool_class
from nengo_permadrop.sources.keras.traced import LAMBDAS, Traced, taken_by
from nengo_permadrop.sources.keras.unroll import (
    LayerSpec,
    Network,
    Node,
    unique_names,
    unrolled,
)
from nengo_permadrop.support.optional import require


def read_keras(kmodel, max_to_avg_pool=False):
    """
    Read the graph of a Keras model.

    Parameters
    ----------
    kmodel : `keras.Model`
        Sequential or functional, built.
    max_to_avg_pool : bool, optional
        As in `.Converter`.

    Returns
    -------
    graph : `.KerasGraph`
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
            "Convert a keras.Model, or the path of a model's file",
        )
    network = _network(kmodel)
    return unrolled(
        network,
        [tensor._keras_history[0].name for tensor in kmodel.inputs],
        unique_names([tensor._keras_history[0].name for tensor in kmodel.outputs]),
        [tuple(tensor.shape) for tensor in kmodel.inputs],
        _Specs(max_to_avg_pool).of,
    )


class _Specs:
    """The `.LayerSpec` of each layer; one that is used twice has its weights once."""

    def __init__(self, max_to_avg_pool=False):
        self._known = {}
        self._max_to_avg_pool = max_to_avg_pool

    def of(self, node):
        layer = node.layer
        if layer not in self._known:
            acts_as, always = dropout_class(layer)
            self._known[layer] = LayerSpec(
                name=layer.name,
                class_name=type(layer).__name__,
                config={**_config(layer), **dropout_options(layer)},
                weights={
                    _weight_name(weight): np.asarray(value)
                    for weight, value in zip(layer.weights, layer.get_weights())
                },
                generation=int(require("keras").__version__.partition(".")[0]),
                acts_as=pool_class(acts_as, self._max_to_avg_pool),
                always=always,
            )
        return self._known[layer]


def _config(layer):
    config = layer.get_config()
    if type(layer).__name__ == "Normalization":  # Keras 2 doesn't say it
        config.setdefault("invert", layer.invert)
    return config


def _network(kmodel):
    if not getattr(kmodel, "inputs", None) or not getattr(kmodel, "outputs", None):
        raise ConversionError(
            f"model '{kmodel.name}' ({type(kmodel).__name__})",
            "has no known graph of layers",
            "Only Sequential and functional models can be converted; give a Sequential "
            "model an input shape, and write a subclassed one with the functional API",
        )
    return Network(
        kmodel.name,
        [_key(tensor) for tensor in kmodel.inputs],
        [_key(tensor) for tensor in kmodel.outputs],
        _node,
    )


def _node(key):
    layer, node_index, _ = key
    node = layer._inbound_nodes[node_index]
    outputs = _outputs(node)
    inputs, options = [_key(tensor) for tensor in _inputs(node)], _options(node)
    traced = None
    if type(layer).__name__ in LAMBDAS or not hasattr(layer, "weights"):
        inputs, traced = _traced(layer, node)
        options = {}
    return Node(
        layer,
        layer.name,
        type(layer).__name__,
        inputs,
        [_key(tensor) for tensor in outputs],
        options,
        [tuple(tensor.shape) for tensor in outputs],
        network=_network(layer) if _is_model(layer) else None,
        traced=traced,
    )


def _traced(operation, node):
    """Keys of the values that an operation takes, and its `.Traced`."""
    if hasattr(node, "arguments"):  # Keras 3
        args, kwargs = node.arguments.args, node.arguments.kwargs
        module, name = type(operation).__module__, type(operation).__name__
        function = name if module.startswith("keras.") else f"{module}.{name}"
        try:
            attributes = operation.get_config()
        except Exception as error:  # of whatever type, where one isn't plain data
            raise ConversionError(
                f"operation '{operation.name}' ({name})",
                f"has options that can't be read ({error})",
                "Use a layer of keras.layers for it",
            ) from error
    else:
        args, kwargs = node.call_args, node.call_kwargs
        function, attributes = operation.get_config()["function"], {}
    attributes = {key: each for key, each in attributes.items() if key != "name"}

    def key(item):
        return _key(item) if hasattr(item, "_keras_history") else None

    inputs, args, kwargs = taken_by(args, kwargs, key)
    return inputs, Traced(function, args, kwargs, attributes)


def _is_model(layer):
    return hasattr(layer, "layers") and hasattr(layer, "outputs")


def _key(tensor):
    layer, node_index, tensor_index = tensor._keras_history[:3]
    return layer, node_index, tensor_index


def _inputs(node):
    tensors = node.keras_inputs if hasattr(node, "keras_inputs") else node.input_tensors
    return list(tensors)


def _outputs(node):
    outputs = node.outputs if hasattr(node, "outputs") else node.output_tensors
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def _options(node):
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
