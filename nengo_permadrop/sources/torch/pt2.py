"""
Exported programs in ``.pt2`` files, read as data.

Such a file is an archive of the program's graph as JSON and of its weights as plain
bytes. PyTorch's own loading unpickles some of its members, and evaluates sizes that it
has in writing (torch 2.13), so that it runs whatever code is in them; here neither is
looked at, and PyTorch isn't needed.
"""

import json
import math
import os
import zipfile
from dataclasses import dataclass

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.operators.rows import ANY_ROWS
from nengo_permadrop.sources.torch.modes import baked
from nengo_permadrop.sources.torch.program import (
    Call,
    Program,
    Ref,
    operator_of,
    settled,
    unique_names,
)
from nengo_permadrop.support.archives import readable

_WHAT = "a program as torch.export.save of PyTorch 2.9 writes it"
_AGAIN = "Save it again, with torch.export.save(exported, path)"
_WAY_OUT = (
    "Save it again with PyTorch 2.9 or later; or load it with torch.export.load, if "
    "you trust it, and convert the program"
)

# The version of the graph's format that is known
_SCHEMA = 8

# PyTorch's numbers of types
_TYPES = {4: "<i4", 5: "<i8", 7: "<f4", 8: "<f8", 12: "?"}


@dataclass(frozen=True, eq=False)
class Pt2File:
    """
    A ``.pt2`` file.

    Attributes
    ----------
    name : str
    program : `.Program`
    when : {str: str}
        When each dropout drops units, by its node: as in `.Drop`.
    """

    name: str
    program: Program
    when: dict

    def __str__(self):
        return f"'{self.name}'"


def read_pt2(path):
    """
    Read a ``.pt2`` file.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    file : `Pt2File`

    Raises
    ------
    FileNotFoundError
        If there is none.
    nengo.exceptions.ValidationError
        If it is damaged.
    ConversionError
        If it has what can't be read as data.
    """
    name, refused = os.path.basename(path), None
    with open(path, "rb") as stream, readable(path, _WHAT, _AGAIN):
        try:
            program = settled(_read(stream, name))
        except ConversionError as error:
            refused = error
    if refused is not None:
        raise refused
    return Pt2File(name, program, baked(program))


def _read(stream, name):
    with zipfile.ZipFile(stream) as archive:
        members = {}
        size = os.fstat(stream.fileno()).st_size
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                raise ValueError(f"{info.filename} is compressed")
            members[info.filename.partition("/")[2]] = info
        models = [key for key in members if key.startswith("models/")]
        if len(models) != 1:
            raise ConversionError(
                f"'{name}'",
                (
                    f"has {len(models)} programs"
                    if models
                    else "is of an older PyTorch, whose weights are pickles"
                ),
                _WAY_OUT,
            )
        document = json.loads(archive.read(members[models[0]]))
        if document["schema_version"]["major"] != _SCHEMA:
            raise ConversionError(
                f"'{name}'",
                f"is of version {document['schema_version']['major']} of its format",
                _WAY_OUT,
            )
        if archive.read(members["byteorder"]) != b"little":
            raise ConversionError(f"'{name}'", "has big-endian numbers", _WAY_OUT)
        model = models[0].removeprefix("models/").removesuffix(".json")
        arrays = _Arrays(archive, members, model)
        return _program(document["graph_module"], arrays)


class _Arrays:
    """Weights and constants of an archive, by name."""

    def __init__(self, archive, members, model):
        self._archive, self._members, self._known = archive, members, {}
        for folder in ("weights", "constants"):
            name = f"data/{folder}/{model}_{folder}_config.json"
            if name in members:
                config = json.loads(archive.read(members[name]))["config"]
                self._known.update({key: (folder, x) for key, x in config.items()})

    def __getitem__(self, name):
        folder, entry = self._known[name]
        if entry["use_pickle"]:
            raise ConversionError(
                f"parameter '{name}'",
                "is a pickle, whose loading may run code",
                _WAY_OUT,
            )
        meta = entry["tensor_meta"]
        if meta["dtype"] not in _TYPES:
            raise ConversionError(
                f"parameter '{name}'",
                f"is of a type that isn't computed in (number {meta['dtype']})",
                "Export a copy in single precision: copy.deepcopy(module).float()",
            )
        dtype = np.dtype(_TYPES[meta["dtype"]])
        shape = [int(each["as_int"]) for each in meta["sizes"]]
        strides = [int(each["as_int"]) for each in meta["strides"]]
        offset = int(meta["storage_offset"]["as_int"])
        data = self._archive.read(self._members[f"data/{folder}/{entry['path_name']}"])
        values = np.frombuffer(data, dtype)
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides))
        if min([offset, *strides, *shape], default=0) < 0 or len(shape) != len(strides):
            raise ValueError(f"{name} has the shape {shape} and strides {strides}")
        if math.prod(shape) == 0:
            return np.zeros(shape, dtype)
        if math.prod(shape) > values.size or last >= values.size:
            raise ValueError(f"{name} has fewer than {math.prod(shape)} numbers")
        steps = [step * dtype.itemsize for step in strides]
        return np.array(np.lib.stride_tricks.as_strided(values[offset:], shape, steps))


