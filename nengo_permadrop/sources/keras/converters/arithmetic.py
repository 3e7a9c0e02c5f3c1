"""Arithmetic on values, as Keras traces it; see `.traced`."""

import math

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.converters.constants import keras_constant
from nengo_permadrop.sources.keras.refusals import PRODUCT
from nengo_permadrop.sources.keras.table import register_layer
from nengo_permadrop.sources.keras.traced import ARITHMETIC, Taken, mapped
from nengo_permadrop.sources.linear.maps import reduction_matrix
from nengo_permadrop.sources.operators.arithmetic import (
    GraphValue,
    joined,
    scaled,
    summed,
)

# What the arguments of a function are called, in Keras 2 or Keras 3
_TWO = (("x", "x1"), ("y", "x2"))
_ONE = (("x", "input_tensor", "input", "tensor", "value", "features"),)

# Functions by their names in Keras 2 and Keras 3
_FUNCTIONS = {}


def _function(*names, arguments):
    def decorator(function):
        _FUNCTIONS.update(dict.fromkeys(names, (function, arguments)))
        return function

    return decorator


@register_layer(ARITHMETIC)
def _arithmetic(writer, call, *values):
    traced = call.traced
    if traced.function not in _FUNCTIONS:
        raise ConversionError(
            str(call),
            f"computes {traced.function} of values",
            "Use a layer of keras.layers for it, or an activation; and "
            "PermanentDropout for a function that drops units",
        )
    function, names = _FUNCTIONS[traced.function]
    return function(writer, call, *_bound(call, names, values))


def _bound(call, names, values):
    """The arguments by their order; a value of the graph is a `GraphValue`."""
    traced = call.traced
    bound = dict(enumerate(traced.args))
    for key, argument in {**traced.attributes, **traced.kwargs}.items():
        number = next((n for n, known in enumerate(names) if key in known), None)
        if number is not None and number not in bound:
            bound[number] = argument
        elif key not in _NOTHING and argument is not None:
            _refuse_argument(call, key, argument)
    for number in bound:
        if number >= len(names) and bound[number] is not None:
            _refuse_argument(call, f"argument {number + 1}", bound[number])

    def value(item):
        return GraphValue(values[item.number]) if isinstance(item, Taken) else item

    return [mapped(bound.get(number), value) for number in range(len(names))]


# Arguments that change nothing: names, and types that all is computed in here
_NOTHING = ("name", "dtype", "conjugate")


def _refuse_argument(call, name, argument):
    raise ConversionError(
        str(call), f"has {name}={argument!r}", "Leave it out, or use a layer for it"
    )


def _operand(call, item):
    return item if isinstance(item, GraphValue) else keras_constant(call, item)


def _summed(writer, call, operands, signs):
    return summed(writer, call, [_operand(call, each) for each in operands], signs)


@_function("__operators__.add", "math.add", "Add", arguments=_TWO)
def _add(writer, call, x, y):
    return _summed(writer, call, [x, y], [1, 1])


@_function("math.subtract", "Subtract", arguments=_TWO)
def _subtract(writer, call, x, y):
    return _summed(writer, call, [x, y], [1, -1])


@_function("math.negative", "Negative", arguments=_ONE)
def _negative(writer, call, x):
    return scaled(writer, call, x, -1.0)


@_function("math.multiply", "Multiply", arguments=_TWO)
def _multiply(writer, call, x, y):
    if isinstance(x, GraphValue) and isinstance(y, GraphValue):
        raise ConversionError(str(call), *PRODUCT)
    operands = (x, y) if isinstance(x, GraphValue) else (y, x)
    return scaled(writer, call, *(_operand(call, each) for each in operands))


@_function("math.divide", "math.truediv", "Divide", "TrueDivide", arguments=_TWO)
def _divide(writer, call, x, y):
    if isinstance(y, GraphValue):
        raise ConversionError(
            str(call),
            "divides by what depends on the input",
            "Divide by a constant, or by what the data are scaled with beforehand",
        )
    divisor = keras_constant(call, y)
    if not divisor.all():
        raise ConversionError(str(call), "divides by zero", "Divide by something else")
    return scaled(writer, call, x, 1.0 / divisor)


@_function("__operators__.getitem", "GetItem", arguments=(*_ONE, ("key", "slice_spec")))
def _get_item(writer, call, x, index):
    index = index if isinstance(index, (list, tuple)) else [index]
    index = tuple(_index(call, each) for each in index)
    shape = writer.shape(x.index)
    size = math.prod(shape)
    # of two observations, which must be sliced alike and stay apart
    places = np.arange(2 * size).reshape(2, *shape)
    try:
        found = places[index] if index[:1] in _ALL else places[:0]
    except (IndexError, ValueError):
        found = places[:0]
    if found.shape[:1] != (2,) or not np.array_equal(found[1] - size, found[0]):
        raise ConversionError(
            str(call),
            f"takes {index} of the shape {(None, *shape)}",
            "Slice each observation in the same way: x[:, ...]",
        )
    return writer.permuted(*call.named, [x.index], found[0], found.shape[1:])


