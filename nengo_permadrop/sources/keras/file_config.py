"""
The configuration of a saved Keras model, as plain data.

Keras 1, 2 and 3 write the same things in three ways. Nothing that is named is looked
up: a class is a string here, from the first line to the last.
"""

from dataclasses import dataclass, field
from typing import Any

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.dropouts import (
    CLASSES,
    SPATIAL_CLASSES,
    named_dropout,
)
from nengo_permadrop.sources.keras.file_calls import LayerCalls
from nengo_permadrop.sources.keras.model_config import KERAS_LAYERS
from nengo_permadrop.sources.keras.model_hdf5 import SAVE_AGAIN
from nengo_permadrop.sources.keras.traced import (
    ARITHMETIC,
    LAMBDAS,
    OPERATIONS,
)
from nengo_permadrop.sources.keras.unroll import Network, Node
from nengo_permadrop.support.errors import DamagedFileError

_MODELS = ("Functional", "Model", "Sequential")

# What options of Keras 1 are called since Keras 2, for the layers that had them
_KERAS1 = {
    "BatchNormalization": {},
    "Dense": {"output_dim": "units", "bias": "use_bias"},
    "Dropout": {"p": "rate"},
    "GaussianDropout": {"p": "rate"},
    "SpatialDropout1D": {"p": "rate"},
    "SpatialDropout2D": {"p": "rate"},
    "SpatialDropout3D": {"p": "rate"},
}
_MERGES = {"ave": "Average", "concat": "Concatenate", "sum": "Add"}

# What a configuration of another form raises, or one that is nested without end
_DAMAGE = (
    AttributeError,
    IndexError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)

# A name in Keras 3's files of what isn't a layer but arithmetic on values
_ARITHMETIC = ("keras.ops", "keras.src.ops")


@dataclass(eq=False)
class FileLayer:
    """
    A layer, or a nested model, of a file.

    Attributes
    ----------
    name, class_name : str
    config : dict
    acts_as : str
    always : bool
        As in `.LayerSpec`.
    layers : list of `FileLayer` or None
        Of a model, in the file's order; None for a layer.
    network : `.Network` or None
        Of a model.
    input_names, output_names : list of str
        Of a model.
    input_shapes : list of (list of (int or None))
        Of a model, with the batch axis.
    is_layer : bool
        False for arithmetic on values.
    """

    name: str
    class_name: str
    config: dict
    acts_as: str
    layers: Any = None
    network: Any = None
    input_names: list = field(default_factory=list)
    output_names: list = field(default_factory=list)
    input_shapes: list = field(default_factory=list)
    is_layer: bool = True
    always: bool = False

    def __str__(self):
        kind = "layer" if self.is_layer else "operation"
        return f"{kind} '{self.name}' ({self.class_name})"

    @property
    def trainable(self):
        """Whether its weights are trained."""
        return bool(self.config.get("trainable", True))


def file_model(config, path, dropout_classes=()):
    """
    A model, and all that is nested in it.

    Parameters
    ----------
    config : dict
        From `.parse_config`.
    path : path-like
        The file that it is from, for messages.
    dropout_classes : sequence of str
        Names of the user's classes that are permanent dropout.

    Returns
    -------
    model : `FileLayer`

    Raises
    ------
    `.DamagedFileError`
        If it describes no model whose layers can be connected.
    ConversionError
        If it isn't said what shape the model's inputs have, or a class has the name of
        one of Keras's and isn't it.
    """
    try:
        model = _layer(config, dropout_classes)
    except ConversionError:
        raise
    except _DAMAGE as error:
        raise DamagedFileError(
            path,
            "the model's configuration is damaged "
            f"({type(error).__name__}: {str(error)[:100]})",
            SAVE_AGAIN,
        ) from error
    if model.network is None:
        raise DamagedFileError(
            path,
            f"describes {model}, not a Sequential or functional model",
            "save such a model",
        )
    if None in model.input_shapes:
        raise ConversionError(
            f"model '{model.name}' ({path})",
            "doesn't say what shape its input has",
            "Begin the Sequential model with keras.Input(shape), or call it once "
            "before it is saved",
        )
    _check_channels(model)
    return model


def _check_channels(model):
    """
    Raise if it isn't said which axis has the channels that a layer drops.

    Keras 2 doesn't write it for SpatialDropout2D and 3D, and reads them with its own
    default, last. Where that of other layers is first, so is most likely theirs.
    """
    layers = list(all_layers(model))
    silent = [
        layer
        for layer in layers
        if SPATIAL_CLASSES.get(layer.acts_as, 0) > 2
        and layer.config.get("data_format") is None
    ]
    first = any(layer.config.get("data_format") == "channels_first" for layer in layers)
    if silent and first:
        raise ConversionError(
            str(silent[0]),
            "drops channels, which come first in other layers, and the file doesn't "
            "say if they do here (Keras 2 leaves that out)",
            "Convert the model in memory, or save it with Keras 3, or with channels "
            "last",
        )


def all_layers(model):
    """The `FileLayer` of each layer of a model, and of what is nested in it."""
    for layer in model.layers:
        if layer.layers is None:
            yield layer
        else:
            yield from all_layers(layer)


