"""
What the configuration of a saved Keras model may name.

Keras builds a model from whatever its file names: a Lambda layer holds Python code, the
entry "module" is imported, "function" is looked up in all of TensorFlow, some layers
read other files. So only what is listed here is let through, and what the user has
given as ``custom_objects``.
"""

import json
import sys

from nengo.exceptions import ValidationError

from nengo_permadrop.sources.keras.model_hdf5 import SAVE_AGAIN
from nengo_permadrop.support.errors import DamagedFileError

# Bytes. Configurations are kilobytes; as Python objects they take twenty times as much
MAX_CONFIG = 2**23

# Layers that compute with nothing but their inputs and weights. Not listed: those with
# code (Lambda), with other files (StringLookup, TFSMLayer), or with pickles
# (TorchModuleWrapper)
_LAYERS = """
    Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention
    Average AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization
    BatchNormalizationV1 BatchNormalizationV2 Bidirectional Concatenate Conv1D
    Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D
    ConvLSTM3D Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D
    Dot Dropout ELU EinsumDense Embedding Flatten Functional GRU GRUCell GaussianDropout
    GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization
    GroupQueryAttention Identity InputLayer LSTM LSTMCell LayerNormalization LeakyReLU
    LocallyConnected1D LocallyConnected2D Masking MaxPooling1D MaxPooling2D MaxPooling3D
    Maximum Minimum Model MultiHeadAttention Multiply Normalization PReLU Permute
    RMSNormalization RNN ReLU RepeatVector Rescaling Reshape SeparableConv1D
    SeparableConv2D Sequential SimpleRNN SimpleRNNCell Softmax SpatialDropout1D
    SpatialDropout2D SpatialDropout3D SpectralNormalization StackedRNNCells Subtract
    ThresholdedReLU TimeDistributed UnitNormalization UpSampling1D UpSampling2D
    UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
# Arithmetic on values that Keras 3 saves beside the layers
_OPERATIONS = "Absolute Divide Exp GetItem Log Negative Power Sqrt Square TrueDivide"
# The same in Keras 2: functions of TensorFlow, in TFOpLambda and SlicingOpLambda
_FUNCTIONS = """
    __operators__.add __operators__.getitem concat math.abs math.add math.divide
    math.exp math.log math.maximum math.minimum math.multiply math.negative math.pow
    math.reduce_mean math.reduce_sum math.sigmoid math.softplus math.sqrt math.square
    math.subtract math.tanh math.truediv nn.relu nn.softmax reshape
"""
KERAS_LAYERS = frozenset(_LAYERS.split())
_ACTIVATIONS = """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish
    hard_tanh leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu sigmoid
    silu softmax softplus soft_shrink softsign sparse_plus sparse_sigmoid sparsemax
    squareplus swish tanh tanh_shrink threshold
"""
_INITIALIZERS = """
    constant glorot_normal glorot_uniform he_normal he_uniform identity
    identity_initializer lecun_normal lecun_uniform normal one ones orthogonal
    orthogonal_initializer random_normal random_uniform truncated_normal uniform
    variance_scaling zero zeros
"""
_REGULARIZERS = "l1 l2 l1_l2 l1l2 orthogonal_regularizer"
_CONSTRAINTS = """
    max_norm min_max_norm non_neg nonneg radial_constraint unit_norm unitnorm
"""
_OTHERS = """
    DTypePolicy FloatDTypePolicy Policy SlicingOpLambda TFOpLambda TensorShape
    __bytes__ __ellipsis__ __keras_tensor__ __slice__ __tuple__