# Beginnings of an index that takes all observations
_ALL = ((Ellipsis,), (slice(None),), (slice(0, None),), (slice(None, None, 1),))


def _index(call, item):
    """A part of an index, of what Keras has in memory or writes into files."""
    if isinstance(item, dict):
        inner = item.get("config", item)
        if item.get("class_name") == "__ellipsis__":
            return Ellipsis
        if {"start", "stop", "step"} == inner.keys():
            item = slice(inner["start"], inner["stop"], inner["step"])
    if isinstance(item, slice):
        parts = (item.start, item.stop, item.step)
        if all(each is None or isinstance(each, (int, np.integer)) for each in parts):
            return item
    elif item is None or item is Ellipsis or isinstance(item, (int, np.integer)):
        return item
    raise ConversionError(
        str(call), f"takes elements by {item!r}", "Use numbers and slices of numbers"
    )


_AXES = (("axis",), ("keepdims",))


@_function("math.reduce_mean", "Mean", arguments=(*_ONE, *_AXES))
def _mean(writer, call, x, axis, keepdims):
    return _reduced(writer, call, x, axis, keepdims, mean=True)


@_function("math.reduce_sum", "Sum", arguments=(*_ONE, *_AXES))
def _sum(writer, call, x, axis, keepdims):
    return _reduced(writer, call, x, axis, keepdims, mean=False)


def _reduced(writer, call, x, axis, keepdims, mean):
    shape = writer.shape(x.index)
    axes = _axes(call, axis, len(shape))
    matrix, kept = reduction_matrix(shape, axes, mean)
    if not keepdims:
        kept = tuple(size for n, size in enumerate(shape) if n not in axes)
    return writer.affine(*call.named, [x.index], [matrix], kept)


def _axes(call, axis, rank):
    """Axes of a value, without the batch axis, that are named with it."""
    named = axis if isinstance(axis, (list, tuple)) else [axis]
    whole = all(isinstance(each, (int, np.integer)) for each in named)
    axes = [each % (rank + 1) for each in named] if whole else [0]
    if 0 in axes:
        raise ConversionError(
            str(call),
            f"goes along axis={axis!r}, over observations",
            "Give the axes of single observations",
        )
    return [each - 1 for each in axes]


@_function(
    "compat.v1.transpose", "transpose", "Transpose", arguments=(*_ONE, ("perm", "axes"))
)
def _transpose(writer, call, x, axes):
    shape = writer.shape(x.index)
    axes = list(range(len(shape) + 1))[::-1] if axes is None else list(axes)
    if axes[0] != 0:
        _refuse_argument(call, "axes", axes)
    order = np.arange(math.prod(shape)).reshape(shape)
    order = np.transpose(order, [int(axis) - 1 for axis in axes[1:]])
    return writer.permuted(*call.named, [x.index], order, order.shape)


@_function("reshape", "Reshape", arguments=(*_ONE, ("shape", "newshape")))
def _reshape(writer, call, x, newshape):
    size = writer.size(x.index)
    batch, *shape = [-1 if each is None else each for each in newshape]
    if batch != -1 or -1 in shape or math.prod(shape) != size:
        _refuse_argument(call, "shape", newshape)
    return writer.affine(*call.named, [x.index], [None], tuple(shape))


@_function("expand_dims", "ExpandDims", arguments=(*_ONE, ("axis",)))
def _expand_dims(writer, call, x, axis):
    shape = writer.shape(x.index)
    (axis,) = _axes(call, axis, len(shape) + 1)
    shape = (*shape[:axis], 1, *shape[axis:])
    return writer.affine(*call.named, [x.index], [None], shape)


@_function("compat.v1.squeeze", "squeeze", "Squeeze", arguments=(*_ONE, ("axis",)))
def _squeeze(writer, call, x, axis):
    shape = writer.shape(x.index)
    if axis is None:
        axes = [n for n, size in enumerate(shape) if size == 1]
    else:
        axes = _axes(call, axis, len(shape))
    shape = tuple(size for n, size in enumerate(shape) if n not in axes)
    return writer.affine(*call.named, [x.index], [None], shape)


@_function("concat", "Concatenate", arguments=(("values", "xs"), ("axis",)))
def _concat(writer, call, values, axis):
    indices = [value.index for value in values]
    (axis,) = _axes(call, axis, len(writer.shape(indices[0])))
    return joined(writer, call, indices, axis)


for _kind, *_names in (
    ("relu", "nn.relu", "Relu"),
    ("sigmoid", "math.sigmoid", "Sigmoid"),
    ("tanh", "math.tanh", "Tanh"),
):

    @_function(*_names, arguments=_ONE)
    def _activation(writer, call, x, kind=_kind):
        return writer.activation(*call.named, x.index, kind)
