"""
Loading Keras models and weights from files that others may have made.

Keras runs code that a model file holds or names, and takes the memory that it declares.
Here a file is read as data, checked (`.model_config`, `.model_hdf5`), and what was
checked is written to a new file: Keras sees that alone.
"""

import concurrent.futures
import contextlib
import json
import math
import random
import tempfile
import zipfile
from pathlib import Path

from nengo.exceptions import ValidationError

from nengo_permadrop.sources.keras.archive import (
    CONFIG,
    METADATA,
    WEIGHTS,
    check_member,
    in_short,
    largest_weights,
    opened_archive,
    unpack,
)
from nengo_permadrop.sources.keras.model_config import (
    MAX_CONFIG,
    check_config,
    parse_config,
)
from nengo_permadrop.sources.keras.model_hdf5 import SAVE_AGAIN, copy_weights
from nengo_permadrop.support.errors import DamagedFileError
from nengo_permadrop.support.optional import require

# What names of Keras's model files end in
ENDINGS = (".h5", ".hdf5", ".keras")

# Values that layers may have beside their weights, such as states of random numbers
SMALL_STATES = 2**16


def load_model(path, custom_objects=None, trust=False):
    """
    Load a saved Keras model, with permanent dropout and SoftLIF layers if it has any.

    Nothing that the file holds or names is run: see :ref:`converting-code`.

    Parameters
    ----------
    path : str or path-like
        An ``.h5`` file (CANDLE's too) or a ``.keras`` file; with ``trust``, a
        SavedModel folder, too.
    custom_objects : dict, optional
        Other custom classes of the model, by name, as in `keras.models.load_model`.
    trust : bool, optional
        Load it as Keras does, whatever code that runs. True means that you trust
        whoever made the file.

    Returns
    -------
    kmodel : `keras.Model`
        Not compiled.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    nengo.exceptions.ValidationError
        A ValueError. If the model may run code and ``trust`` is not set.
    `.DamagedFileError`
        A ValidationError. If the file holds no model, or a damaged one.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such model file")
    if trust:
        return _load_trusted(path, custom_objects)
    if not path.is_file():
        raise ValidationError(
            f"{path} is not loaded, as it is no file. A SavedModel folder is a program "
            "that loading would run. Save the model as .h5 or .keras; or, if you trust "
            "whoever made the folder, load it with trust=True (--trust)",
            attr="model",
        )
    if path.suffix.lower() not in ENDINGS and not require("h5py").is_hdf5(path):
        raise ValidationError(
            f"{path} is no file of a Keras model; these end in {', '.join(ENDINGS)}",
            attr="path",
        )
    with tempfile.TemporaryDirectory() as folder:
        copy, shapes = _checked_copy(path, Path(folder), custom_objects)
        with _limited(path, copy, custom_objects, shapes):
            return _load(path, copy, custom_objects)


def dropouts_named(names):
    """
    Our ``PermanentDropout`` under the names of a user's classes, for `load_model`.

    Parameters
    ----------
    names : str or sequence of str
        As ``dropout_classes`` of `.Converter`.

    Returns
    -------
    custom_objects : dict
    """
    if not names:
        return {}
    from nengo_permadrop.sources.keras.layers import PermanentDropout

    return dict.fromkeys([names] if isinstance(names, str) else names, PermanentDropout)


def load_weights(model, path):
    """
    Load weights that were saved with `keras.Model.save_weights`, by any version.

    Keras goes by the file's name: what ends in ``.weights.h5``, it takes for the format
    that it has had since version 2.12. CANDLE's files have that name and the older
    format. Here the content decides.

    Parameters
    ----------
    model : `keras.Model`
        Of the same layers as the one whose weights were saved. It keeps its weights if
        those of the file can't be loaded.
    path : str or path-like
        An HDF5 file of weights, or of a whole model.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    `.DamagedFileError`
        A ValueError. If it holds no weights, those of another model, or damaged ones.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file of weights")
    if not path.is_file():
        raise DamagedFileError(path, "is no file", "name an HDF5 file of weights")
    before = model.get_weights()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "weights.h5"
        weights = copy_weights(path, copy)
        if not weights.older:
            copy = copy.rename(Path(folder) / "new.weights.h5")
        try:
            n_arrays = len(weights.shapes)
            if not weights.older and n_arrays != len(before):
                raise ValueError(f"{n_arrays} arrays, and the model has {len(before)}")
            model.load_weights(str(copy))
        except Exception as error:  # Keras's are of many types
            model.set_weights(before)
            raise DamagedFileError(
                path,
                f"doesn't hold the weights of model '{model.name}': {in_short(error)}",
                "take the file that was saved with it",
            ) from error


