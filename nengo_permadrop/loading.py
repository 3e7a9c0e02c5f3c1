"""Loading Keras models from files, without running code that is hidden in them."""

import json
import shutil
import tempfile
import zipfile
from pathlib import Path

from nengo_permadrop.optional import require


def load_model(path, custom_objects=None, allow_lambda=False):
    """
    Load a saved Keras model, with permanent dropout and SoftLIF layers if it has any.

    Parameters
    ----------
    path : str or path-like
        An ``.h5`` file (CANDLE's too), a ``.keras`` file or a SavedModel folder.
    custom_objects : dict, optional
        Other custom classes of the model, by name, as in `keras.models.load_model`.
    allow_lambda : bool, optional
        A Lambda layer holds Python code, which loading the model runs. True means that
        you trust the file.

    Returns
    -------
    kmodel : `keras.Model`

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file holds a Lambda layer and ``allow_lambda`` is not set, or no model.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such model file")
    if not allow_lambda and "Lambda" in _class_names(path):
        raise ValueError(
            f"{path} contains a Lambda layer, which is Python code that loading the "
            "model would run. Replace it by a named layer; or, if you trust the file, "
            "load it with allow_lambda=True"
        )
    from nengo_permadrop import keras_layers  # registers our layers with Keras

    # Keras checks for itself where it can: in .keras files, and from version 3 on
    checks = path.suffix == ".keras" or keras_layers.keras.__version__[0] != "2"
    options = {"safe_mode": not allow_lambda} if checks else {}
    return keras_layers.keras.models.load_model(
        str(path), custom_objects=custom_objects, compile=False, **options
    )


def load_weights(model, path):
    """
    Load weights that were saved with `keras.Model.save_weights`, by any version.

    Keras goes by the file's name: what ends in ``.weights.h5``, it takes for the format
    that it has had since version 2.12. CANDLE's files have that name and the older
    format. Here the content decides.

    Parameters
    ----------
    model : `keras.Model`
        Of the same layers as the one whose weights were saved.
    path : str or path-like
        An HDF5 file of weights, or of a whole model.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no weights, or those of another model.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file of weights")
    h5py = require("h5py")
    try:
        with h5py.File(path, "r") as file:
            older = "layer_names" in file.attrs or "model_weights" in file
            found = _count_weights(file)
    except OSError as error:
        raise ValueError(f"{path}: not a file of weights ({error})") from error
    n_weights = len(model.get_weights())
    try:
        if not older and found != n_weights:
            raise ValueError(f"{found} arrays, and the model has {n_weights}")
        with tempfile.TemporaryDirectory() as folder:
            name = "weights.h5" if older else "new.weights.h5"
            model.load_weights(str(_under_another_name(path, Path(folder) / name)))
    except Exception as error:  # h5py's and Keras's are of many types
        raise ValueError(
            f"{path} doesn't hold the weights of model '{model.name}' ({error}); take "
            "the file that was saved with it"
        ) from error


def _count_weights(file):
    """Number of arrays of weights in a file of Keras's newer format."""
    names = []
    file.visit(names.append)
    return sum(
        hasattr(file[name], "shape")
        and not name.startswith(("optimizer", "metrics"))  # of compiled models
        for name in names
    )


def _under_another_name(path, link):
    try:
        link.symlink_to(path.resolve())
    except OSError:  # a system without links
        shutil.copyfile(path, link)
    return link


def _class_names(path):
    """The names of all layer classes in a model file, read as data only."""
    if path.is_dir():
        # one JSON document a layer, inside a protocol buffer
        metadata = path / "keras_metadata.pb"
        if not metadata.exists():
            raise ValueError(f"{path}: not a SavedModel that Keras has written")
        text = metadata.read_bytes().decode("utf-8", errors="replace")
        return {"Lambda"} if '"class_name": "Lambda"' in text else set()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
    else:
        try:
            with require("h5py").File(path, "r") as file:
                config = file.attrs.get("model_config")
        except OSError as error:
            raise ValueError(f"{path}: not a Keras model file ({error})") from error
        if config is None:
            raise ValueError(
                f"{path}: holds no model, perhaps only weights; save the model with "
                "model.save, or build it and use its load_weights"
            )
        config = json.loads(config)
    return set(_find_class_names(config))


def _find_class_names(config):
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str):
            yield config["class_name"].rpartition(">")[2]
        for value in config.values():
            yield from _find_class_names(value)
    elif isinstance(config, list):
        for value in config:
            yield from _find_class_names(value)
