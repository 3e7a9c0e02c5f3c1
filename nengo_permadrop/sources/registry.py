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
    own={
        name: f"nengo_permadrop.sources.{name}.source"
        for name in ("keras", "onnx", "torch")
    },
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
        "Convert a keras.Model, or the path of a model's file, or a torch.nn.Module or "
        "onnx.ModelProto",
    )


def known_source(model):
    """The `.sources.base.Source` that takes a model, or None."""
    sources = map(get_source, source_names())
    return next((source for source in sources if source.takes(model)), None)


def opened(
    model,
    *,
    trust=False,
    weights=None,
    dropout_classes=(),
    max_to_avg_pool=False,
    example_inputs=None,
):
    """
    A model, loaded if it is named by its file.

    Parameters
    ----------
    model : object
        The path of a file, or a model.
    trust : bool, optional
        Load the file with its own library, whatever code that runs.
    weights : str or path-like, optional
        A file of weights, in place of those in the model's, or for a ``.json``.
    dropout_classes : sequence of str, optional
        Names of classes in the file that are permanent dropout, beside those whose
        names end in "Dropout".
    max_to_avg_pool, example_inputs
        As in `.Converter`.

    Returns
    -------
    model : object
        As its source reads it.

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
        source = known_source(model)
        return model if source is None else source.prepared(model, example_inputs)
    options = {"weights": weights, "dropout_classes": dropout_classes}
    options.update(_pooling(max_to_avg_pool))
    ending = os.path.splitext(model)[1].lower()
    sources = {name: get_source(name) for name in source_names()}
    known = {each: name for name, one in sources.items() for each in one.endings}
    refused = {
        each: name for name, one in sources.items() for each in one.refused_endings
    }
    if ending not in {*known, *refused} and not os.path.isdir(model):
        raise ConversionError(
            f"'{os.fspath(model)}'",
            f"ends in {ending!r}, which no known model file does",
            f"Give a file that ends in {', '.join(known)}, or a model",
        )
    source = sources[{**refused, **known}.get(ending, source_names()[0])]
    return source.prepared(source.load(model, trust=trust, **options), example_inputs)


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


def read_model(
    model,
    *,
    weights=None,
    dropout_classes=(),
    max_to_avg_pool=False,
    example_inputs=None,
):
    """
    Read the neutral graph of a model: what a `.Converter` takes.

    Parameters
    ----------
    model : `keras.Model`, another source's model, path of a file, or `.ModelGraph`
        A graph is returned as it is. For files see `.Converter`.
    weights, dropout_classes, max_to_avg_pool, example_inputs
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
    return with_graph(model, weights, dropout_classes, max_to_avg_pool, example_inputs)[
        1
    ]


def with_graph(
    model,
    weights=None,
    dropout_classes=(),
    max_to_avg_pool=False,
    example_inputs=None,
):
    """
    A model, opened if it is a file, and its graph; it warns as `read_model` does.

    Parameters
    ----------
    model, weights, dropout_classes, max_to_avg_pool, example_inputs
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
        example_inputs=example_inputs,
    )
    if isinstance(model, ModelGraph):
        return None, model
    graph = source_of(model).read(model, **_pooling(max_to_avg_pool))
    warn_of_replaced(graph, stacklevel=3)
    return model, graph
