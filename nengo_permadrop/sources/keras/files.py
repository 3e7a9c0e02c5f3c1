"""
Model files of Keras, read without Keras.

A file is data: JSON that says which layers there are, and arrays in HDF5. Both are read
as such, into the same plain objects that a model in memory is read into, and no class,
function or code that the file names or holds is ever looked up or run.
"""

import contextlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nengo.exceptions import ValidationError

from nengo_permadrop.graph.graph import ModelGraph
from nengo_permadrop.sources.keras.archive import (
    CONFIG,
    METADATA,
    WEIGHTS,
    check_member,
    largest_weights,
    opened_archive,
    unpack,
)
from nengo_permadrop.sources.keras.convert import WeightsError, check_class, neutral
from nengo_permadrop.sources.keras.file_config import all_layers, file_model
from nengo_permadrop.sources.keras.file_weights import other_weights, weight_places
from nengo_permadrop.sources.keras.model_config import MAX_CONFIG, parse_config
from nengo_permadrop.sources.keras.model_hdf5 import SAVE_AGAIN
from nengo_permadrop.sources.keras.model_stream import ArraysFile
from nengo_permadrop.sources.keras.pools import pool_class
from nengo_permadrop.sources.keras.unroll import LayerSpec, unique_names, unrolled
from nengo_permadrop.support.errors import DamagedFileError

# What names of Keras's model files end in
ENDINGS = (".h5", ".hdf5", ".keras", ".json")

_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, eq=False, repr=False)
class KerasFile:
    """
    A Keras model that was read from its file, without Keras.

    Attributes
    ----------
    path : str
    name : str
        Of the model.
    graph : `.ModelGraph`
    n_parameters : int
        Number of its weights, trained or not.
    weights : str or None
        Path of the file of weights, if they were not in ``path``.
    dropout_classes : tuple of str
        Names of classes that were said to be permanent dropout.
    """

    path: str
    name: str
    graph: ModelGraph
    n_parameters: int
    weights: str | None = None
    dropout_classes: tuple = ()

    def count_params(self):
        """``n_parameters``, as a Keras model tells it."""
        return self.n_parameters

    def __repr__(self):
        return f"<KerasFile '{self.name}' of {self.path}>"


def read_file(path, weights=None, dropout_classes=(), max_to_avg_pool=False):
    """
    Read a Keras model's file.

    Parameters
    ----------
    path : str or path-like
        An ``.h5`` or ``.hdf5`` file, a ``.keras`` file, or the ``.json`` of a model, of
        Keras 1.2 to 3.
    weights : str or path-like, optional
        A file of the weights alone, in either of Keras's formats, or a model's; needed
        with ``.json``, and otherwise in place of those in ``path``.
    dropout_classes : str or sequence of str, optional
        Names of classes in the file that are permanent dropout, beside those whose
        names end in "Dropout".
    max_to_avg_pool : bool, optional
        As in `.Converter`.

    Returns
    -------
    model : `KerasFile`

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    `.DamagedFileError`
        A ValueError. If it holds no model, other weights than its model's, or is
        damaged.
    nengo_permadrop.ConversionError
        If a layer, or something about it, isn't supported.
    nengo.exceptions.ValidationError
        If it is a folder: a SavedModel is a program.
    """
    path = _existing(path, "model file")
    if isinstance(dropout_classes, str):
        dropout_classes = (dropout_classes,)
    dropout_classes = tuple(dropout_classes)
    with contextlib.ExitStack() as stack:
        config, file, version = _opened(path, stack)
        source = path
        if weights is not None:
            source = _existing(weights, "file of weights")
            _, file, _ = _opened(source, stack)
        if config is None:
            raise DamagedFileError(
                path,
                "holds no model, perhaps only weights",
                "save the model with model.save, or give the .json of model.to_json() "
                "with weights=",
            )
        if file is None:
            raise DamagedFileError(
                source, "holds no weights", "give the file that has them with weights="
            )
        try:
            model, graph, n_parameters = _read(
                config, file, path, source, dropout_classes, max_to_avg_pool, version
            )
        except RecursionError:
            raise DamagedFileError(
                path, "nests models too deeply", "give a model that nests fewer"
            ) from None
    return KerasFile(
        str(path),
        model.name,
        graph,
        n_parameters,
        None if weights is None else str(weights),
        dropout_classes,
    )


