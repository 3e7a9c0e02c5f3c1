"""From modules and exported programs to programs as plain data."""

import contextlib
import inspect
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.graph.dropouts import ALWAYS, NEVER, PLAIN
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.operators.rows import ANY_ROWS
from nengo_permadrop.sources.torch.modes import baked, dropout_flags
from nengo_permadrop.sources.torch.program import (
    Call,
    Program,
    Ref,
    operator_of,
    settled,
    unique_names,
)
from nengo_permadrop.support.optional import require


@dataclass(frozen=True, eq=False)
class TorchModel:
    """
    A module or exported program, and what is known of it.

    Attributes
    ----------
    name : str
    exported : ``torch.export.ExportedProgram``
        In evaluation mode, if it was made of a module; its weights are the module's.
    program : `.Program`
    when : {str: str}
        When each dropout drops units, by its node: as in `.Drop`.
    """

    name: str
    exported: Any
    program: Program
    when: dict

    def __str__(self):
        return f"'{self.name}'"


def module_model(module, example_inputs):
    """
    What a module computes.

    It is followed twice, in evaluation and in training mode, on the shapes and types of
    its inputs, without computing anything: a dropout that is on in the one and off in
    the other is a plain one.

    Parameters
    ----------
    module : ``torch.nn.Module``
        It is left as it is.
    example_inputs : array_like, tuple or list of array_like, or {str: array_like}
        Rows of its input, or inputs; a dict has them by the names of the arguments of
        ``forward``.

    Returns
    -------
    model : `TorchModel`

    Raises
    ------
    ConversionError
        If torch can't follow it.

    Warns
    -----
    UserWarning
        If torch can follow it in evaluation mode alone.
    """
    args, kwargs = _examples(module, example_inputs)
    name = type(module).__name__
    exported = _exported(module, args, kwargs, training=False)
    program = settled(read_program(exported))
    when = baked(program)
    try:
        learning = _exported(module, args, kwargs, training=True)
    except ConversionError as error:  # flags are taken as they are, then
        warnings.warn(
            f"{error.layer} {error.found} in training mode: dropout that it has in "
            "that mode alone is not seen",
            stacklevel=6,
        )
        return TorchModel(name, exported, program, when)
    learned = dropout_flags(settled(read_program(learning)))
    flags = dropout_flags(program)
    for key, (call, is_on) in learned.items():
        if is_on and key not in flags:
            raise ConversionError(
                str(call.where),
                "drops units in training mode, and isn't there in evaluation mode",
                "Call dropout in both modes: nn.Dropout, or F.dropout(x, p, training="
                "self.training)",
            )
    for key, (call, is_on) in flags.items():
        _, in_training = learned.get(key, (None, is_on))
        when[call.name] = PLAIN if is_on != in_training else ALWAYS if is_on else NEVER
    return TorchModel(name, exported, program, when)


def exported_model(exported):
    """
    What an exported program computes.

    The mode that its module was in is part of it. A dropout that is off, or belongs to
    a dropout module, is a plain one; another that is on drops units always.

    Parameters
    ----------
    exported : ``torch.export.ExportedProgram``

    Returns
    -------
    model : `TorchModel`
    """
    program = settled(read_program(exported))
    return TorchModel("ExportedProgram", exported, program, baked(program))


def _examples(module, given):
    """Arguments for a module, as tensors of `ANY_ROWS` rows: args and kwargs."""
    torch = require("torch")
    if isinstance(given, dict):
        kwargs = {name: _example(module, torch, each) for name, each in given.items()}
        return (), kwargs
    several = isinstance(given, (list, tuple)) and any(
        hasattr(each, "shape") and len(each.shape) > 0 for each in given
    )
    given = given if several else (given,)
    return tuple(_example(module, torch, each) for each in given), {}


