"""Dense layers, and layers that are applied to each step of a sequence."""

import math

import numpy as np
from scipy import sparse

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.graph.graph import Activation, Affine
from nengo_permadrop.graph.writer import GraphWriter
from nengo_permadrop.sources.keras.activations import WRAPPER, activated, wrapped
from nengo_permadrop.sources.keras.table import (
    check_class,
    check_options,
    register_layer,
    weight,
    weight_names,
    write_call,
)
from nengo_permadrop.sources.linear.maps import repeated
from nengo_permadrop.sources.linear.windows import check_entries


def _dense_weights(config):
    return ["kernel", *(["bias"] if config.get("use_bias", True) else [])], []


@register_layer("Dense", weights=_dense_weights)
def _dense(writer, call, value):
    check_options(call)
    *outer, size = writer.shape(value)
    units, repeats = int(call.spec.config["units"]), math.prod(outer)
    kernel = weight(call, "kernel", (size, units))
    biased = "bias" in call.spec.weights
    if kernel.dtype not in (np.float32, np.float64):  # twice as long ones take memory
        kernel = kernel.astype(np.float32)
    bias = weight(call, "bias", (units,)).astype(float) if biased else None
    matrix = kernel.T
    if outer:
        check_entries(call, kernel.size * repeats)
        matrix = repeated(matrix, repeats)
        bias = bias if bias is None else np.tile(bias, repeats)
    value = writer.affine(
        *call.named,
        [value],
        [matrix],
        (*outer, units),
        constant=bias,
        macs=kernel.size * repeats,
    )
    return activated(writer, call, value)


def _wrapped_weights(config):
    layer = config["layer"]
    return weight_names(_wrapped_class(WRAPPER, layer), layer["config"])


def _wrapped_class(where, layer):
    """The class of a wrapped layer, which must be one of Keras's own."""
    name, module = str(layer["class_name"]), str(layer.get("module", "keras"))
    if layer.get("registered_name") not in (None, name) or (
        module.partition(".")[0] != "keras"
    ):
        raise ConversionError(
            str(where),
            f"applies a class of yours, {name!r}, to each step",
            "Apply one of Keras's layers",
        )
    check_class(f"layer {name!r} in {where}", name)
    return name


@register_layer(WRAPPER, weights=_wrapped_weights)
def _time_distributed(writer, call, value):
    """Each step as the wrapped layer would write it by itself."""
    check_options(call)
    _wrapped_class(call, call.spec.config["layer"])  # checks it
    steps, *shape = writer.shape(value)
    part = GraphWriter()
    given = part.input("step", shape)
    write_call(part, wrapped(call), [given])
    made = {given: value}
    for operation in part.graph.operations:
        (taken,) = (made[index] for index in operation.inputs)
        made[operation.output] = _each_step(writer, call, part, operation, taken, steps)
    return made[part.graph.operations[-1].output]


def _each_step(writer, call, part, operation, value, steps):
    """An operation on one step, on each of several."""
    shape = (steps, *part.shape(operation.output))
    if isinstance(operation, Affine):
        (matrix,), constant = operation.matrices, operation.constant
        if matrix is not None:
            entries = matrix.nnz if sparse.issparse(matrix) else matrix.size
            check_entries(call, entries * steps)
        return writer.affine(
            *call.named,
            [value],
            [None if matrix is None else repeated(matrix, steps)],
            shape,
            constant=None if constant is None else np.tile(constant, steps),
            macs=operation.macs * steps,
        )
    if isinstance(operation, Activation):
        parameters = {  # some are those of each unit
            name: np.tile(each, steps) if np.ndim(each) else each
            for name, each in operation.parameters.items()
        }
        return writer.activation(*call.named, value, operation.kind, **parameters)
    raise ConversionError(
        str(call),
        f"applies {operation.label} to each step",
        "Use the dropout layer by itself, which drops units of all steps",
    )
