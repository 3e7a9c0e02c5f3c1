"""Linear layers, convolutions, pooling, batch normalisation and dropout."""

import math

import numpy as np

from nengo_permadrop.graph.dropouts import ALPHA, BERNOULLI
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.linear.windows import check_entries
from nengo_permadrop.sources.operators import layers, refusals
from nengo_permadrop.sources.operators.arithmetic import GraphValue, summed
from nengo_permadrop.sources.operators.pools import WORDS, check_replaced
from nengo_permadrop.sources.operators.shapes import each_along, rearranged
from nengo_permadrop.sources.torch.table import (
    computed,
    each,
    known_array,
    register_operator,
)


@register_operator("aten.linear")
def _linear(writer, where, input, weight, bias=None):
    weight, bias = known_array(where, weight), _bias(where, bias)
    return layers.linear(writer, where, computed(where, input), weight, bias)


def _bias(where, bias):
    return known_array(where, bias, "a bias")


@register_operator("aten.mm", "aten.matmul")
def _matmul(writer, where, self=None, mat2=None, other=None):
    other = mat2 if other is None else other
    if not isinstance(self, GraphValue) and not isinstance(other, GraphValue):
        sizes = math.prod(np.shape(self)[:-1]), math.prod(np.shape(other)[-1:])
        check_entries(where, math.prod(sizes))
        return np.matmul(self, other)
    if isinstance(self, GraphValue):
        other = known_array(where, other)
        if other.ndim == 1:  # of one unit, whose axis isn't kept
            value = layers.linear(writer, where, self, other[None])
            return rearranged(writer, where, value, lambda x: x[..., 0])
        if other.ndim != 2:
            return _refused_product(where, other)
        return layers.linear(writer, where, self, other.T)
    self, n_axes = np.asarray(self), len(writer.full_shape(other))
    if self.ndim != 2 or n_axes < 3:
        return _refused_product(where, self)
    return each_along(writer, where, other, n_axes - 2, self)


def _refused_product(where, array):
    raise ConversionError(
        str(where),
        f"multiplies by an array of shape {array.shape}",
        "Multiply by a matrix, as linear layers do",
    )


@register_operator("aten.addmm")
def _addmm(writer, where, self, mat1, mat2, beta=1, alpha=1):
    weight = alpha * known_array(where, mat2).T
    if isinstance(self, GraphValue):
        result = layers.linear(writer, where, computed(where, mat1), weight)
        return GraphValue(summed(writer, where, [self, result], [beta, 1]))
    return layers.linear(
        writer, where, computed(where, mat1), weight, beta * np.asarray(self)
    )