def _checked_copy(path, folder, custom_objects):
    """Write what Keras may see of a model; return the file, and shapes."""
    # as Keras decides: by the name and the content
    if path.name.endswith(".keras") and zipfile.is_zipfile(path):
        return _checked_archive(path, folder, custom_objects)
    copy = folder / "model.h5"
    weights = copy_weights(path, copy)
    if weights.config is None:
        raise DamagedFileError(
            path,
            "holds no model, perhaps only weights",
            "save the model with model.save, or build it and use load_weights",
        )
    _checked_config(weights.config, path, custom_objects)
    return copy, weights.shapes


def _checked_archive(path, folder, custom_objects):
    unpacked, weights_copy = folder / "unpacked.h5", folder / "weights.h5"
    with opened_archive(path) as archive:
        for name in (CONFIG, WEIGHTS):
            info = archive.getinfo(name)
            check_member(info, largest_weights(info))
        with archive.open(CONFIG) as member:
            text = member.read(MAX_CONFIG + 1)
        unpack(archive, WEIGHTS, unpacked)
    config = _checked_config(text, path, custom_objects)
    weights = copy_weights(unpacked, weights_copy, name=path)
    copy = folder / "model.keras"
    with zipfile.ZipFile(copy, "w") as archive:
        archive.writestr(METADATA, "{}")
        archive.writestr(CONFIG, json.dumps(config))
        archive.write(weights_copy, WEIGHTS)
    return copy, weights.shapes


def _checked_config(text, path, custom_objects):
    config = parse_config(text, path)
    check_config(config, path, _names(custom_objects))
    return config


def _names(custom_objects):
    """The names under which Keras finds the user's objects."""
    registered = _keras().utils.get_registered_name
    custom_objects = custom_objects or {}
    return {*custom_objects, *map(registered, custom_objects.values())}


@contextlib.contextmanager
def _limited(path, copy, custom_objects, shapes):
    """Within it, Keras makes no model that has more weights than its file."""
    present = sum(map(math.prod, shapes.values()))
    if _keras().__version__.startswith("2."):
        with require("tensorflow").variable_creator_scope(_counted(path, present)):
            yield
        return

    def load_without_values():
        # shapes are compared with the file's, and no variable gets its memory
        with _keras().StatelessScope(initialize_variables=False):
            _load(path, copy, custom_objects)

    _apart(load_without_values)
    yield


def _counted(path, present):
    """A creator of variables that raises before there are too many values."""
    made = 0

    def create(next_creator, **kwargs):
        nonlocal made
        shape = kwargs.get("shape")
        made += 1 if shape is None else shape.num_elements() or 0
        if made > present + SMALL_STATES:
            raise DamagedFileError(
                path, f"its layers need more weights than its {present}", SAVE_AGAIN
            )
        return next_creator(**kwargs)

    return create


def _apart(function):
    """Call a function such that it leaves no trace in Keras's state, nor ``random``'s.

    Keras keeps its names, scopes and seeds by thread.
    """
    state = random.getstate()
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            return executor.submit(function).result()
    finally:
        random.setstate(state)


def _keras():
    """Keras, which knows our layers."""
    from nengo_permadrop.sources.keras import layers as keras_layers  # registers them

    return keras_layers.keras


def _load(path, copy, custom_objects, **options):
    try:
        return _keras().models.load_model(
            str(copy), custom_objects=custom_objects, compile=False, **options
        )
    except (ImportError, MemoryError, DamagedFileError):
        raise
    except Exception as error:  # Keras's are of many types
        raise DamagedFileError(
            path, f"Keras can't make its model ({in_short(error)})", SAVE_AGAIN
        ) from error


def _load_trusted(path, custom_objects):
    # Keras 2 takes the option for .keras files only
    is_keras2 = _keras().__version__.startswith("2.")
    unsafe = not is_keras2 or path.name.endswith(".keras")
    options = {"safe_mode": False} if unsafe else {}
    model = _load(path, path, custom_objects, **options)
    if not hasattr(model, "get_config"):
        raise DamagedFileError(
            path, "not a SavedModel that Keras has written", SAVE_AGAIN
        )
    return model
