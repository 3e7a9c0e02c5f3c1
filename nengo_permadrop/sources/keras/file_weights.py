"""Where the weights of a model's layers are in its files, in Keras's three layouts."""

import re

from nengo_permadrop.sources.keras.convert import weight_names
from nengo_permadrop.support.errors import DamagedFileError

# Groups of a model's layers, in files of Keras 2.12 and of Keras 3
_KERAS2_LAYERS, _KERAS3_LAYERS = "_layer_checkpoint_dependencies", "layers"

# Layers whose weights are those of a layer in them, and its name there
_WRAPPERS = {"TimeDistributed": "layer"}

# What weights of Keras 1 are called since
_KERAS1_NAMES = {
    "W": "kernel",
    "b": "bias",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",  # which it is, whatever its name
}


def weight_places(model, file, path):
    """
    Which arrays of a file are the weights of which layer.

    Parameters
    ----------
    model : `.FileLayer`
    file : `.ArraysFile`
    path : path-like
        What messages call the file.

    Returns
    -------
    places : {`.FileLayer`: {str: str}}
        Path of the array, by layer and name of the weight.

    Raises
    ------
    `.DamagedFileError`
        If it holds other weights than the model's.
    """
    if file.older:
        return _of_older(model, file, path)
    groups = {where.split("/")[1] for where in file.arrays if where.count("/") > 1}
    doubled = _KERAS2_LAYERS in groups
    container = _KERAS2_LAYERS if doubled else _KERAS3_LAYERS
    places = {}
    _walk(model, "", container, doubled, places)
    expected = {where for names in places.values() for where in names.values()}
    for layer, names in places.items():
        for where in names.values():
            if where not in file.arrays:
                raise other_weights(
                    path, f"the weights of {layer} aren't there ({where})"
                )
    extra = sorted(set(file.arrays) - expected)
    if extra:
        raise other_weights(path, f"there is no layer for {extra[0]}")
    return places


def _walk(model, prefix, container, doubled, places):
    used = {}
    for layer in model.layers:
        if not layer.is_layer or (
            model.class_name == "Sequential" and layer.class_name == "InputLayer"
        ):
            continue
        trained, others = _ordered(layer)
        has_weights = bool(trained or others)
        name = _snake_case(layer.class_name)
        number = used.get(name, 0)
        # Keras 2.12 lists a layer that has weights twice
        used[name] = number + (2 if doubled and has_weights else 1)
        where = f"{prefix}/{container}/{name}{f'_{number}' if number else ''}"
        if layer.layers is not None:
            _walk(layer, where, container, doubled, places)
        elif has_weights:
            own = sum(weight_names(layer.acts_as, layer.config), [])
            if layer.acts_as in _WRAPPERS:
                where = f"{where}/{_WRAPPERS[layer.acts_as]}"
            places[layer] = {
                weight: f"{where}/vars/{index}" for index, weight in enumerate(own)
            }


def _snake_case(class_name):
    name = re.sub(r"\W+", "", class_name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _of_older(model, file, path):
    """By the order of layers and weights, as Keras does."""
    layers = [layer for layer in model.layers if any(_ordered(layer))]
    stored = [(name, paths) for name, paths in file.layers if paths]
    if len(layers) != len(stored):
        raise other_weights(
            path, f"it has weights of {len(stored)} layers, and the model {len(layers)}"
        )
    places = {}
    for layer, (name, paths) in zip(layers, stored):
        expected = sum(_ordered(layer), [])
        if len(expected) != len(paths):
            raise other_weights(
                path, f"{name!r} has {len(paths)} arrays, and {layer} {len(expected)}"
            )
        for (owner, weight), where in zip(expected, paths):
            if weight not in _names_of(where):
                raise other_weights(path, f"{where} is where {owner} has its {weight}")
            places.setdefault(owner, {})[weight] = where
    return places


def _names_of(where):
    """What the weight of a path may be called: without numbers that make it unique."""
    name = where.rpartition("/")[2].partition(":")[0]
    names = {name, re.sub(r"_\d+$", "", name)}
    since = [new for old, new in _KERAS1_NAMES.items() if name.endswith(f"_{old}")]
    return names.union(since, [name.rpartition("_")[2]])


def _ordered(layer):
    """(layer, name) of a layer's or model's weights, trained ones and others.

    Keras lists what isn't trained, because its layer or its model isn't, after all that
    is.
    """
    if layer.layers is None:
        trained, others = (
            [(layer, name) for name in names]
            for names in weight_names(layer.acts_as, layer.config)
        )
    else:
        trained, others = [], []
        for each in layer.layers:
            more_trained, more_others = _ordered(each)
            trained += more_trained
            others += more_others
    return (trained, others) if layer.trainable else ([], trained + others)


def other_weights(path, found):
    return DamagedFileError(
        path,
        f"doesn't hold the weights of its model: {found}",
        "take the file that was saved with it, or save the model again",
    )
