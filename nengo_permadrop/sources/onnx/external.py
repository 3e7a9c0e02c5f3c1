"""Tensors that a model's file keeps in files beside it."""

import os
import stat
from pathlib import Path

from nengo.exceptions import ValidationError

from nengo_permadrop.support.optional import require


def load_external(proto, folder):
    """
    Load the tensors of a model that are in other files of its folder.

    Parameters
    ----------
    proto : ``onnx.ModelProto``
        It is changed.
    folder : path-like

    Raises
    ------
    nengo.exceptions.ValidationError
        If a file is not in the folder or below, isn't there or is too short.
    """
    helper = require("onnx.external_data_helper")
    for tensor in _tensors(proto):
        if helper.uses_external_data(tensor):
            info = helper.ExternalDataInfo(tensor)
            _check(tensor.name, info, Path(folder))
    helper.load_external_data_for_model(proto, os.fspath(folder))


def external_name(proto):
    """The name of a tensor whose data are elsewhere, or None."""
    helper = require("onnx.external_data_helper")
    found = (
        tensor.name for tensor in _tensors(proto) if helper.uses_external_data(tensor)
    )
    return next(found, None)


def _tensors(proto):
    """All tensors of a model: initializers, and those in attributes."""
    yield from _of_graph(proto.graph)
    for function in proto.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph):
    yield from graph.initializer
    for each in graph.sparse_initializer:
        yield from (each.values, each.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes):
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for graph in (attribute.g, *attribute.graphs):
                yield from _of_graph(graph)


def _check(name, info, folder):
    """Raise unless a tensor's data are inside a file of a folder."""
    location = Path(info.location)
    if not info.location or location.is_absolute() or ".." in location.parts:
        raise _refused(name, info, "isn't a path in the model's folder")
    inside, path = folder.resolve(), (folder / location)
    try:
        real = path.resolve(strict=True)
        status = real.stat()
    except OSError as error:
        raise _refused(name, info, "can't be read") from error
    if not real.is_relative_to(inside):
        raise _refused(name, info, "is a link out of the model's folder")
    if not stat.S_ISREG(status.st_mode):
        raise _refused(name, info, "is no file")
    if (info.offset or 0) + (info.length or 0) > status.st_size:
        raise _refused(name, info, "is too short for it")


def _refused(name, info, found):
    return ValidationError(
        f"the data of '{name}' are in '{info.location}', which {found}; keep a model "
        "and its data in one folder, or save it as a single file",
        attr="model",
    )