def _layer(data, dropout_classes):
    """The `FileLayer` of what a file says of one."""
    class_name, config = str(data["class_name"]), data["config"]
    package, _, plain_name = class_name.rpartition(">")
    registered = data.get("registered_name")
    module = data.get("module")
    if class_name == "Sequential" and isinstance(config, list):  # before Keras 2.2.3
        config = {"name": "sequential", "layers": config}
    name = str(data.get("name") or config.get("name"))
    layer = FileLayer(name, plain_name, config, plain_name)
    is_known = not package and registered in (None, class_name)
    is_known &= module is None or str(module).partition(".")[0] == "keras"
    if plain_name in _MODELS and is_known:
        layer.layers = [_layer(each, dropout_classes) for each in config["layers"]]
        (_sequential if plain_name == "Sequential" else _functional)(layer)
        return layer
    layer.is_layer = not (
        str(module).startswith(_ARITHMETIC)
        or (is_known and plain_name in LAMBDAS)
        or (module is None and _is_operation(layer, data))
    )
    if not layer.is_layer:
        layer.acts_as = ARITHMETIC
        return layer
    _as_since_keras2(layer)
    named = None
    if not (plain_name in CLASSES and is_known):
        named = named_dropout(plain_name, layer.config, dropout_classes)
    if named is not None:
        layer.acts_as, layer.always = named, True
    elif plain_name in KERAS_LAYERS and not is_known:
        raise ConversionError(
            str(layer),
            f"is a class of {package or module}, not Keras's of that name",
            "Use Keras's layer, or give the class a name of its own; if it is "
            f"permanent dropout, say so with dropout_classes=({plain_name!r},), "
            f"--dropout-class {plain_name}",
        )
    return layer


def _is_operation(layer, data):
    """Whether a layer of Keras 3's HDF5 files, which don't say it, is an operation."""
    calls = data.get("inbound_nodes") or []
    return (
        layer.class_name in OPERATIONS
        and any(isinstance(call, dict) for call in calls)
        and not {"dtype", "trainable"} & layer.config.keys()  # which all layers have
    )


def _as_since_keras2(layer):
    """Give a layer of Keras 1 the options that it has since."""
    config = layer.config
    if layer.class_name == "Merge":
        mode = config.get("mode")
        layer.class_name = layer.acts_as = _MERGES.get(mode, f"Merge of mode {mode!r}")
        layer.config = {"name": layer.name, "axis": config.get("concat_axis", -1)}
        return
    renamed = _KERAS1.get(layer.class_name, {})
    if any(old in config for old in renamed if old != "bias"):
        layer.config = {renamed.get(key, key): value for key, value in config.items()}
    if layer.class_name == "BatchNormalization" and config.get("mode"):
        layer.class_name = layer.acts_as = f"BatchNormalization, mode {config['mode']}"


def _sequential(model):
    """Connect the layers of a Sequential model, one after the other."""
    head = model.layers[0]
    config = head.config
    shape = config.get("batch_shape", config.get("batch_input_shape"))
    if shape is None and head.layers is not None:
        shape = head.input_shapes[0]
    if shape is None:
        shape = model.config.get("build_input_shape")
    starts_with_input = head.class_name == "InputLayer"
    chain = model.layers[1:] if starts_with_input else model.layers
    model.input_names = [head.name if starts_with_input else f"{head.name}_input"]
    model.input_shapes = [shape]
    model.output_names = [chain[-1].name if chain else head.name]

    def node(number):
        layer = chain[number]
        return _node(layer, [number - 1], [number], {})

    model.network = Network(model.name, [-1], [len(chain) - 1], node)


def _functional(model):
    """Connect the layers of a functional model by the nodes that the file has."""
    data = {layer.name: each for layer, each in zip(model.layers, _layers_of(model))}
    by_name = {layer.name: layer for layer in model.layers}
    if len(by_name) < len(model.layers):
        raise ValueError("two layers have the same name")
    nodes = {name: LayerCalls(by_name[name], each) for name, each in data.items()}

    def key(reference, of_ends=False):
        name, node_index, tensor_index = reference[:3]
        if name not in nodes:
            raise ValueError(f"there is no layer {name!r}")
        return name, nodes[name].number(int(node_index), of_ends), int(tensor_index)

    def node(place):
        name, number, _ = place
        inputs, options, traced = nodes[name].call(number, key)
        outputs = [(name, number, index) for index in range(nodes[name].n_outputs)]
        return _node(by_name[name], inputs, outputs, options, traced)

    inputs = [key(each, True) for each in _ends(model.config["input_layers"])]
    outputs = [key(each, True) for each in _ends(model.config["output_layers"])]
    model.input_names = [name for name, *_ in inputs]
    model.output_names = [name for name, *_ in outputs]
    heads = [by_name[name].config for name in model.input_names]
    model.input_shapes = [
        head.get("batch_shape", head.get("batch_input_shape")) for head in heads
    ]
    model.network = Network(model.name, inputs, outputs, node)
    _check_connected(model)


def _layers_of(model):
    return model.config["layers"]


def _node(layer, inputs, outputs, options, traced=None):
    return Node(
        layer,
        layer.name,
        layer.class_name,
        inputs,
        outputs,
        options,
        [None] * len(outputs),
        network=layer.network,
        traced=traced,
    )


def _ends(structure):
    """References of a model's inputs or outputs, in the order that Keras gives them."""
    if isinstance(structure, dict):
        return [each for key in sorted(structure) for each in _ends(structure[key])]
    if structure and isinstance(structure[0], str):
        return [structure]
    return [each for part in structure for each in _ends(part)]


def _check_connected(model):
    """Raise if some calls of a model wait for one another for ever."""
    network, done, open_ = model.network, set(model.network.inputs), set()
    stack = [(key, False) for key in network.outputs]
    while stack:
        key, closing = stack.pop()
        place = key[:2]
        if closing:
            open_.discard(place)
            done.add(key)
            continue
        if key in done:
            continue
        if place in open_:
            raise ValueError(f"layer {key[0]!r} takes what it gives itself")
        node = network.node(key)
        if key not in node.outputs:
            raise ValueError(f"layer {key[0]!r} gives no value {key[2]}")
        open_.add(place)
        stack.append((key, True))
        stack.extend((each, False) for each in node.inputs)