def _ends(where, padding, sizes, dilation):
    """What convolutions pad: a number for each axis, or in words."""
    if padding == "valid":
        padding = 0
    if padding == "same":
        total = [step * (n - 1) for n, step in zip(sizes, dilation)]
        return [(n // 2, n - n // 2) for n in total]
    return [(n, n) for n in each(padding, len(sizes))]


@register_operator("aten.conv1d", "aten.conv2d", "aten.conv3d")
def _convolution(
    writer, where, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1
):
    weight = known_array(where, weight)
    rank = weight.ndim - 2
    dilation = each(dilation, rank)
    return layers.convolution(
        writer,
        where,
        computed(where, input),
        weight,
        _bias(where, bias),
        each(stride, rank),
        _ends(where, padding, weight.shape[2:], dilation),
        dilation,
        int(groups),
    )


@register_operator(
    "aten.conv_transpose1d", "aten.conv_transpose2d", "aten.conv_transpose3d"
)
def _transposed(
    writer,
    where,
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    weight = known_array(where, weight)
    rank = weight.ndim - 2
    return layers.transposed_convolution(
        writer,
        where,
        computed(where, input),
        weight,
        _bias(where, bias),
        each(stride, rank),
        [(n, n) for n in each(padding, rank)],
        each(dilation, rank),
        int(groups),
        each(output_padding, rank),
    )


@register_operator("aten.convolution")
def _any_convolution(
    writer,
    where,
    input,
    weight,
    bias,
    stride,
    padding,
    dilation,
    transposed,
    output_padding,
    groups,
):
    if transposed:
        return _transposed(
            writer,
            where,
            input,
            weight,
            bias,
            stride,
            padding,
            output_padding,
            groups,
            dilation,
        )
    return _convolution(
        writer, where, input, weight, bias, stride, padding, dilation, groups
    )


def _average_pool(rank):
    def write(
        writer,
        where,
        self,
        kernel_size,
        stride=(),
        padding=0,
        ceil_mode=False,
        count_include_pad=True,
        divisor_override=None,
    ):
        size = each(kernel_size, rank)
        return layers.average_pool(
            writer,
            where,
            computed(where, self),
            size,
            each(stride, rank) if stride else size,
            [(n, n) for n in each(padding, rank)],
            ceil_mode,
            count_include_pad,
            divisor_override,
        )

    return write


def _max_pool(rank, several):
    def write(
        writer,
        where,
        self,
        kernel_size,
        stride=(),
        padding=0,
        dilation=1,
        ceil_mode=False,
    ):
        check_replaced(where, writer.max_to_avg_pool)
        writer.replaced(where.path, WORDS)
        size = each(kernel_size, rank)
        value = layers.average_pool(
            writer,
            where,
            computed(where, self),
            size,
            each(stride, rank) if stride else size,
            [(n, n) for n in each(padding, rank)],
            ceil_mode,
            count_padding=False,
            dilation=each(dilation, rank),
        )
        return [value, None] if several else value

    return write


def _adaptive_pool(rank, largest):
    def write(writer, where, self, output_size):
        if largest:
            check_replaced(where, writer.max_to_avg_pool)
            writer.replaced(where.path, WORDS)
        value = layers.adaptive_average_pool(
            writer, where, computed(where, self), each(output_size, rank)
        )
        return [value, None] if largest else value

    return write


for _rank in (1, 2, 3):
    register_operator(f"aten.avg_pool{_rank}d")(_average_pool(_rank))
    register_operator(f"aten.max_pool{_rank}d")(_max_pool(_rank, False))
    register_operator(f"aten.max_pool{_rank}d_with_indices")(_max_pool(_rank, True))
    register_operator(f"aten.adaptive_max_pool{_rank}d")(_adaptive_pool(_rank, True))
    register_operator(
        f"aten.adaptive_avg_pool{_rank}d", f"aten._adaptive_avg_pool{_rank}d"
    )(_adaptive_pool(_rank, False))


@register_operator("aten.batch_norm")
def _batch_norm(
    writer,
    where,
    input,
    weight,
    bias,
    running_mean,
    running_var,
    training=False,
    momentum=0.0,
    eps=1e-5,
):
    if training or running_mean is None or running_var is None:
        raise ConversionError(str(where), *refusals.BY_BATCH)
    mean, variance, scale, shift = (
        known_array(where, part, "statistics")
        for part in (running_mean, running_var, weight, bias)
    )
    return layers.batch_normalization(
        writer, where, computed(where, input), mean, variance, scale, shift, eps
    )


@register_operator("aten._native_batch_norm_legit_no_training")
def _native_batch_norm(
    writer, where, input, weight, bias, running_mean, running_var, momentum, eps
):
    value = _batch_norm(
        writer, where, input, weight, bias, running_mean, running_var, eps=eps
    )
    return [value, None, None]


def _dropout(kind, channels):
    def write(writer, where, p, train, input=None, self=None):
        value = self if input is None else input  # of what is in place
        return layers.dropout(
            writer,
            where,
            computed(where, value),
            p,
            writer.when[where.name],
            kind,
            channels,
        )

    return write


for _name, _kind, _channels in (
    ("dropout", BERNOULLI, False),
    ("alpha_dropout", ALPHA, False),
    ("feature_dropout", BERNOULLI, True),
    ("feature_alpha_dropout", ALPHA, True),
):
    register_operator(f"aten.{_name}")(_dropout(_kind, _channels))


@register_operator("aten.native_dropout")
def _native_dropout(writer, where, input, p, train):
    return [_dropout(BERNOULLI, False)(writer, where, p, train, input), None]


@register_operator("aten.upsample_bilinear2d", "aten.upsample_linear1d")
def _interpolated(writer, where, **_):
    raise ConversionError(
        str(where),
        "interpolates between elements",
        "Use mode='nearest', or a transposed convolution",
    )
