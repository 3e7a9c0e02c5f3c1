"""Operators that put the same elements elsewhere, reductions, and shapes."""

import math

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.linear.windows import check_entries
from nengo_permadrop.sources.onnx.noise import Masked, Noise, Uniform
from nengo_permadrop.sources.onnx.table import (
    Setting,
    known_array,
    register_operator,
    whole,
)
from nengo_permadrop.sources.operators import shapes
from nengo_permadrop.sources.operators.arithmetic import GraphValue

_NOT_MOVED = (Masked, Noise, Setting, Uniform)

# Numbers of real types
_REAL = (1, 11)


def _rearranged(writer, call, x, function):
    if isinstance(x, _NOT_MOVED):
        raise ConversionError(
            str(call.where),
            "moves elements of what is no value of the network",
            "Use Dropout, and no settings but those of Dropout",
        )
    return shapes.rearranged(writer, call.where, x, function)


@register_operator("Constant")
def _constant(writer, call):
    names = ("value", "value_float", "value_floats", "value_int", "value_ints")
    for name in names:
        if name in call.attributes:
            return np.asarray(call.attributes[name])
    raise ConversionError(
        str(call.where), "is no constant of numbers", "Use numbers in dense tensors"
    )


@register_operator("Identity")
def _identity(writer, call, x):
    if isinstance(x, GraphValue):
        return _rearranged(writer, call, x, lambda a: a)
    return x


@register_operator("Cast", "CastLike")
def _cast(writer, call, x, like=None):
    kind = call.get("to")
    if isinstance(x, (Noise, Setting)):
        return x
    if isinstance(x, GraphValue):
        if kind is not None and kind not in _REAL:
            raise ConversionError(
                str(call.where),
                "rounds values, or computes in half precision",
                "Compute in single precision",
            )
        return _rearranged(writer, call, x, lambda a: a)
    array = known_array(call, x)
    real = kind in _REAL if like is None else np.asarray(like).dtype.kind == "f"
    return array.astype(np.float64) if real else array


@register_operator("Shape")
def _shape(writer, call, x):
    shape = list(x.shape) if isinstance(x, (Noise, Uniform)) else writer.full_shape(x)
    return np.array(shape[call.get("start", 0) : call.get("end", len(shape))], int)


@register_operator("Size")
def _size(writer, call, x):
    return np.array(math.prod(writer.full_shape(x)))


@register_operator("ConstantOfShape")
def _constant_of_shape(writer, call, shape):
    shape = [int(n) for n in known_array(call, shape, "a shape")]
    check_entries(call.where, math.prod(shape))
    value = np.ravel(call.get("value", np.zeros(1, np.float32)))
    return np.full(shape, value[0])


@register_operator("Range")
def _range(writer, call, start, limit, delta):
    parts = [np.ravel(known_array(call, each))[0] for each in (start, limit, delta)]
    check_entries(call.where, abs((parts[1] - parts[0]) / (parts[2] or 1)))
    return np.arange(*parts)


@register_operator("Reshape")
def _reshape(writer, call, x, shape):
    given, size = writer.full_shape(x), whole(call, "shape", shape)
    if not call.get("allowzero", 0):
        size = [
            given[axis] if n == 0 and axis < len(given) else n
            for axis, n in enumerate(size)
        ]
    return _rearranged(writer, call, x, lambda a: a.reshape(size))


