"""The model in a study's folder: a Keras model is saved, a model's file is copied."""

import shutil
from pathlib import Path

from nengo.exceptions import ValidationError

from nengo_permadrop.sources.keras.files import ENDINGS, KerasFile
from nengo_permadrop.sources.keras.saving import save_model
from nengo_permadrop.sources.registry import read_model
from nengo_permadrop.support.digest import digest
from nengo_permadrop.support.files import atomic_path
from nengo_permadrop.support.validation import as_names

WEIGHTS = "model.weights.h5"
NAMES = tuple(f"model{ending}" for ending in ENDINGS)


def write_model(model, directory):
    """
    Put a model into a folder, such that it is read from there as it is.

    Parameters
    ----------
    model : `keras.Model` or `.KerasFile`
    directory : Path

    Returns
    -------
    names : list of str
        Of the files.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the model's file has changed since it was read.
    """
    if not isinstance(model, KerasFile):
        save_model(model, directory / NAMES[0])
        return [NAMES[0]]
    files = {f"model{Path(model.path).suffix.lower()}": model.path}
    if model.weights is not None:
        files[WEIGHTS] = model.weights
    for name, source in files.items():
        if not (directory / name).exists() or not (directory / name).samefile(source):
            with atomic_path(directory / name) as path:
                shutil.copyfile(source, path)
    copied = read_model(
        directory / next(iter(files)),
        weights=None if model.weights is None else directory / WEIGHTS,
        dropout_classes=model.dropout_classes,
    )
    if digest(copied) != digest(model.graph):
        raise ValidationError(
            f"{model.path} has changed since the study began; run it again",
            attr="model",
        )
    return list(files)


def reading_options(found, dropout_classes=(), max_to_avg_pool=False):
    """
    How a model's file is read, as it is said now or was for its study.

    Parameters
    ----------
    found : dict or None
        What the study has found, of `.found_by_study`.
    dropout_classes : str or sequence of str, optional
    max_to_avg_pool : bool, optional

    Returns
    -------
    options : {"dropout_classes": tuple of str, "max_to_avg_pool": bool}
        Of `.registry.opened`.
    """
    before = (found or {}).get("options") or {}
    classes = before.get("dropout_classes") or ()
    return {
        "dropout_classes": (
            *as_names(dropout_classes, "dropout_classes"),
            *as_names(classes, "dropout_classes"),
        ),
        "max_to_avg_pool": bool(max_to_avg_pool or before.get("max_to_avg_pool")),
    }


def written_model(directory):
    """
    The files of the model in a study's folder.

    Parameters
    ----------
    directory : Path

    Returns
    -------
    model : Path
        Also if there is none: where it would be.
    weights : Path or None
        If they are apart from it.
    """
    present = [name for name in NAMES if (directory / name).exists()]
    weights = directory / WEIGHTS
    name = present[0] if present else NAMES[0]
    return directory / name, weights if weights.exists() else None
