"""The calls of a functional model's layers, as Keras 2 and 3 write them in files."""

from nengo_permadrop.sources.keras.traced import Traced, taken_by

# What Keras 2 writes in place of a layer's name where a constant is taken
_CONSTANT = "_CONSTANT_VALUE"


class LayerCalls:
    """The calls of one layer of a functional model."""

    def __init__(self, layer, data):
        self._layer = layer
        self._calls = data["inbound_nodes"]
        self._newer = any(isinstance(call, dict) for call in self._calls)
        self.n_outputs = 1 if layer.network is None else len(layer.output_names)

    def number(self, node_index, of_ends):
        """The call that a reference's node index means.

        A model has a call of its own before others call it: Keras 2 counts it, Keras 3
        does where a model's inputs and outputs are named.
        """
        first = 0
        if self._layer.network is not None and self._calls:
            if not self._newer:
                first = _own_calls(self._layer)
            elif of_ends and self._layer.class_name != "Sequential":
                first = 1
        number = node_index - first
        if not 0 <= number < max(1, len(self._calls)):
            raise ValueError(f"layer {self._layer.name!r} has no call {node_index}")
        return number

    def call(self, number, key):
        """Keys of the values that a call takes, its options, and its `.Traced`."""
        if not self._calls:
            return [], {}, None
        call = self._calls[number]
        if not self._layer.is_layer:
            args, kwargs = (
                _keras3_arguments(call) if self._newer else _keras2_arguments(call)
            )
            inputs, args, kwargs = taken_by(
                args, kwargs, _reference_of(key, self._newer)
            )
            attributes = dict(self._layer.config)
            function = attributes.pop("function", self._layer.class_name)
            for name in ("name", "trainable", "dtype"):
                attributes.pop(name, None)
            return inputs, {}, Traced(function, args, kwargs, attributes)
        if self._newer:
            return *_call_of_keras3(call, key), None
        return *_call_of_keras2(call, key), None


def _own_calls(model):
    """How many calls of a nested model aren't among its model's; see `.check_nodes`."""
    head = model.layers[0]
    begins = head.class_name == "InputLayer"
    return int(begins or "batch_input_shape" in head.config)


def _call_of_keras2(call, key):
    inputs, options, constants = [], {}, []
    if call and isinstance(call[0], str):  # of a layer that takes one value
        call = [call]
    for reference in call:
        if reference[0] == _CONSTANT:
            constants.append(reference[2])
        else:
            inputs.append(key(reference))
        if len(reference) > 3:
            options.update(reference[3])
    options = {name: value for name, value in options.items() if value is not None}
    return inputs, {**options, **({"positional": constants} if constants else {})}


def _keras2_arguments(call):
    """Arguments of a traced function, of which Keras 2 writes all but one by name."""
    several = call and not isinstance(call[0], str)
    references = call if several else [call]
    first = [each[2] if each[0] == _CONSTANT else each[:3] for each in references]
    kwargs = references[0][3] if len(references[0]) > 3 else {}
    return (first if several else first[0],), kwargs


def _keras3_arguments(call):
    return call["args"], call["kwargs"]


def _reference_of(key, newer):
    """What finds the key of the value that a part of a call's arguments refers to."""

    def found(item):
        if newer:
            if isinstance(item, dict) and item.get("class_name") == "__keras_tensor__":
                return key(item["config"]["keras_history"])
        elif isinstance(item, list) and len(item) == 3 and isinstance(item[0], str):
            return key(item)
        return None

    return found


def _call_of_keras3(call, key):
    inputs, constants = [], []

    def walk(item):
        if isinstance(item, dict) and item.get("class_name") == "__keras_tensor__":
            inputs.append(key(item["config"]["keras_history"]))
        elif isinstance(item, list):
            for each in item:
                walk(each)
        elif item is not None:
            constants.append(item)

    walk(call["args"])
    options = {
        name: value
        for name, value in call["kwargs"].items()
        # False is what it notes where nothing was said
        if value is not None and not (name == "training" and value is False)
    }
    return inputs, {**options, **({"positional": constants} if constants else {})}
