"""
The table of ONNX's operators: which function writes which into the neutral graph.

Functions are registered under the operators' types, by the modules of
`nengo_permadrop.sources.onnx.converters` and by packages, as entry points in the group
"nengo_permadrop.onnx_operators".
"""

import inspect

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.onnx.noise import Masked, Noise, Uniform
from nengo_permadrop.sources.operators import refusals
from nengo_permadrop.sources.operators.arithmetic import GraphValue
from nengo_permadrop.sources.operators.rows import named_errors
from nengo_permadrop.support.registry import Registry

_OPERATORS = Registry("operator", "nengo_permadrop.onnx_operators")

REFUSED = {
    "Attention": refusals.ATTENTION,
    "Einsum": refusals.PRODUCT,
    "HardSwish": refusals.GROWING,
    "LogSoftmax": refusals.LOG_SOFTMAX,
    "Hardmax": refusals.LARGEST,
    "TopK": refusals.LARGEST,
    "ReduceMax": refusals.LARGEST,
    "ReduceMin": refusals.LARGEST,
    **dict.fromkeys(("LSTM", "GRU", "RNN", "Scan", "Loop"), refusals.RECURRENT),
    **dict.fromkeys(
        (
            "GroupNormalization",
            "InstanceNormalization",
            "LRN",
            "LayerNormalization",
            "LpNormalization",
            "MeanVarianceNormalization",
            "RMSNormalization",
            "ReduceL2",
        ),
        refusals.BY_OBSERVATION,
    ),
    **dict.fromkeys(
        ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike"),
        refusals.RANDOM,
    ),
    **dict.fromkeys(("Sin", "Cos", "Erf", "Softsign"), refusals.GROWING),
}


class Setting:
    """What an input gives that is no rows of numbers, or an output that isn't known."""

    def __init__(self, name):
        self.name = name


def register_operator(*names):
    """
    Register what ONNX's operators of these types are in the graph.

    Parameters
    ----------
    *names : str
        Such as "Gemm"; with a domain before them if it isn't ONNX's own.

    Returns
    -------
    decorator : callable
        For ``write(writer, call, *operands) -> result``, where ``writer`` is a
        `.RowsWriter`, ``call`` is a `.onnx.model.Call`, and operands are `.GraphValue`
        objects if they are computed, arrays if they are known, and None if they aren't
        given; so are results, of which there may be a list.
    """

    def decorator(function):
        for name in names:
            _OPERATORS.register(name, function)
        return function

    return decorator


def check_operator(call):
    """
    Raise if there is no converter for an operator.

    Parameters
    ----------
    call : `.onnx.model.Call`

    Raises
    ------
    ConversionError
        Then.
    """
    if call.operator not in _OPERATORS:
        found, fix = REFUSED.get(
            call.operator,
            (
                f"is an operator {call.operator}, which there is no converter for",
                "Use operators that the documentation lists (From ONNX), or give it "
                "one: nengo_permadrop.sources.onnx.table.register_operator",
            ),
        )
        raise ConversionError(str(call.where), found, fix)


def write_call(writer, call, operands):
    """
    Write what a node is into the graph.

    Parameters
    ----------
    writer : `.RowsWriter`
    call : `.onnx.model.Call`
        Of an operator that there is a converter for.
    operands : list

    Returns
    -------
    results : list
        One an output.

    Raises
    ------
    ConversionError
        If something about it is not supported.
    """
    function = _OPERATORS.get(call.operator)
    try:
        inspect.signature(function).bind(writer, call, *operands)
    except TypeError as error:
        raise ConversionError(
            str(call.where),
            f"has {len(operands)} inputs in opset {call.opset} ({error})",
            "Check the model with onnx.checker",
        ) from error
    with named_errors(call.where):
        result = function(writer, call, *operands)
    return result if isinstance(result, list) else [result]


def known_array(call, operand, what="weights"):
    """
    An operand that must be known when the model is converted.

    Parameters
    ----------
    call : `.onnx.model.Call`
    operand : object
    what : str, optional
        What it is, for messages.

    Returns
    -------
    array : ndarray or None
        None if there is none.

    Raises
    ------
    ConversionError
        If it depends on an input.
    """
    if isinstance(operand, (GraphValue, Setting, Noise, Masked, Uniform)):
        raise ConversionError(
            str(call.where),
            f"has {what} that depend on an input",
            f"Give it {what} that are known: an initializer or a Constant",
        )
    return None if operand is None else np.asarray(operand)


def computed(call, operand):
    """An operand that must be a value of the graph."""
    if isinstance(operand, (Noise, Masked, Uniform)):
        raise ConversionError(str(call.where), *refusals.RANDOM)
    if not isinstance(operand, GraphValue):
        raise ConversionError(
            str(call.where),
            "is computed of what is no value of the network",
            "Compute it beforehand, and keep it as an initializer",
        )
    return operand


def whole(call, name, operand, default=None):
    """
    Whole numbers that older opsets have as an attribute, and newer ones as an input.

    Parameters
    ----------
    call : `.onnx.model.Call`
    name : str
        Of the attribute.
    operand : object
        What is given as an input.
    default : object, optional

    Returns
    -------
    numbers : list of int, or the default
    """
    if operand is not None:
        return [int(n) for n in np.ravel(known_array(call, operand, name))]
    found = call.get(name)
    return default if found is None else [int(n) for n in np.ravel(found)]
