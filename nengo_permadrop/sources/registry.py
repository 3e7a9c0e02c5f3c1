"""The sources that there are, and which of them takes a model."""

import inspect
import os

from nengo.exceptions import ValidationError

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.graph.graph import ModelGraph
from nengo_permadrop.graph.replaced import warn_of_replaced
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
        "Convert a keras.Model, or the path of a model's file",
    )


def known_source(model):
    """The `.sources.base.Source` that takes a model, or None."""
    sources = map(get_source, source_names())
    return next((source for source in sources if source.takes(model)), None)


def opened(
    model, *, trust=False, weights=None, dropout_classes=(), max_to_avg_pool=False
):
    """
    A model, loaded if it is named by its file.

    Parameters
    ----------
    model : object
        The path of a file, or anything else, which is given back.
    trust : bool, optional
        Load the file with its own library, whatever code that runs.
    weights : str or path-like, optional
        A file of weights, in place of those in the model's, or for a ``.json``.
    dropout_classes : sequence of str, optional
        Names of classes in the file that are permanent dropout, beside those whose
        names end in "Dropout".
    max_to_avg_pool : bool, optional
        As in `.Converter`.

    Returns
    -------
    model : object

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    nengo_permadrop.ConversionError
        If no source has files of that ending.
    nengo.exceptions.ValidationError
        If it is a folder, or ``weights`` are given for a model that is no file.
    """
    if not isinstance(model, (str, os.PathLike)):
        if weights is not None:
            raise ValidationError(
                "are for models that are given as files; load them with the model's "
                "own load_weights",
                attr="weights",
            )
        return model
    options = {"weights": weights, "dropout_classes": dropout_classes}
    options.update(_pooling(max_to_avg_pool))
    ending = os.path.splitext(model)[1].lower()
    known = {each: name for name in source_names() for each in get_source(name).endings}
    if ending not in known and not os.path.isdir(model):
        raise ConversionError(
            f"'{os.fspath(model)}'",
            f"ends in {ending!r}, which no known model file does",
            f"Give a file that ends in {', '.join(known)}, or a model",
        )
    source = get_source(known.get(ending, source_names()[0]))
    return source.load(model, trust=trust, **options)


def _pooling(max_to_avg_pool):
    """An option for those sources that know it."""
    return {"max_to_avg_pool": True} if max_to_avg_pool else {}


def any_graph(model):
    """
    The graph of a model, whatever it pools, for its shapes and what identifies it.

    Where the model takes the largest of several elements, averages stand in the graph:
    it isn't warned of that, as no network is made of it.

    Parameters
    ----------
    model : object
        As for `read_model`, but for files.

    Returns
    -------
    graph : `.ModelGraph`

    Raises
    ------
    nengo_permadrop.ConversionError
        As `read_model`.
    """
    if isinstance(model, ModelGraph):
        return model
    source = source_of(model)
    try:
        return source.read(model)
    except ConversionError:
        if "max_to_avg_pool" not in inspect.signature(source.read).parameters:
            raise
        return source.read(model, **_pooling(True))


def read_model(model, *, weights=None, dropout_classes=(), max_to_avg_pool=False):
    """
    Read the neutral graph of a model: what a `.Converter` takes.

    Parameters
    ----------
    model : `keras.Model`, another source's model, path of a file, or `.ModelGraph`
        A graph is returned as it is. For files see `.Converter`.
    weights, dropout_classes, max_to_avg_pool
        As in `.Converter`.

    Returns
    -------
    graph : `.ModelGraph`

    Raises
    ------
    nengo_permadrop.ConversionError
        If no source takes the model, or something about it isn't supported.
    nengo.exceptions.ValidationError
        If a file is damaged, or isn't a file.
    FileNotFoundError
        If there is no such file.

    Warns
    -----
    UserWarning
        If the graph computes something else than the model, as ``max_to_avg_pool``
        makes it.
    """
    return with_graph(model, weights, dropout_classes, max_to_avg_pool)[1]


def with_graph(model, weights=None, dropout_classes=(), max_to_avg_pool=False):
    """
    A model, opened if it is a file, and its graph; it warns as `read_model` does.

    Parameters
    ----------
    model, weights, dropout_classes, max_to_avg_pool
        As in `.Converter`.

    Returns
    -------
    model : object or None
        None if a graph was given, of which it was warned when it was read.
    graph : `.ModelGraph`
    """
    model = opened(
        model,
        weights=weights,
        dropout_classes=dropout_classes,
        max_to_avg_pool=max_to_avg_pool,
    )
    if isinstance(model, ModelGraph):
        return None, model
    graph = source_of(model).read(model, **_pooling(max_to_avg_pool))
    warn_of_replaced(graph, stacklevel=3)
    return model, graph
