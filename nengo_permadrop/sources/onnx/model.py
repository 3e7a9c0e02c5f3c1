"""ONNX models as plain data."""

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.onnx.external import external_name, load_external
from nengo_permadrop.sources.operators.rows import ANY_ROWS, Node
from nengo_permadrop.support.optional import require

# Of the operators of ONNX itself; there is no converter for older ones
OLDEST_OPSET = 9

# Types that are computed with, as onnx numbers them
_REAL = {1: "float", 11: "double"}
_WHOLE = {2, 3, 4, 5, 6, 7, 9, 12, 13}


@dataclass(frozen=True, eq=False)
class Call:
    """
    A node.

    Attributes
    ----------
    operator : str
        Type of the operator, with its domain if it isn't ONNX's own.
    inputs, outputs : list of str
        Names; "" for what isn't there.
    attributes : dict
        Numbers, str, ndarray and lists of them.
    where : `.operators.rows.Node`
    opset : int
        Version of ONNX's operators.
    """

    operator: str
    inputs: list
    outputs: list
    attributes: dict
    where: Node
    opset: int

    def get(self, name, default=None):
        """An attribute, or a default."""
        return self.attributes.get(name, default)


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """
    An ONNX model.

    Attributes
    ----------
    name : str
    proto : ``onnx.ModelProto``
        A copy, without functions and with all of its data.
    calls : list of `Call`
        That its outputs depend on.
    inputs : {str: tuple of int}
        Shapes, with the axis of rows.
    settings : list of str
        Inputs that are no rows of numbers: what a Dropout may be told.
    outputs : list of str
    rows : int
        Number of rows that it is for, or `ANY_ROWS`.
    fixed : bool
        Whether it is for so many rows.
    """

    name: str
    proto: Any
    calls: list = field(default_factory=list)
    inputs: dict = field(default_factory=dict)
    settings: list = field(default_factory=list)
    outputs: list = field(default_factory=list)
    rows: int = ANY_ROWS
    fixed: bool = False

    def __str__(self):
        return f"'{self.name}'"

    def constants(self):
        """Initializers that nodes take, ``{name: ndarray}``."""
        taken = {name for call in self.calls for name in call.inputs}
        taken.update(self.outputs)
        return {
            tensor.name: as_array(tensor)
            for tensor in self.proto.graph.initializer
            if tensor.name in taken
        }


def read_file(path):
    """
    An ONNX file, and the data beside it.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    model : `OnnxModel`

    Raises
    ------
    FileNotFoundError
        If there is none.
    nengo.exceptions.ValidationError
        If it is damaged, or keeps data out of its folder.
    ConversionError
        As `read_proto`.
    """
    onnx = require("onnx")
    path = os.fspath(path)
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file '{path}'")
    if not os.path.isfile(path):
        raise ValidationError(f"'{path}' is no file", attr="model")
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:  # of protobuf, which has several
        raise ValidationError(
            f"'{path}' is damaged, or no ONNX file ({error})", attr="model"
        ) from error
    if not proto.graph.output:
        raise ValidationError(
            f"'{path}' is damaged, or no ONNX file (it has no outputs)", attr="model"
        )
    load_external(proto, os.path.dirname(os.path.abspath(path)))
    return _read(proto, os.path.basename(path))


def read_proto(proto):
    """
    An ONNX model in memory.

    Parameters
    ----------
    proto : ``onnx.ModelProto``
        It is left as it is.

    Returns
    -------
    model : `OnnxModel`

    Raises
    ------
    ConversionError
        If it is of an older opset, takes or gives something else than rows of numbers,
        or its data are elsewhere.
    """
    missing = external_name(proto)
    if missing is not None:
        raise ConversionError(
            f"tensor '{missing}'",
            "has its data in another file",
            "Give the path of the model's file, or load it with onnx.load",
        )
    copy = type(proto)()
    copy.CopyFrom(proto)
    return _read(copy, proto.graph.name or "model")


