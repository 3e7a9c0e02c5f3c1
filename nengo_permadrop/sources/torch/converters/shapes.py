"""Operators that put the same elements elsewhere, and reductions."""

import math

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.linear.windows import check_entries
from nengo_permadrop.sources.operators import shapes
from nengo_permadrop.sources.operators.arithmetic import GraphValue
from nengo_permadrop.sources.torch.table import each, known_array, register_operator

# As torch prints them, and as its files number them
_REAL = ("torch.float32", "torch.float64", "7", "8")


@register_operator(
    "aten.alias",
    "aten.clone",
    "aten.contiguous",
    "aten.detach",
    "aten.lift_fresh_copy",
)
def _same(writer, where, self):
    return shapes.rearranged(writer, where, self, lambda x: x)


@register_operator("aten.to", "aten._to_copy", "aten.type_as")
def _converted(writer, where, self, dtype=None, other=None):
    if isinstance(self, GraphValue) and dtype is not None and str(dtype) not in _REAL:
        raise ConversionError(
            str(where),
            f"converts to {str(dtype).removeprefix('torch.')}",
            "Compute in single precision",
        )
    return _same(writer, where, self)


@register_operator("aten.view", "aten.reshape", "aten._unsafe_view")
def _view(writer, where, self, size=None, shape=None):
    size = [int(n) for n in (shape if size is None else size)]
    return shapes.rearranged(writer, where, self, lambda x: x.reshape(size))


@register_operator("aten.view_as", "aten.reshape_as")
def _view_as(writer, where, self, other):
    return _view(writer, where, self, writer.full_shape(other))