"""


def _plain_name(name):
    """Keras takes ``he_normal`` and ``HeNormal`` for the same."""
    return name.replace("_", "").lower()


# by what a key of the configuration ends in
_IDENTIFIERS = {
    ending: {_plain_name(name) for name in names.split()}
    for ending, names in {
        "activation": _ACTIVATIONS,
        "initializer": _INITIALIZERS,
        "regularizer": _REGULARIZERS,
        "constraint": _CONSTRAINTS,
    }.items()
}
_ACTIVATION_NAMES = _IDENTIFIERS["activation"]
_CLASS_NAMES = set().union(
    *_IDENTIFIERS.values(),
    *(map(_plain_name, names.split()) for names in (_LAYERS, _OPERATIONS, _OTHERS)),
)
# values of a recurrent layer that gives its state, too
_N_STATES = {"LSTM": 3, "GRU": 2, "SimpleRNN": 2}
_BUILTIN = ("builtins", "function")
_NUMBERS = ("bool", "float", "int", "uint", "bfloat")
_OUR_NAMES = {
    prefix + name
    for prefix in ("", "nengo_permadrop>")
    for name in ("PermanentDropout", "SoftLIF", "softlif")
}


def parse_config(text, path):
    """
    The configuration of a model, from its JSON.

    Parameters
    ----------
    text : str or bytes
    path : path-like
        The file that it is from, for messages.

    Returns
    -------
    config : dict
        Without what only training needs, which is never loaded.

    Raises
    ------
    `.DamagedFileError`
        If it is no JSON, or not of a model.
    """
    if len(text) > MAX_CONFIG:
        raise DamagedFileError(
            path,
            f"the model's configuration has more than {MAX_CONFIG} characters",
            SAVE_AGAIN,
        )
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(
            path,
            f"the model's configuration is damaged ({error})",
            SAVE_AGAIN,
        ) from error
    if not isinstance(config, dict) or not isinstance(
        config.get("config"), dict | list
    ):
        raise DamagedFileError(
            path, "the model's configuration describes no model", SAVE_AGAIN
        )
    for _, value, _ in _walk(config):
        if isinstance(value, dict):
            value.pop("compile_config", None)
    return config


def check_config(config, path, allowed=()):
    """
    Refuse a configuration that names more than known layers and plain data.

    Parameters
    ----------
    config : dict
        From `parse_config`.
    path : path-like
        The file that it is from, for messages.
    allowed : iterable of str, optional
        Names of what the user allows beside Keras's layers and ours.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it names anything else.
    `.DamagedFileError`
        If its layers can't be connected.
    """
    allowed = _OUR_NAMES | set(allowed)
    for key, value, layer in _walk(config):
        found = None
        if isinstance(value, dict):
            found = _unknown_object(value, allowed)
        elif isinstance(value, str) and value not in allowed:
            found = _unknown_identifier(key, value)
        if found is not None:
            raise ValidationError(
                f"{path} is not loaded, as that may run code: {layer} has {found}. "
                "Use known layers and functions of Keras; pass your own with "
                "custom_objects={name: class}; or, if you trust whoever made the file, "
                "load it with trust=True (--trust)",
                attr="model",
            )
    for _, value, _ in _walk(config):
        if isinstance(value, dict) and isinstance(value.get("layers"), list):
            check_nodes(value, path)


def _walk(config):
    """(key, value, layer in words) of all that a configuration holds.

    Iterative, so that a deep one doesn't meet Python's recursion limit.
    """
    stack = [("", config, "the model")]
    while stack:
        key, value, layer = stack.pop()
        if isinstance(value, dict):
            inner = value.get("config")
            name = inner.get("name") if isinstance(inner, dict) else None
            if isinstance(name, str):
                layer = repr(name)
        yield key, value, layer
        if isinstance(value, dict):
            stack.extend((key, item, layer) for key, item in value.items())
        elif isinstance(value, list):
            stack.extend((key, item, layer) for item in value)


def _unknown_object(value, allowed):
    """What is unknown of an object that Keras would make, in words; or None.

    Keras looks for the registered name first, or, in .h5 files, for the class name
    alone; what it doesn't find there it imports from the module.
    """
    if not {"class_name", "registered_name", "module"} & value.keys():
        return None
    class_name, module = value.get("class_name"), value.get("module")
    registered = value.get("registered_name")
    if class_name == "Lambda":
        return "a Lambda layer, which is Python code"
    if class_name in ("__numpy__", "__tensor__"):
        return _unknown_array(value.get("config"))
    name = value.get("config") if class_name == "function" else class_name
    known = _ACTIVATION_NAMES if class_name == "function" else _CLASS_NAMES
    if not isinstance(name, str) or not (name in allowed or _plain_name(name) in known):
        return f"the {'function' if class_name == 'function' else 'class'} {name!r}"
    if registered not in (None, class_name, name, *allowed):
        return f"the registered name {registered!r}"
    # where Keras 3 says that its own functions are
    in_keras = module in (None, "keras") or (
        isinstance(module, str)
        and (module.startswith("keras.") or (module, class_name) == _BUILTIN)
    )
    if not in_keras and value.get("registered_name", class_name) not in allowed:
        return f"the module {module!r}"
    return None


def _unknown_array(inner):
    dtype = inner.get("dtype") if isinstance(inner, dict) else None
    if isinstance(dtype, str) and dtype.rstrip("0123456789") in _NUMBERS:
        return None
    return f"an array of {dtype!r}"


def _unknown_identifier(key, value):
    if key == "function" and value not in _FUNCTIONS.split():
        return f"the function {value!r}"
    for ending, known in _IDENTIFIERS.items():
        if key.endswith(ending) and _plain_name(value) not in known:
            return f"the {ending} {value!r}"
    return None


def check_nodes(model, path):
    """
    Check that the layers of a functional model can be connected.

    Keras 2 tries for ever where they can't. This is its own algorithm, on names alone.

    Parameters
    ----------
    model : dict
        The configuration of a functional or Sequential model, with "layers".
    path : path-like
        The file that it is from, for messages.

    Raises
    ------
    `.DamagedFileError`
        If a layer takes a value that there isn't.
    """
    try:
        layers = [layer for layer in model["layers"] if "inbound_nodes" in layer]
        if any(isinstance(node, dict) for x in layers for node in x["inbound_nodes"]):
            return  # Keras 3, which checks this itself
        first = {layer["name"]: _first_node(layer) for layer in layers}
        waiting = {
            layer["name"]: [list(_references(node)) for node in layer["inbound_nodes"]]
            for layer in layers
        }
        n_outputs = {layer["name"]: _n_outputs(layer) for layer in layers}
        if len(waiting) < len(layers):
            raise ValueError("two layers have the same name")
        made = {name: index or 0 for name, index in first.items()}
        while any(waiting.values()):
            before = sum(map(len, waiting.values()))
            for name, nodes in waiting.items():
                while nodes and all(
                    first[source] is None or first[source] <= node_index < made[source]
                    for source, node_index, _ in nodes[0]
                ):
                    made[name] += 1
                    for source, _, tensor_index in nodes.pop(0):
                        if not 0 <= tensor_index < n_outputs[source]:
                            raise ValueError(
                                f"layer {name!r} takes a value of {source!r} that "
                                "there isn't"
                            )
            if sum(map(len, waiting.values())) == before:
                stuck = next(name for name, nodes in waiting.items() if nodes)
                raise ValueError(f"layer {stuck!r} takes a value that there isn't")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedFileError(
            path,
            f"the model's layers can't be connected ({error})",
            SAVE_AGAIN,
        ) from error


def _first_node(layer):
    """Number of the first node that a layer's inbound nodes make; None for inputs."""
    if layer["class_name"] == "InputLayer":
        return None
    inner = layer["config"]
    if isinstance(inner, dict):
        inner = inner.get("layers")
    if not isinstance(inner, list) or not inner:
        return 0
    # a model that begins with its input has a node of its own
    head = inner[0]
    return int(
        head["class_name"] == "InputLayer"
        or (
            layer["class_name"] == "Sequential"
            and "batch_input_shape" in head["config"]
        )
    )


def _n_outputs(layer):
    """Number of values that a use of a layer gives, at the most."""
    class_name, inner = layer["class_name"], layer["config"]
    if isinstance(inner, dict) and "output_layers" in inner:
        return len(inner["output_layers"])
    if _plain_name(class_name) not in _CLASS_NAMES:
        return sys.maxsize  # the user's own
    if "Attention" in class_name:
        return 2
    if "layer" in inner or "cell" in inner or inner.get("return_state"):
        return _N_STATES.get(class_name, 5)
    return 1


def _references(node):
    """(layer, node index, tensor index) of the values that a node takes."""
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            if len(item) in (3, 4) and isinstance(item[0], str):
                if item[0] != "_CONSTANT_VALUE":
                    yield item[0], int(item[1]), int(item[2])
                stack.extend(item[3:])
            else:
                stack.extend(item)