def _read(proto, name):
    opset = _opset(proto)
    if proto.functions:
        proto = require("onnx.inliner").inline_local_functions(proto)
    graph = proto.graph
    if graph.sparse_initializer:
        raise ConversionError(
            f"model '{name}'", "has sparse initializers", "Save it with dense ones"
        )
    known = {tensor.name for tensor in graph.initializer}
    inputs, settings, rows = {}, [], None
    for each in graph.input:
        if each.name in known:
            continue
        shape = _shape(each)
        if shape is None:
            settings.append(each.name)
            continue
        if inputs and shape[0] != rows:
            raise ConversionError(
                f"input '{each.name}'",
                f"has {shape[0]} rows, and others have {rows}",
                "Give all inputs one row for each observation",
            )
        inputs[each.name], rows = shape, shape[0]
    fixed = rows is not None
    rows = rows if fixed else ANY_ROWS
    return OnnxModel(
        name,
        proto,
        _calls(proto, opset),
        {key: (rows, *shape[1:]) for key, shape in inputs.items()},
        settings,
        [each.name for each in graph.output],
        rows,
        fixed,
    )


def _opset(proto):
    versions = {each.domain: each.version for each in proto.opset_import}
    newest = require("onnx").defs.onnx_opset_version()
    opset = versions.get("", versions.get("ai.onnx", 1))
    if not OLDEST_OPSET <= opset <= newest:
        raise ConversionError(
            f"model '{proto.graph.name}'",
            f"is of opset {opset}",
            f"Export it with an opset from {OLDEST_OPSET} to {newest}, or use "
            "onnx.version_converter",
        )
    return opset


def _shape(info):
    """Shape of an input, the first size None if it may be any; None of a setting."""
    kind = info.type.tensor_type
    sizes = [
        each.dim_value if each.HasField("dim_value") else None
        for each in kind.shape.dim
    ]
    if kind.elem_type == 9 or (kind.HasField("shape") and not sizes):
        return None  # a bool, or a number
    if kind.elem_type not in _REAL:
        raise ConversionError(
            f"input '{info.name}'",
            "is of another type than float",
            "Convert a model that computes in single precision",
        )
    if len(sizes) < 2 or any(size is None or size < 1 for size in sizes[1:]):
        raise ConversionError(
            f"input '{info.name}'",
            f"has the shape {tuple(sizes)}",
            "Give it rows, and fix all axes but the first, which is that of rows",
        )
    return (sizes[0] or None, *sizes[1:])


def _calls(proto, opset):
    """The nodes that outputs depend on."""
    needed, kept = {each.name for each in proto.graph.output}, []
    for node in reversed(proto.graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    calls, taken = [], set()
    for node in kept[::-1]:
        path = node.name
        if not path or path in taken:
            path = next(filter(None, node.output), "")
        taken.add(path)
        own = node.domain in ("", "ai.onnx")
        operator = node.op_type if own else f"{node.domain}.{node.op_type}"
        where = Node(path, node.op_type, next(filter(None, node.output), ""))
        attributes = {each.name: _attribute(each) for each in node.attribute}
        names = list(node.input), list(node.output)
        calls.append(Call(operator, *names, attributes, where, opset))
    return calls


def _attribute(proto):
    onnx = require("onnx")
    value = onnx.helper.get_attribute_value(proto)
    if isinstance(value, onnx.TensorProto):
        return as_array(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):
        return shortest(value)
    if isinstance(value, (int, str)):
        return value
    if isinstance(value, (list, tuple)) or hasattr(value, "__len__"):
        return [shortest(x) if isinstance(x, float) else x for x in value]
    return value


def shortest(number):
    """A number in single precision, with as few digits as name it."""
    return float(str(np.float32(number)))


def as_array(tensor):
    """A tensor of a model as an array."""
    if tensor.data_type not in {*_REAL, *_WHOLE}:
        types = require("onnx").TensorProto.DataType
        names = {number: name for name, number in types.items()}
        raise ConversionError(
            f"tensor '{tensor.name}'",
            f"is of type {names.get(tensor.data_type, tensor.data_type)}",
            "Convert the model in single precision, before it is rounded or quantised",
        )
    try:
        return np.array(require("onnx.numpy_helper").to_array(tensor))
    except (TypeError, ValueError) as error:
        raise ValidationError(
            f"tensor '{tensor.name}' is damaged ({error})", attr="model"
        ) from error
