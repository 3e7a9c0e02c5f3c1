"""Linear layers, convolutions, pooling and batch normalisation."""

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.onnx.table import computed, known_array, register_operator
from nengo_permadrop.sources.operators import layers, refusals
from nengo_permadrop.sources.operators.arithmetic import GraphValue, summed
from nengo_permadrop.sources.operators.pools import WORDS, check_replaced
from nengo_permadrop.sources.operators.rows import refused_rows
from nengo_permadrop.sources.operators.shapes import each_along, rearranged


@register_operator("Gemm")
def _gemm(writer, call, a, b, c=None):
    where = call.where
    if call.get("transA", 0):
        if isinstance(a, GraphValue):
            raise refused_rows(where, "transposes its input (transA=1)")
        a = np.transpose(known_array(call, a))
    weight = known_array(call, b)
    weight = weight if call.get("transB", 0) else weight.T
    alpha, beta = call.get("alpha", 1.0), call.get("beta", 1.0)
    weight = weight if alpha == 1 else alpha * weight
    if isinstance(c, GraphValue):
        result = layers.linear(writer, where, computed(call, a), weight)
        return GraphValue(summed(writer, where, [result, c], [1, beta]))
    bias = known_array(call, c, "a bias")
    bias = bias if bias is None or beta == 1 else beta * bias
    return layers.linear(writer, where, computed(call, a), weight, bias)


@register_operator("MatMul")
def _matmul(writer, call, a, b):
    where = call.where
    if isinstance(a, GraphValue):
        weight = known_array(call, b)
        if weight.ndim == 1:  # of one unit, whose axis isn't kept
            value = layers.linear(writer, where, a, weight[None])
            return rearranged(writer, where, value, lambda x: x[..., 0])
        _check_matrix(where, weight)
        return layers.linear(writer, where, a, weight.T)
    weight, value = known_array(call, a), computed(call, b)
    _check_matrix(where, weight)
    n_axes = len(writer.full_shape(value))
    if n_axes < 3:
        raise refused_rows(where, "multiplies from the left")
    return each_along(writer, where, value, n_axes - 2, weight)


def _check_matrix(where, weight):
    if weight.ndim != 2:
        raise ConversionError(
            str(where),
            f"multiplies by an array of shape {weight.shape}",
            "Multiply by a matrix",
        )


def _numbers(call, name, rank, default):
    return [int(n) for n in call.get(name, [default] * rank)]


def _ends(call, sizes, widths, strides):
    """What is padded before and after each axis."""
    mode = call.get("auto_pad", "NOTSET")
    rank = len(sizes)
    if mode == "VALID":
        return [(0, 0)] * rank
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        ends = []
        for size, width, stride in zip(sizes, widths, strides):
            total = max((-(-size // stride) - 1) * stride + width - size, 0)
            half, rest = total // 2, total - total // 2
            ends.append((half, rest) if mode == "SAME_UPPER" else (rest, half))
        return ends
    pads = _numbers(call, "pads", 2 * rank, 0)
    return list(zip(pads[:rank], pads[rank:]))


@register_operator("Conv")
def _convolution(writer, call, x, w, b=None):
    value, weight = computed(call, x), known_array(call, w)
    rank = weight.ndim - 2
    grid = layers.grid_of(writer, call.where, value, rank)
    strides = _numbers(call, "strides", rank, 1)
    dilation = _numbers(call, "dilations", rank, 1)
    widths = [(n - 1) * step + 1 for n, step in zip(weight.shape[2:], dilation)]
    return layers.convolution(
        writer,
        call.where,
        value,
        weight,
        known_array(call, b, "a bias"),
        strides,
        _ends(call, grid.sizes, widths, strides),
        dilation,
        call.get("group", 1),
    )


@register_operator("ConvTranspose")
def _transposed(writer, call, x, w, b=None):
    value, weight = computed(call, x), known_array(call, w)
    rank = weight.ndim - 2
    if call.get("auto_pad", "NOTSET") != "NOTSET" or call.get("output_shape"):
        raise ConversionError(
            str(call.where),
            "says the size of what it gives, not what it pads",
            "Export it with pads",
        )
    pads = _numbers(call, "pads", 2 * rank, 0)
    return layers.transposed_convolution(
        writer,
        call.where,
        value,
        weight,
        known_array(call, b, "a bias"),
        _numbers(call, "strides", rank, 1),
        list(zip(pads[:rank], pads[rank:])),
        _numbers(call, "dilations", rank, 1),
        call.get("group", 1),
        _numbers(call, "output_padding", rank, 0),
    )


@register_operator("AveragePool")
def _average_pool(writer, call, x):
    return _pooled(writer, call, x, bool(call.get("count_include_pad", 0)))


@register_operator("MaxPool")
def _max_pool(writer, call, x):
    check_replaced(call.where, writer.max_to_avg_pool)
    writer.replaced(call.where.path, WORDS)
    return _pooled(writer, call, x, False)


def _pooled(writer, call, x, count_padding):
    value, size = computed(call, x), call.get("kernel_shape")
    rank = len(size)
    grid = layers.grid_of(writer, call.where, value, rank)
    strides = _numbers(call, "strides", rank, 1)
    dilation = _numbers(call, "dilations", rank, 1)
    widths = [(n - 1) * step + 1 for n, step in zip(size, dilation)]
    return layers.average_pool(
        writer,
        call.where,
        value,
        size,
        strides,
        _ends(call, grid.sizes, widths, strides),
        bool(call.get("ceil_mode", 0)),
        count_padding,
        dilation=dilation,
    )


@register_operator("GlobalAveragePool")
def _global_average_pool(writer, call, x):
    value = computed(call, x)
    grid = layers.grid_of(writer, call.where, value)
    ones = (1,) * len(grid.sizes)
    return layers.adaptive_average_pool(writer, call.where, value, ones)


@register_operator("GlobalMaxPool")
def _global_max_pool(writer, call, x):
    check_replaced(call.where, writer.max_to_avg_pool)
    writer.replaced(call.where.path, WORDS)
    return _global_average_pool(writer, call, x)


@register_operator("BatchNormalization")
def _batch_normalization(writer, call, x, scale, b, mean, var):
    if call.get("training_mode", 0) or len(list(filter(None, call.outputs))) > 1:
        raise ConversionError(str(call.where), *refusals.BY_BATCH)
    mean, var, scale, shift = (
        known_array(call, each, "statistics") for each in (mean, var, scale, b)
    )
    epsilon = call.get("epsilon", 1e-5)
    value = computed(call, x)
    return layers.batch_normalization(
        writer, call.where, value, mean, var, scale, shift, epsilon
    )
