"""Convolutions, unrolled: the sparse matrix that each of them is."""

import math

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.converters.activation import activated
from nengo_permadrop.sources.keras.converters.grids import each_axis, grid_of, rank_of
from nengo_permadrop.sources.keras.converters.windows import (
    channels_first,
    check_entries,
    convolution_matrix,
    output_size,
    window_elements,
)
from nengo_permadrop.sources.keras.table import check_options, register_layer, weight


def _bias(config):
    return ["bias"] if config.get("use_bias", True) else []


def _conv_weights(config):
    return ["kernel", *_bias(config)], []


def _separable_weights(config):
    return ["depthwise_kernel", "pointwise_kernel", *_bias(config)], []


@register_layer("Conv1D", "Conv2D", "Conv3D", weights=_conv_weights)
def _convolution(writer, call, value):
    check_options(call)
    config = call.spec.config
    rank = rank_of(call.spec.acts_as)
    grid = grid_of(writer, call, value, rank)
    groups = int(config.get("groups", 1))
    size, filters = each_axis(config["kernel_size"], rank), int(config["filters"])
    kernel = _single(weight(call, "kernel", (*size, grid.channels // groups, filters)))
    value = _convolved(writer, call, value, grid, kernel, _steps(call, rank), groups)
    return activated(writer, call, value)


@register_layer("DepthwiseConv1D", "DepthwiseConv2D", weights=_conv_weights)
def _depthwise(writer, call, value):
    check_options(call)
    rank = rank_of(call.spec.acts_as)
    # Keras 2 calls it so
    name = "depthwise_kernel" if "depthwise_kernel" in call.spec.weights else "kernel"
    value = _each_channel(writer, call, value, rank, name, bias=True)
    return activated(writer, call, value)


@register_layer("SeparableConv1D", "SeparableConv2D", weights=_separable_weights)
def _separable(writer, call, value):
    check_options(call)
    rank = rank_of(call.spec.acts_as)
    value = _each_channel(writer, call, value, rank, "depthwise_kernel", bias=False)
    grid = grid_of(writer, call, value, rank)
    ones, filters = (1,) * rank, int(call.spec.config["filters"])
    kernel = weight(call, "pointwise_kernel", (*ones, grid.channels, filters))
    steps = ones, ones, "valid"
    value = _convolved(writer, call, value, grid, _single(kernel), steps, 1)
    return activated(writer, call, value)


def _each_channel(writer, call, value, rank, name, bias):
    """A convolution of each channel with kernels of its own."""
    config = call.spec.config
    grid = grid_of(writer, call, value, rank)
    size = each_axis(config["kernel_size"], rank)
    multiplier = int(config.get("depth_multiplier", 1))
    kernel = _single(weight(call, name, (*size, grid.channels, multiplier)))
    kernel = kernel.reshape(*size, 1, grid.channels * multiplier)
    steps = _steps(call, rank)
    return _convolved(writer, call, value, grid, kernel, steps, grid.channels, bias)


def _steps(call, rank):
    """Strides, dilation and padding."""
    config = call.spec.config
    return (
        each_axis(config.get("strides", 1), rank),
        each_axis(config.get("dilation_rate", 1), rank),
        _padding(call, ("valid", "same", "causal")),
    )


def _padding(call, known):
    padding = call.spec.config.get("padding", "valid")
    if padding not in known:
        raise ConversionError(
            str(call), f"has padding={padding!r}", f"Use one of {', '.join(known)}"
        )
    return padding


def _single(kernel):
    """Weights in single precision, unless they are in double: of half the memory."""
    known = kernel.dtype in (np.float32, np.float64)
    return kernel if known else kernel.astype(np.float32)


def _convolved(writer, call, value, grid, kernel, steps, groups, bias=True):
    """A value under a kernel, of shape (*size, channels of a group, filters)."""
    *size, channels, filters = kernel.shape
    strides, dilation, padding = steps
    if groups * channels != grid.channels or filters % groups:
        raise ConversionError(
            str(call),
            f"has {groups} groups for {grid.channels} channels and {filters} filters",
            "Give it a number of groups that both can be divided by",
        )
    width = [(k - 1) * step + 1 for k, step in zip(size, dilation)]
    places = [output_size(*each, padding) for each in zip(grid.sizes, width, strides)]
    n_places, before = zip(*places)
    macs = math.prod(n_places) * kernel.size
    check_entries(call, macs)
    found = window_elements(grid.sizes, n_places, size, strides, dilation, before)
    n_out, n_in = math.prod(n_places), math.prod(grid.sizes)
    kernel = kernel.reshape(-1, channels, filters)
    matrix = convolution_matrix(kernel, found, n_out, n_in, groups)
    if grid.first:
        matrix = channels_first(matrix, n_out, n_in)
    return _affine(writer, call, value, grid, n_places, filters, matrix, macs, bias)


def _affine(writer, call, value, grid, sizes, filters, matrix, macs, bias):
    constant = None
    if bias and "bias" in call.spec.weights:
        constant = weight(call, "bias", (filters,)).astype(float)
        n = math.prod(sizes)
        constant = np.repeat(constant, n) if grid.first else np.tile(constant, n)
    shape = grid.shape(sizes, filters)
    return writer.affine(
        *call.named, [value], [matrix], shape, constant=constant, macs=macs
    )


@register_layer(
    "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", weights=_conv_weights
)
def _transposed(writer, call, value):
    """What a convolution's gradient computes: its matrix, transposed."""
    check_options(call)
    config = call.spec.config
    rank = rank_of(call.spec.acts_as)
    grid = grid_of(writer, call, value, rank)
    size, filters = each_axis(config["kernel_size"], rank), int(config["filters"])
    if int(config.get("groups", 1)) != 1:
        raise ConversionError(
            str(call), f"has groups={config['groups']}", "Use groups=1"
        )
    kernel = _single(weight(call, "kernel", (*size, filters, grid.channels)))
    strides, dilation = (
        each_axis(config.get(name, 1), rank) for name in ("strides", "dilation_rate")
    )
    extra = config.get("output_padding")
    extra = [None] * rank if extra is None else each_axis(extra, rank)
    padding = _padding(call, ("valid", "same"))
    width = [(k - 1) * step + 1 for k, step in zip(size, dilation)]
    ends = [
        _transposed_size(*each, padding)
        for each in zip(grid.sizes, width, strides, extra)
    ]
    sizes, before = zip(*ends)
    macs = math.prod(grid.sizes) * kernel.size
    check_entries(call, max(macs, filters * math.prod(sizes)))
    found = window_elements(sizes, grid.sizes, size, strides, dilation, before)
    n_out, n_in = math.prod(sizes), math.prod(grid.sizes)
    kernel = kernel.reshape(-1, filters, grid.channels)
    matrix = convolution_matrix(kernel, found, n_in, n_out).T.tocsr()
    if grid.first:
        matrix = channels_first(matrix, n_out, n_in)
    value = _affine(writer, call, value, grid, sizes, filters, matrix, macs, True)
    return activated(writer, call, value)


def _transposed_size(size, width, stride, extra, padding):
    """Size of a transposed convolution's output, and how much is cut before it."""
    if padding == "valid":
        extra = max(stride - width, 0) if extra is None else extra
        return (size - 1) * stride + width + extra, 0
    if extra is None:
        found = size * stride
    else:
        found = (size - 1) * stride + width % 2 + extra
    return found, max((size - 1) * stride + width - found, 0) // 2