def _read(config, file, path, source, dropout_classes, max_to_avg_pool, version):
    """A file's model, its neutral graph, and the number of its weights."""
    config = parse_config(config, path)
    generation = _generation(config, version)
    model = file_model(config, path, dropout_classes)
    for layer in all_layers(model):
        if layer.is_layer:
            layer.acts_as = pool_class(layer.acts_as, max_to_avg_pool)
            check_class(f"{layer} of {path}", layer.acts_as)
    places = weight_places(model, file, source)
    # what doesn't fit together is refused before it takes memory
    placeholders = {where: file.placeholder(where) for where in file.arrays}
    try:
        _graph(model, placeholders, places, generation)
    except WeightsError as error:
        raise other_weights(source, error) from error
    values = file.read(where for names in places.values() for where in names.values())
    n_parameters = sum(array.size for array in values.values())
    return model, _graph(model, values, places, generation), n_parameters


def _existing(path, what):
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such {what}")
    if not path.is_file():
        raise ValidationError(
            f"{path} is not read, as it is no file. A SavedModel folder is a program "
            "that loading would run. Save the model as .h5 or .keras; or, if you trust "
            "whoever made the folder, load it by Keras: --trust, or "
            "nengo_permadrop.sources.keras.loading.load_model(path, trust=True)",
            attr="model",
        )
    return path


def _opened(path, stack):
    """
    JSON of a file's model, its `.ArraysFile`, and the version of Keras that wrote it.

    None stands for what it doesn't have.
    """
    with open(path, "rb") as stream:
        head = stream.read(len(_HDF5))
    if head.startswith(_ZIP):
        return _opened_archive(path, stack)
    if head == _HDF5:
        file = stack.enter_context(ArraysFile(path))
        return file.config, file, file.version
    if path.suffix.lower() != ".json":
        raise DamagedFileError(
            path,
            "is neither HDF5 nor a .keras archive, as Keras's model files are",
            SAVE_AGAIN,
        )
    if path.stat().st_size > MAX_CONFIG:
        raise DamagedFileError(
            path, f"has more than {MAX_CONFIG} bytes", "give the .json of a model"
        )
    return path.read_bytes(), None, None


def _opened_archive(path, stack):
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    with opened_archive(path) as archive:
        _check_members(archive)
        config = archive.read(CONFIG)
        version = _version(archive)
        unpack(archive, WEIGHTS, folder / WEIGHTS)
    file = stack.enter_context(ArraysFile(folder / WEIGHTS, name=path))
    return config, file, version


def _version(archive):
    """The version of Keras in an archive's metadata; None if it isn't there."""
    if METADATA not in archive.namelist():
        return None
    metadata = json.loads(archive.read(METADATA))
    return metadata.get("keras_version") if isinstance(metadata, dict) else None


def _generation(config, version):
    """The major version of Keras that a configuration is of; None if it isn't known."""
    version = config.get("keras_version", version)
    if version is None and "registered_name" in config:  # JSON of Keras 3 has none
        return 3
    major = version.partition(".")[0] if isinstance(version, str) else ""
    return int(major) if major in ("1", "2", "3") else None


def _check_members(archive):
    """Raise if an archive has other members than Keras writes, or others' sizes."""
    members = archive.infolist()
    names = [member.filename for member in members]
    odd = set(names) - {METADATA, CONFIG, WEIGHTS}
    if odd or len(set(names)) < len(names):
        raise ValueError(
            f"has the members {', '.join(map(repr, names[:5]))}; Keras writes "
            f"{METADATA}, {CONFIG} and {WEIGHTS}, each once"
        )
    for name in (CONFIG, WEIGHTS):
        if name not in names:
            raise ValueError(f"has no {name}")
    for member in members:
        is_weights = member.filename == WEIGHTS
        check_member(member, largest_weights(member) if is_weights else MAX_CONFIG)


def _graph(model, values, places, generation):
    """The neutral graph of a file's model, of its arrays by path."""
    specs = {}

    def spec(node):
        layer = node.layer
        if layer not in specs:
            weights = {
                name: values[where] for name, where in places.get(layer, {}).items()
            }
            specs[layer] = LayerSpec(
                layer.name,
                layer.class_name,
                layer.config,
                weights,
                layer.acts_as,
                generation=generation,
                always=layer.always,
            )
        return specs[layer]

    graph, _ = unrolled(
        model.network,
        model.input_names,
        unique_names(model.output_names),
        model.input_shapes,
        spec,
    )
    return neutral(graph)