@register_operator("Flatten")
def _flatten(writer, call, x):
    shape = writer.full_shape(x)
    axis = call.get("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    size = (math.prod(shape[:axis]), math.prod(shape[axis:]))
    return _rearranged(writer, call, x, lambda a: a.reshape(size))


@register_operator("Transpose")
def _transpose(writer, call, x):
    return _rearranged(writer, call, x, lambda a: np.transpose(a, call.get("perm")))


@register_operator("Squeeze")
def _squeeze(writer, call, x, axes=None):
    axes = whole(call, "axes", axes)
    if axes is None:
        axes = [n for n, size in enumerate(writer.full_shape(x)) if size == 1]
    return _rearranged(writer, call, x, lambda a: np.squeeze(a, tuple(axes)))


@register_operator("Unsqueeze")
def _unsqueeze(writer, call, x, axes=None):
    axes = tuple(whole(call, "axes", axes))
    return _rearranged(writer, call, x, lambda a: np.expand_dims(a, axes))


@register_operator("Expand")
def _expand(writer, call, x, shape):
    shape = whole(call, "shape", shape)
    given = writer.full_shape(x) if not isinstance(x, _NOT_MOVED) else ()
    try:
        size = np.broadcast_shapes(tuple(given), tuple(shape))
    except ValueError:
        size = shape
    check_entries(call.where, math.prod(size))
    return _rearranged(writer, call, x, lambda a: np.broadcast_to(a, size))


@register_operator("Tile")
def _tile(writer, call, x, repeats):
    repeats = whole(call, "repeats", repeats)
    check_entries(call.where, math.prod(repeats) * math.prod(writer.full_shape(x)))
    return _rearranged(writer, call, x, lambda a: np.tile(a, repeats))


@register_operator("Slice")
def _slice(writer, call, x, starts=None, ends=None, axes=None, steps=None):
    starts, ends = whole(call, "starts", starts), whole(call, "ends", ends)
    axes = whole(call, "axes", axes, list(range(len(starts))))
    steps = whole(call, "steps", steps, [1] * len(starts))

    def function(a):
        index = [slice(None)] * a.ndim
        for axis, start, end, step in zip(axes, starts, ends, steps):
            # ends before the first element, counted backward, are none
            end = None if step < 0 and end < -a.shape[axis] else end
            index[axis] = slice(start, end, step)
        return a[tuple(index)]

    return _rearranged(writer, call, x, function)


@register_operator("Gather")
def _gather(writer, call, x, indices):
    order = known_array(call, indices, "indices").astype(int)
    return _rearranged(
        writer, call, x, lambda a: np.take(a, order, axis=call.get("axis", 0))
    )


@register_operator("Split")
def _split(writer, call, x, split=None):
    axis, sizes = call.get("axis", 0), whole(call, "split", split)
    total = writer.full_shape(x)[axis]
    if sizes is None:
        size = -(-total // len(call.outputs))
        sizes = [min(size, total - start) for start in range(0, total, size)]
    if sum(sizes) != total or min(sizes) < 0:
        raise ConversionError(
            str(call.where),
            f"splits {total} elements into {sizes}",
            "Check the model with onnx.checker",
        )
    ends = np.cumsum(sizes).tolist()

    def part(start, end):
        return lambda a: np.take(a, np.arange(start, end), axis=axis)

    return [
        _rearranged(writer, call, x, part(start, end))
        for start, end in zip([0, *ends[:-1]], ends)
    ]


@register_operator("Concat")
def _concat(writer, call, *operands):
    for each in operands:
        if isinstance(each, _NOT_MOVED):
            known_array(call, each)
    return shapes.joined(writer, call.where, list(operands), call.get("axis", 0))


_MODES = {"constant": "constant", "edge": "edge", "reflect": "reflect", "wrap": "wrap"}


@register_operator("Pad")
def _pad(writer, call, x, pads=None, value=None, axes=None):
    n_axes, mode = len(writer.full_shape(x)), call.get("mode", "constant")
    pads = whole(call, "pads", pads)
    axes = whole(call, "axes", axes, list(range(n_axes)))
    around = [(0, 0)] * n_axes
    for axis, before, after in zip(axes, pads, pads[len(axes) :]):
        around[axis] = before, after
    fill = call.get("value", 0.0)
    if value is not None:
        fill = float(np.ravel(known_array(call, value))[0])
    return shapes.padded(writer, call.where, x, around, _MODES[mode], fill)


@register_operator("Upsample", "Resize")
def _resize(writer, call, x, *options):
    value_shape = writer.full_shape(x)
    scales, sizes = _scales(call, options, value_shape)
    if sizes is None:
        sizes = [n * scale for n, scale in zip(value_shape, scales)]
    times = [new / n for new, n in zip(sizes, value_shape)]
    where = call.get("coordinate_transformation_mode", "half_pixel")
    rounding = call.get("nearest_mode", "round_prefer_floor")
    if call.opset < 11:
        where, rounding = "asymmetric", "floor"
    right = (where, rounding) == ("asymmetric", "floor") or (
        where in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")
        and rounding.startswith("round")
    )
    if (
        call.get("mode", "nearest") != "nearest"
        or not right
        or len(times) != len(value_shape)
        or any(n < 1 or n != int(n) for n in times)
    ):
        raise ConversionError(
            str(call.where),
            "resizes by other than whole numbers, or interpolates",
            "Use mode='nearest' with whole scales, or a transposed convolution",
        )
    return shapes.repeated_along(writer, call.where, x, [int(n) for n in times])


def _scales(call, options, shape):
    """Scales, or sizes, of all axes."""
    if call.operator == "Upsample" or call.opset < 11:
        scales = options[0] if options else call.get("scales")
        return np.ravel(known_array(call, scales, "scales")), None
    _, scales, sizes = (*options, None, None, None)[:3]
    axes = call.get("axes", list(range(len(shape))))
    given = sizes if scales is None or np.size(scales) == 0 else scales
    given = np.ravel(known_array(call, given, "scales"))
    whole_scales = np.ones(len(shape)) if given is not sizes else None
    if sizes is not None and np.size(sizes):
        found = list(shape)
        for axis, n in zip(axes, given):
            found[axis] = int(n)
        return None, found
    for axis, n in zip(axes, given):
        whole_scales[axis] = n
    return whole_scales, None


@register_operator("DepthToSpace")
def _depth_to_space(writer, call, x):
    rows, channels, high, wide = writer.full_shape(x)
    n = call.get("blocksize")
    first = call.get("mode", "DCR") == "CRD"
    parts = (channels // n**2, n, n) if first else (n, n, channels // n**2)
    order = (0, 1, 4, 2, 5, 3) if first else (0, 3, 4, 1, 5, 2)
    size = (rows, channels // n**2, high * n, wide * n)

    def function(a):
        return a.reshape(rows, *parts, high, wide).transpose(order).reshape(size)

    return _rearranged(writer, call, x, function)


@register_operator("ReduceMean")
def _reduce_mean(writer, call, x, axes=None):
    return _reduced(writer, call, x, axes, True)


@register_operator("ReduceSum")
def _reduce_sum(writer, call, x, axes=None):
    return _reduced(writer, call, x, axes, False)


@register_operator("ReduceProd")
def _reduce_prod(writer, call, x, axes=None):
    axes = whole(call, "axes", axes)
    axes = None if axes is None else tuple(axes)
    keepdims = bool(call.get("keepdims", 1))
    return np.prod(known_array(call, x, "factors"), axis=axes, keepdims=keepdims)


def _reduced(writer, call, x, axes, mean):
    axes = whole(call, "axes", axes)
    if not axes and call.get("noop_with_empty_axes", 0):
        return _identity(writer, call, x)
    keepdims = bool(call.get("keepdims", 1))
    if isinstance(x, _NOT_MOVED):
        known_array(call, x)
    return shapes.reduced(writer, call.where, x, axes or None, keepdims, mean)