def _example(module, torch, rows):
    known = next(
        (each for each in module.parameters() if each.is_floating_point()), None
    )
    if isinstance(rows, torch.Tensor):
        rows = rows.detach().cpu()
    else:
        try:
            rows = torch.from_numpy(np.array(rows, dtype=float))
        except (TypeError, ValueError) as error:
            raise ValidationError(
                f"must be numbers in rows ({error})", attr="example_inputs"
            ) from error
    if rows.ndim < 1 or len(rows) < 1:
        raise ValidationError(
            f"must have rows, got the shape {tuple(rows.shape)}; give X[:1]",
            attr="example_inputs",
        )
    first = rows[:1].expand(ANY_ROWS, *rows.shape[1:]).contiguous()
    if rows.dtype in (torch.int32, torch.int64):  # of a tensor that was given
        return first
    if known is None:
        return first.to(torch.get_default_dtype())
    return first.to(dtype=known.dtype, device=known.device)


def _exported(module, args, kwargs, training):
    torch = require("torch")
    if isinstance(module, torch.jit.ScriptModule):
        raise ConversionError(
            type(module).__name__,
            "is TorchScript, which torch.export doesn't follow",
            "Convert the module that it was made from",
        )
    try:
        given = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    except TypeError as error:
        raise ValidationError(
            f"don't fit forward of {type(module).__name__}: {error}",
            attr="example_inputs",
        ) from error
    shapes = _free_rows(dict(given), {0: torch.export.Dim.AUTO})
    with _mode(module, training), torch.random.fork_rng(devices=[]):
        try:
            return torch.export.export(module, args, kwargs, dynamic_shapes=shapes)
        except Exception as error:  # whatever a module's code raises
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConversionError(
                type(module).__name__,
                f"can't be followed by torch.export ({type(error).__name__}: {reason})",
                "See that module(example_inputs) runs, and that its forward has no "
                "conditions on values",
            ) from error


def _free_rows(item, rows):
    """What torch.export is told of arguments: all may have any number of rows."""
    if isinstance(item, dict):
        return {name: _free_rows(each, rows) for name, each in item.items()}
    if isinstance(item, tuple):
        return tuple(_free_rows(each, rows) for each in item)
    return rows


@contextlib.contextmanager
def _mode(module, training):
    """A module in a mode, for a while; each of its parts is as it was after it."""
    modes = {each: each.training for each in module.modules()}
    try:
        for each in modes:  # train() may be the user's own
            each.training = training
        yield
    finally:
        for each, mode in modes.items():
            each.training = mode


def read_program(exported):
    """
    An exported program as plain data.

    Parameters
    ----------
    exported : ``torch.export.ExportedProgram``

    Returns
    -------
    program : `.Program`

    Raises
    ------
    ConversionError
        If it takes or gives something else than tensors of numbers.
    """
    tensors = constant_tensors(exported)
    program, user = Program(), set(exported.graph_signature.user_inputs)
    program.rows = None
    for node in exported.graph.nodes:
        if node.op == "placeholder":
            if node.name in user:
                shape, rows = _shape(node)
                program.inputs[node.name] = shape
                if program.rows not in (None, rows):
                    raise ConversionError(
                        f"input '{node.name}'",
                        f"has {rows} rows, and others have {program.rows}",
                        "Give all inputs one row for each observation",
                    )
                program.rows = rows
            elif node.name in tensors:
                program.constants[node.name] = as_array(node.name, tensors[node.name])
        elif node.op == "call_function":
            result = _folded(node, tensors)
            if result is None:
                program.calls.append(_call(node))
            else:
                tensors[node.name] = result
                program.constants[node.name] = as_array(node.name, result)
        elif node.op == "output":
            program.outputs = _outputs(exported)
        else:
            raise ConversionError(
                f"node '{node.name}'",
                f"is a {node.op}",
                "Export a module that is made of operators alone",
            )
    program.rows = ANY_ROWS if program.rows is None else program.rows
    return program


