"""Dropout, and random numbers that are one."""

import numpy as np

from nengo_permadrop.graph.dropouts import ALWAYS, BERNOULLI, NEVER, PLAIN
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.onnx.model import shortest
from nengo_permadrop.sources.onnx.noise import KINDS, Noise, Uniform, groups_of
from nengo_permadrop.sources.onnx.table import (
    Setting,
    computed,
    known_array,
    register_operator,
)
from nengo_permadrop.sources.operators import layers, refusals
from nengo_permadrop.sources.operators.arithmetic import GraphValue


@register_operator("Dropout")
def _dropout(writer, call, data, ratio=None, training_mode=None):
    value, rate = computed(call, data), call.get("ratio", 0.5)
    if ratio is not None:
        rate = shortest(np.ravel(known_array(call, ratio, "a ratio"))[0])
    when = PLAIN
    if training_mode is not None and not isinstance(training_mode, Setting):
        known = np.ravel(known_array(call, training_mode, "a training_mode"))
        when = ALWAYS if known.any() else NEVER
    result = layers.dropout(writer, call.where, value, rate, when, BERNOULLI)
    writer.drops[call.outputs[0]] = call.inputs[0]
    return [result, Setting("a mask")]


@register_operator("RandomUniformLike", "RandomUniform")
def _uniform(writer, call, like=None):
    shape = call.get("shape") if like is None else writer.full_shape(like)
    if call.get("low", 0.0) != 0 or call.get("high", 1.0) != 1 or shape is None:
        raise ConversionError(
            str(call.where),
            "draws random numbers that are not between 0 and 1",
            "Use Dropout",
        )
    return Uniform(tuple(int(n) for n in shape))


@register_operator("Less", "LessOrEqual", "Greater", "GreaterOrEqual")
def _compared(writer, call, a, b):
    if not isinstance(a, GraphValue) and not isinstance(b, (GraphValue, Uniform)):
        if not isinstance(a, Uniform):
            function = np.less if call.operator.startswith("Less") else np.greater
            function = (
                getattr(np, f"{function.__name__}_equal")
                if (call.operator.endswith("OrEqual"))
                else function
            )
            return function(known_array(call, a), known_array(call, b))
        bound = known_array(call, b, "a probability")
        if bound.size == 1 and call.operator.startswith("Less"):
            return Noise(a, shortest(np.ravel(bound)[0]))
        if bound.size == 1:
            return Noise(a, float(f"{1 - shortest(np.ravel(bound)[0]):.6g}"))
    raise ConversionError(str(call.where), *refusals.COMPARED)


def written_drop(writer, call, value, name, noise, kind):
    """
    Write dropout that is computed of random numbers.

    Parameters
    ----------
    writer : `.OnnxWriter`
    call : `.onnx.model.Call`
        The node that makes the dropout's result.
    value : `.GraphValue`
    name : str
        Of the value that is dropped, in the model.
    noise : `.Noise`
    kind : type
        `.Noise` for plain dropout, `.Masked` for alpha dropout.

    Returns
    -------
    value : `.GraphValue`
    """
    full = writer.full_shape(value)
    try:
        groups = groups_of(noise.shape, full)
    except ValueError as error:
        raise ConversionError(
            str(call.where),
            f"drops units of all rows with one mask ({error})",
            'Use dropout with a mask for each row, and masks="draw" in sample()',
        ) from error
    writer.drops[call.outputs[0]] = name
    index = writer.drop(
        *call.where.named,
        value.index,
        noise.rate,
        when=ALWAYS,
        kind=KINDS[kind],
        groups=groups,
    )
    return GraphValue(index)
