"""The sources that there are, and which of them takes a model."""

import os

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.graph.graph import ModelGraph
from nengo_permadrop.support.registry import Registry, instance

_SOURCES = Registry(
    "source",
    "nengo_permadrop.sources",
    own={"keras": "nengo_permadrop.sources.keras.source"},
    prepare=instance,
)


def register_source(source_class):
    """Register a `.sources.base.Source` under its name (a class decorator)."""
    _SOURCES.register(source_class.name, source_class())
    return source_class


def source_names():
    """Names of all sources, installed or not."""
    return _SOURCES.names()


def get_source(name):
    """The `.sources.base.Source` of a name; a ValidationError if there is none."""
    return _SOURCES.get(name)


def source_of(model):
    """
    The source that takes a model.

    Parameters
    ----------
    model : object

    Returns
    -------
    source : `.sources.base.Source`

    Raises
    ------
    nengo_permadrop.ConversionError
        If there is none.
    """
    source = known_source(model)
    if source is not None:
        return source
    raise ConversionError(
        type(model).__name__,
        f"is not a model of a known source ({', '.join(source_names())})",
        "Convert a keras.Model; load a saved one with "
        "nengo_permadrop.sources.keras.loading.load_model",
    )


def known_source(model):
    """The `.sources.base.Source` that takes a model, or None."""
    sources = map(get_source, source_names())
    return next((source for source in sources if source.takes(model)), None)


def opened(model):
    """
    A model, loaded if it is named by its file.

    Parameters
    ----------
    model : object
        The path of a file, or anything else, which is given back.

    Returns
    -------
    model : object

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    nengo_permadrop.ConversionError
        If no source has files of that ending.
    """
    if not isinstance(model, (str, os.PathLike)):
        return model
    ending = os.path.splitext(model)[1].lower()
    known = {each: name for name in source_names() for each in get_source(name).endings}
    if ending not in known:
        raise ConversionError(
            f"'{os.fspath(model)}'",
            f"ends in {ending!r}, which no known model file does",
            f"Give a file that ends in {', '.join(known)}, or a model",
        )
    return get_source(known[ending]).load(model)


def read_model(model):
    """
    Read the neutral graph of a model: what a `.Converter` takes.

    Parameters
    ----------
    model : `keras.Model`, another source's model, path of a file, or `.ModelGraph`
        A graph is returned as it is. For files see `opened`.

    Returns
    -------
    graph : `.ModelGraph`

    Raises
    ------
    nengo_permadrop.ConversionError
        If no source takes the model, or something about it isn't supported.
    """
    if isinstance(model, ModelGraph):
        return model
    model = opened(model)
    return source_of(model).read(model)