def _folded(node, tensors):
    """What a node computes of weights alone, as parametrizations do; or None."""
    torch = require("torch")
    schema = getattr(node.target, "_schema", None)
    given = node.all_input_nodes
    if (
        schema is None
        or schema.is_mutable
        or torch.Tag.nondeterministic_seeded in node.target.tags
        or not given
        or any(each.name not in tensors for each in given)
    ):
        return None

    def known(item):
        return torch.fx.node.map_arg(item, lambda each: tensors[each.name])

    with torch.no_grad():
        result = node.target(*known(node.args), **known(node.kwargs))
    return result if isinstance(result, torch.Tensor) else None


def constant_tensors(exported):
    """Parameters, buffers and constants, by the nodes that stand for them."""
    signature, found = exported.graph_signature, {}
    for name, key in {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }.items():
        source = exported.state_dict
        found[name] = source[key] if key in source else exported.constants[key]
    return found


def as_array(name, tensor):
    """A tensor as an array of its own."""
    torch = require("torch")
    known = (torch.float32, torch.float64, torch.int64, torch.int32, torch.bool)
    if tensor.dtype not in known:
        raise ConversionError(
            f"parameter '{name}'",
            f"is in {str(tensor.dtype).removeprefix('torch.')}",
            "Convert a copy in single precision: copy.deepcopy(module).float()",
        )
    return np.array(tensor.detach().cpu().numpy())


def _shape(node):
    """Shape of an input, with rows; and how many rows it is for."""
    value = node.meta.get("val")
    if not hasattr(value, "shape"):
        raise ConversionError(
            f"input '{node.name}'",
            f"is no tensor but {type(value).__name__}",
            "Export a module that takes tensors alone",
        )
    sizes = [fixed_size(size) or size for size in value.shape]
    if len(sizes) < 2 or any(not isinstance(size, int) for size in sizes[1:]):
        raise ConversionError(
            f"input '{node.name}'",
            f"has the shape {tuple(sizes)}",
            "Give it rows, and fix all axes but the first, which is that of rows",
        )
    rows = sizes[0] if isinstance(sizes[0], int) else ANY_ROWS
    return (rows, *sizes[1:]), rows


def fixed_size(size):
    """A size as an int, or None if it may be any."""
    symbolic = require("torch.fx.experimental.symbolic_shapes")
    return int(size) if symbolic.is_concrete_int(size) else None


def _call(node):
    schema = getattr(node.target, "_schema", None)
    if schema is None:  # of Python, on sizes or on several results
        target = f"_operator.{getattr(node.target, '__name__', node.target)}"
        names = [str(number) for number in range(len(node.args))]
    else:
        target = str(node.target)
        names = [each.name for each in schema.arguments]
    args = {**dict(zip(names, node.args)), **node.kwargs}
    stack = node.meta.get("nn_module_stack") or {}
    modules = tuple(
        (key, path, kind if isinstance(kind, str) else _class_name(kind))
        for key, (path, kind) in stack.items()
        if key.startswith("L__self")
    )
    return Call(node.name, operator_of(target), target, _plain(args), modules)


def _class_name(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def _plain(item):
    """Arguments without torch: nodes are `.Ref`."""
    if isinstance(item, dict):
        return {key: _plain(each) for key, each in item.items()}
    if isinstance(item, (list, tuple)):
        return [_plain(each) for each in item]
    if hasattr(item, "op") and hasattr(item, "meta"):
        return Ref(item.name)
    return item


def _outputs(exported):
    """Names of the outputs, and the nodes that give them."""
    names = exported.graph_signature.user_outputs
    if not names or any(not isinstance(name, str) for name in names):
        raise ConversionError(
            "the program",
            f"gives {names}",
            "Return tensors alone from forward",
        )
    given = exported.call_spec.out_spec.unflatten(list(names))
    keys = list(given) if isinstance(given, dict) else []
    if len(keys) == len(names) and all(isinstance(key, str) for key in keys):
        return dict(zip(keys, names))
    return dict(zip(unique_names(names), names))
