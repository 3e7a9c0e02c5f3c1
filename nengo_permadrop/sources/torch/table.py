"""
The table of PyTorch's operators: which function writes which into the neutral graph.

Functions are registered under the operators' names without overload, such as
"aten.relu", by the modules of `nengo_permadrop.sources.torch.converters` and by
packages, as entry points in the group "nengo_permadrop.torch_operators".
"""

import inspect

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.operators import refusals
from nengo_permadrop.sources.operators.arithmetic import GraphValue
from nengo_permadrop.sources.operators.rows import named_errors
from nengo_permadrop.sources.torch.program import Ref, mapped
from nengo_permadrop.support.registry import Registry

_OPERATORS = Registry("operator", "nengo_permadrop.torch_operators")

# Arguments that change nothing of what is computed in real numbers
_NOTHING = frozenset(
    "copy cudnn_enabled device dtype generator implicit inplace layout memory_format "
    "non_blocking pin_memory requires_grad".split()
)

REFUSED = {
    **dict.fromkeys(("bmm", "dot", "einsum"), refusals.PRODUCT),
    **dict.fromkeys(
        ("max", "amax", "min", "amin", "maximum", "minimum", "topk", "sort"),
        refusals.LARGEST,
    ),
    **dict.fromkeys(
        (
            "layer_norm",
            "native_layer_norm",
            "group_norm",
            "native_group_norm",
            "instance_norm",
            "rms_norm",
            "norm",
            "linalg_vector_norm",
            "local_response_norm",
            "std",
            "var",
            "var_mean",
        ),
        refusals.BY_OBSERVATION,
    ),
    **dict.fromkeys(
        ("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell"),
        refusals.RECURRENT,
    ),
    **dict.fromkeys(
        (
            "scaled_dot_product_attention",
            "_native_multi_head_attention",
            "_transformer_encoder_layer_fwd",
        ),
        refusals.ATTENTION,
    ),
    **dict.fromkeys(
        ("embedding", "embedding_bag", "_embedding_bag"), refusals.LOOKED_UP
    ),
    **dict.fromkeys(("log_softmax", "_log_softmax"), refusals.LOG_SOFTMAX),
    **dict.fromkeys(
        ("bernoulli", "rand", "rand_like", "randn", "randn_like", "normal"),
        refusals.RANDOM,
    ),
    **dict.fromkeys(("eq", "ge", "gt", "le", "lt", "ne", "where"), refusals.COMPARED),
    **dict.fromkeys(
        ("_native_batch_norm_legit", "_native_batch_norm_legit_functional"),
        refusals.BY_BATCH,
    ),
    "glu": refusals.PRODUCT,
    **dict.fromkeys(
        ("exp2", "sin", "cos", "log", "log1p", "pow", "square", "sqrt", "hardswish")
        + ("hardshrink", "softshrink", "threshold"),
        refusals.GROWING,
    ),
}


def register_operator(*names):
    """
    Register what PyTorch's operators of these names are in the graph.

    Parameters
    ----------
    *names : str
        Such as "aten.relu".

    Returns
    -------
    decorator : callable
        For ``write(writer, where, ...) -> result``, where ``writer`` is a
        `.RowsWriter`, ``where`` is a `.operators.rows.Node`, and the other arguments
        have the names and defaults of the operator's schema. Those that are computed
        are `.GraphValue` objects, those that are known are arrays and numbers; so are
        results.
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
    call : `.torch.program.Call`

    Raises
    ------
    ConversionError
        Then.
    """
    if call.operator not in _OPERATORS:
        found, fix = REFUSED.get(
            call.operator.partition(".")[2],
            (
                f"is the operator {call.target}, which there is no converter for",
                "Use operators that the documentation lists (From PyTorch), or give it "
                "one: nengo_permadrop.sources.torch.table.register_operator",
            ),
        )
        raise ConversionError(str(call.where), found, fix)


def write_call(writer, call, results):
    """
    Write what a call of an operator is into the graph.

    Parameters
    ----------
    writer : `.RowsWriter`
    call : `.torch.program.Call`
        Of an operator that there is a converter for.
    results : {str: object}
        What nodes before it give, by name.

    Returns
    -------
    result : `.GraphValue`, ndarray, number, or list of them

    Raises
    ------
    ConversionError
        If something about it is not supported.
    """
    function = _OPERATORS.get(call.operator)
    with named_errors(call.where):
        args = mapped(call.args, lambda x: results[x.name] if isinstance(x, Ref) else x)
        if call.operator.startswith("_operator."):
            return function(writer, call.where, *args.values())
        return function(writer, call.where, **_bound(call.where, function, args))


def _bound(where, function, args):
    """The arguments that a function takes; others must be none that matter."""
    known = inspect.signature(function).parameters
    if any(each.kind is each.VAR_KEYWORD for each in known.values()):
        return args
    for name, value in args.items():
        if (
            name not in known
            and name not in _NOTHING
            and not (value is None or value is False)
        ):
            raise ConversionError(
                str(where), f"has {name}={value!r}", "Leave it out, or use its default"
            )
    return {name: value for name, value in args.items() if name in known}


def known_array(where, operand, what="weights"):
    """
    An argument that must be known when the model is converted.

    Parameters
    ----------
    where : `.operators.rows.Node`
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
        If it depends on the input.
    """
    if isinstance(operand, GraphValue):
        raise ConversionError(
            str(where), f"has {what} that depend on the input", refusals.PRODUCT[1]
        )
    return None if operand is None else np.asarray(operand)


def computed(where, operand):
    """An argument that must be a value of the graph."""
    if not isinstance(operand, GraphValue):
        raise ConversionError(
            str(where),
            "is computed of constants alone, which isn't followed",
            "Compute it beforehand, and keep it as a buffer",
        )
    return operand


def each(option, rank):
    """An option with a number for each of some axes, or one for all of them."""
    option = [option] if np.ndim(option) == 0 else list(option)
    return tuple(int(x) for x in (option * rank if len(option) == 1 else option))
