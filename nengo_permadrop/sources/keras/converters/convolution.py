"""Convolutions, unrolled: the sparse matrix that each of them is."""

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.converters.activation import activated
from nengo_permadrop.sources.keras.converters.grids import each_axis, grid_of, rank_of
from nengo_permadrop.sources.keras.table import check_options, register_layer, weight
from nengo_permadrop.sources.linear.windows import output_size
from nengo_permadrop.sources.operators.grids import convolved, transposed


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
    kernel = weight(call, "kernel", (*size, grid.channels // groups, filters))
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
    value = _convolved(writer, call, value, grid, kernel, steps, 1)
    return activated(writer, call, value)


def _each_channel(writer, call, value, rank, name, bias):
    """A convolution of each channel with kernels of its own."""
    config = call.spec.config
    grid = grid_of(writer, call, value, rank)
    size = each_axis(config["kernel_size"], rank)
    multiplier = int(config.get("depth_multiplier", 1))
    kernel = weight(call, name, (*size, grid.channels, multiplier))
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


def _convolved(writer, call, value, grid, kernel, steps, groups, bias=True):
    """A value under a kernel, of shape (*size, channels of a group, filters)."""
    *size, _, filters = kernel.shape
    strides, dilation, padding = steps
    width = [(k - 1) * step + 1 for k, step in zip(size, dilation)]
    places = [output_size(*each, padding) for each in zip(grid.sizes, width, strides)]
    bias = _bias_of(call, filters) if bias else None
    return convolved(
        writer, call, value, grid, kernel, bias, strides, dilation, places, groups
    )


def _bias_of(call, filters):
    return weight(call, "bias", (filters,)) if "bias" in call.spec.weights else None


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
    kernel = weight(call, "kernel", (*size, filters, grid.channels))
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
    bias = _bias_of(call, filters)
    value = transposed(writer, call, value, grid, kernel, bias, strides, dilation, ends)
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