@register_operator("aten.flatten")
def _flatten(writer, where, self, start_dim=0, end_dim=-1):
    shape = writer.full_shape(self)
    start, end = (axis % max(1, len(shape)) for axis in (start_dim, end_dim))
    size = (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
    return _view(writer, where, self, size)


@register_operator("aten.unflatten")
def _unflatten(writer, where, self, dim, sizes):
    shape = writer.full_shape(self)
    dim = dim % len(shape)
    return _view(writer, where, self, (*shape[:dim], *sizes, *shape[dim + 1 :]))


@register_operator("aten.permute")
def _permute(writer, where, self, dims):
    return shapes.rearranged(writer, where, self, lambda x: np.transpose(x, dims))


@register_operator("aten.t")
def _t(writer, where, self):
    return shapes.rearranged(writer, where, self, np.transpose)


@register_operator("aten.transpose", "aten.swapaxes")
def _transpose(writer, where, self, dim0, dim1):
    return shapes.rearranged(
        writer, where, self, lambda x: np.swapaxes(x, int(dim0), int(dim1))
    )


@register_operator("aten.movedim")
def _moved(writer, where, self, source, destination):
    return shapes.rearranged(
        writer, where, self, lambda x: np.moveaxis(x, source, destination)
    )


@register_operator("aten.squeeze")
def _squeeze(writer, where, self, dim=None):
    shape = writer.full_shape(self)
    axes = range(len(shape)) if dim is None else np.atleast_1d(dim)
    axes = {int(axis) % max(1, len(shape)) for axis in axes}
    axes = tuple(axis for axis in sorted(axes) if shape[axis] == 1)
    return shapes.rearranged(writer, where, self, lambda x: np.squeeze(x, axes))


@register_operator("aten.unsqueeze")
def _unsqueeze(writer, where, self, dim):
    return shapes.rearranged(writer, where, self, lambda x: np.expand_dims(x, dim))


@register_operator("aten.expand")
def _expand(writer, where, self, size):
    shape = writer.full_shape(self)
    given = (1,) * (len(size) - len(shape)) + tuple(shape)
    size = [own if n == -1 else int(n) for n, own in zip(size, given)]
    return shapes.expanded(writer, where, self, size)


@register_operator("aten.expand_as")
def _expand_as(writer, where, self, other):
    return _expand(writer, where, self, writer.full_shape(other))


@register_operator("aten.repeat", "aten.tile")
def _repeat(writer, where, self, repeats=None, dims=None):
    repeats = [int(n) for n in (dims if repeats is None else repeats)]
    check_entries(where, math.prod(repeats) * math.prod(writer.full_shape(self)))
    return shapes.rearranged(writer, where, self, lambda x: np.tile(x, repeats))


@register_operator("aten.slice")
def _slice(writer, where, self, dim=0, start=None, end=None, step=1):
    part = slice(*(None if n is None else int(n) for n in (start, end, step)))
    return shapes.rearranged(writer, where, self, lambda x: _along(x, dim, part))


@register_operator("aten.narrow")
def _narrow(writer, where, self, dim, start, length):
    return _slice(writer, where, self, dim, start, start + length)


@register_operator("aten.select")
def _select(writer, where, self, dim, index):
    return shapes.rearranged(writer, where, self, lambda x: _along(x, dim, int(index)))


@register_operator("aten.index_select")
def _index_select(writer, where, self, dim, index):
    order = np.asarray(index, dtype=int)
    return shapes.rearranged(writer, where, self, lambda x: np.take(x, order, dim))


@register_operator("aten.index")
def _index(writer, where, self, indices):
    index = tuple(
        slice(None) if each is None else known_array(where, each, "indices")
        for each in indices
    )
    return shapes.rearranged(writer, where, self, lambda x: x[_whole(index)])


def _whole(index):
    return tuple(
        each if isinstance(each, slice) or each.dtype == bool else each.astype(int)
        for each in index
    )


@register_operator("aten.flip")
def _flip(writer, where, self, dims):
    return shapes.rearranged(writer, where, self, lambda x: np.flip(x, dims))


@register_operator("aten.roll")
def _roll(writer, where, self, shifts, dims=()):
    if not len(dims):
        raise ConversionError(
            str(where), "rolls elements of all axes", "Give the axes, dims="
        )
    return shapes.rearranged(writer, where, self, lambda x: np.roll(x, shifts, dims))


def _along(x, dim, part):
    index = [slice(None)] * x.ndim
    index[dim] = part
    return x[tuple(index)]


@register_operator("aten.unbind")
def _unbind(writer, where, self, dim=0):
    count = writer.full_shape(self)[dim]
    return [_select(writer, where, self, dim, index) for index in range(count)]


@register_operator("aten.chunk")
def _chunk(writer, where, self, chunks, dim=0):
    size = -(-writer.full_shape(self)[dim] // chunks)
    return _split(writer, where, self, size, dim)


@register_operator("aten.split", "aten.split_with_sizes")
def _split(writer, where, self, split_size=None, dim=0, split_sizes=None):
    sizes = split_size if split_sizes is None else split_sizes
    total = writer.full_shape(self)[dim]
    if np.ndim(sizes) == 0:
        ends = [*range(int(sizes), total, int(sizes)), total]
    else:
        ends = np.cumsum(sizes).tolist()
    starts = [0, *ends[:-1]]
    return [
        _slice(writer, where, self, dim, start, end) for start, end in zip(starts, ends)
    ]


@register_operator("aten.cat", "aten.concat", "aten.concatenate")
def _cat(writer, where, tensors, dim=0):
    return shapes.joined(writer, where, tensors, dim)


@register_operator("aten.stack")
def _stack(writer, where, tensors, dim=0):
    tensors = [_unsqueeze(writer, where, one, dim) for one in tensors]
    return shapes.joined(writer, where, tensors, dim)


_MODES = {
    "circular": "wrap",
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "edge",
}


@register_operator("aten.pad")
def _pad(writer, where, self, pad, mode="constant", value=None):
    n_axes = len(writer.full_shape(self))
    pad = [int(n) for n in pad]
    ends = list(zip(pad[::2], pad[1::2]))[::-1]  # torch begins with the last axis
    around = [(0, 0)] * (n_axes - len(ends)) + ends
    fill = 0.0 if value is None else float(value)
    return shapes.padded(writer, where, self, around, _MODES[mode], fill)


@register_operator("aten.constant_pad_nd")
def _constant_pad(writer, where, self, pad, value=0):
    return _pad(writer, where, self, pad, value=value)


def _padding(mode):
    def write(writer, where, self, padding):
        return _pad(writer, where, self, padding, mode)

    return write


for _rank in (1, 2, 3):
    register_operator(f"aten.reflection_pad{_rank}d")(_padding("reflect"))
    register_operator(f"aten.replication_pad{_rank}d")(_padding("replicate"))


def _upsample(rank):
    def write(
        writer,
        where,
        input=None,
        self=None,
        output_size=None,
        scale_factors=None,
        **scales,
    ):
        value = self if input is None else input
        shape = writer.full_shape(value)[2:]
        if output_size is None:
            output_size = [int(n * factor) for n, factor in zip(shape, scale_factors)]
        sizes = each(output_size, rank)
        if len(shape) != rank or any(new % n for new, n in zip(sizes, shape)):
            raise ConversionError(
                str(where),
                f"makes a grid of {sizes} elements of one of {shape}",
                "Use a whole number as scale factor",
            )
        times = (1, 1, *(new // n for new, n in zip(sizes, shape)))
        return shapes.repeated_along(writer, where, value, times)

    return write


for _rank in (1, 2, 3):
    register_operator(f"aten.upsample_nearest{_rank}d")(_upsample(_rank))


@register_operator("aten.pixel_shuffle")
def _pixel_shuffle(writer, where, self, upscale_factor):
    rows, channels, high, wide = writer.full_shape(self)
    n = int(upscale_factor)
    parts = (rows, channels // n**2, n, n, high, wide)
    size = (rows, channels // n**2, high * n, wide * n)

    def function(x):
        return x.reshape(parts).transpose(0, 1, 4, 2, 5, 3).reshape(size)

    return shapes.rearranged(writer, where, self, function)


@register_operator("aten.mean")
def _mean(writer, where, self, dim=None, keepdim=False):
    return _reduced(writer, where, self, dim, keepdim, True)


@register_operator("aten.sum")
def _sum(writer, where, self, dim=None, keepdim=False):
    return _reduced(writer, where, self, dim, keepdim, False)


def _reduced(writer, where, operand, dim, keepdim, mean):
    axes = None if dim is None or np.size(dim) == 0 else np.atleast_1d(dim)
    return shapes.reduced(writer, where, operand, axes, keepdim, mean)