def _program(module, arrays):
    graph, signature = module["graph"], module["signature"]
    program = Program(rows=None)
    for spec in signature["input_specs"]:
        ((kind, entry),) = spec.items()
        name = _names(entry["arg"])[0]
        if kind == "user_input":
            shape = _shape(name, graph["tensor_values"][name]["sizes"])
            if program.rows not in (None, shape[0]):
                raise ConversionError(
                    f"input '{name}'",
                    f"has {shape[0]} rows, and others have {program.rows}",
                    "Give all inputs one row for each observation",
                )
            program.inputs[name], program.rows = shape, shape[0]
        elif f"{kind}_name" in entry:  # a parameter, buffer or tensor_constant
            program.constants[name] = arrays[entry[f"{kind}_name"]]
        else:
            raise ConversionError(
                f"input '{name}'", f"is a {kind}", "Export a module that takes tensors"
            )
    for number, node in enumerate(graph["nodes"]):
        program.calls.extend(_calls(node, number))
    names = [
        _names(spec["user_output"]["arg"])[0]
        for spec in signature["output_specs"]
        if "user_output" in spec
    ]
    program.outputs = dict(zip(_output_names(module, names), names))
    return program


def _names(argument):
    """Names of values in an argument that is nothing else."""
    found = [argument["name"]] if "name" in argument else _argument(argument)
    found = found if isinstance(found, list) else [found]
    return [each.name if isinstance(each, Ref) else each for each in found]


def _shape(name, sizes):
    if len(sizes) < 2 or any("as_int" not in each for each in sizes[1:]):
        raise ConversionError(
            f"input '{name}'",
            f"has {len(sizes)} axes, some of unknown size",
            "Give it rows, and fix all axes but the first, which is that of rows",
        )
    rows = int(sizes[0].get("as_int", ANY_ROWS))
    return (rows, *(int(each["as_int"]) for each in sizes[1:]))


def _calls(node, number):
    """A node's call, and those that take its several results apart."""
    target = node["target"].removeprefix("torch.ops.")
    args = {each["name"]: _argument(each["arg"]) for each in node["inputs"]}
    stack = node.get("metadata", {}).get("nn_module_stack", "")
    modules = tuple(
        tuple(each.split(",", 2))
        for each in filter(None, stack.split(";"))
        if each.startswith("L__self") and each.count(",") >= 2
    )
    outputs = [_argument(each) for each in node["outputs"]]
    several = len(outputs) != 1 or isinstance(outputs[0], list)
    name = f"node_{number}" if several else outputs[0].name
    yield Call(name, operator_of(target), target, args, modules)
    if several:
        parts = outputs[0] if len(outputs) == 1 else outputs
        for place, part in enumerate(parts):
            if isinstance(part, Ref):
                take = {"0": Ref(name), "1": place}
                item = "_operator.getitem"
                yield Call(part.name, item, item, take, modules)


def _argument(argument):
    """An argument as plain data; what other nodes give is a `.Ref`."""
    ((kind, value),) = argument.items()
    if kind in ("as_tensor", "as_sym_int", "as_sym_float", "as_sym_bool"):
        return _reference(value)
    if kind in ("as_tensors", "as_sym_ints", "as_sym_floats", "as_sym_bools"):
        return [_reference(each) for each in value]
    if kind == "as_optional_tensor":
        return _argument(value)
    if kind == "as_optional_tensors":
        return [_argument(each) for each in value]
    if kind in ("as_none", "as_device", "as_layout", "as_memory_format"):
        return None
    if kind == "as_scalar_type":
        return str(value)
    if isinstance(value, (bool, int, float, str, list)):
        return value
    raise ConversionError(
        f"an argument {kind}", "is no number, text or tensor", "Convert the module"
    )


def _reference(value):
    name = value.get("name", value.get("as_name"))
    if name is not None:
        return Ref(name)
    return next(iter(value.values()))


def _output_names(module, names):
    """Names of outputs: a dict's keys, or those of their nodes."""
    spec = json.loads(module["module_call_graph"][0]["signature"]["out_spec"])[1]
    if spec["type"] == "builtins.dict":
        keys = json.loads(spec["context"])
        if len(keys) == len(names) and all(isinstance(key, str) for key in keys):
            return keys
    return unique_names(names)
