"""The sources that there are, and which of them takes a model."""

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


def read_model(model):
    """
    Read the neutral graph of a model: what a `.Converter` takes.

    Parameters
    ----------
    model : `keras.Model`, another source's model, or `.ModelGraph`
        A graph is returned as it is.

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
    return source_of(model).read(model)
