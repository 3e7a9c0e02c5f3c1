"""Layers that put the same elements elsewhere."""

import math

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.converters.grids import each_axis, grid_of, rank_of
from nengo_permadrop.sources.keras.table import check_options, register_layer
from nengo_permadrop.sources.linear.windows import check_entries


@register_layer("Flatten")
def _flatten(writer, call, value):
    check_options(call)
    shape = writer.shape(value)
    data_format = call.spec.config.get("data_format")
    if data_format == "channels_first" and len(shape) > 1:  # they come last then
        order = np.moveaxis(_places(shape), 0, -1).ravel()
        return writer.permuted(*call.named, [value], order, order.shape)
    return writer.affine(*call.named, [value], [None], (writer.size(value),))


@register_layer("Reshape")
def _reshape(writer, call, value):
    check_options(call)
    size, shape = writer.size(value), [int(n) for n in call.spec.config["target_shape"]]
    if shape.count(-1) == 1:
        shape[shape.index(-1)] = size // max(1, -math.prod(shape))
    if min(shape, default=1) < 0 or math.prod(shape) != size:
        raise ConversionError(
            str(call),
            f"makes the shape {tuple(call.spec.config['target_shape'])} of "
            f"{writer.shape(value)}",
            "Use a shape of as many elements",
        )
    return writer.affine(*call.named, [value], [None], tuple(shape))


@register_layer("InputLayer")
def _input(writer, call, value):
    # of a nested model: stands for the value that the model is called with
    return writer.affine(*call.named, [value], [None], writer.shape(value))


@register_layer("Identity", "ActivityRegularization")
def _identity(writer, call, value):
    check_options(call, allowed=("training",))
    return writer.affine(*call.named, [value], [None], writer.shape(value))


@register_layer("Permute")
def _permute(writer, call, value):
    check_options(call)
    axes = [int(axis) - 1 for axis in call.spec.config["dims"]]  # Keras counts from 1
    order = np.transpose(_places(writer.shape(value)), axes)
    return writer.permuted(*call.named, [value], order, order.shape)


@register_layer("RepeatVector")
def _repeat_vector(writer, call, value):
    check_options(call)
    n, size = int(call.spec.config["n"]), writer.size(value)
    check_entries(call, n * size)
    order = np.tile(np.arange(size), n)
    return writer.permuted(*call.named, [value], order, (n, size))


@register_layer(*(f"ZeroPadding{rank}D" for rank in (1, 2, 3)))
def _zero_padding(writer, call, value):
    grid, places = _grid_places(writer, call, value)
    around = _ends(call.spec.config["padding"], len(grid.sizes))
    sizes = [n + sum(each) for n, each in zip(grid.sizes, around)]
    check_entries(call, math.prod(sizes) * grid.channels)
    around = grid.shape(around, (0, 0))
    order = np.pad(places, around, constant_values=-1)  # of no element
    return writer.permuted(*call.named, [value], order, order.shape)


@register_layer(*(f"Cropping{rank}D" for rank in (1, 2, 3)))
def _cropping(writer, call, value):
    grid, places = _grid_places(writer, call, value)
    ends = _ends(call.spec.config["cropping"], len(grid.sizes))
    kept = [slice(start, n - end) for n, (start, end) in zip(grid.sizes, ends)]
    order = places[grid.shape(kept, slice(None))]
    return writer.permuted(*call.named, [value], order, order.shape)


@register_layer(*(f"UpSampling{rank}D" for rank in (1, 2, 3)))
def _up_sampling(writer, call, value):
    grid, order = _grid_places(writer, call, value)
    config = call.spec.config
    interpolation = config.get("interpolation", "nearest")
    if interpolation != "nearest":
        raise ConversionError(
            str(call),
            f"has interpolation={interpolation!r}",
            "Use interpolation='nearest', or a Conv2DTranspose layer",
        )
    size = each_axis(config["size"], len(grid.sizes))
    check_entries(call, math.prod(size) * order.size)
    for axis, times in enumerate(size, start=int(grid.first)):
        order = np.repeat(order, times, axis=axis)
    return writer.permuted(*call.named, [value], order, order.shape)


def _grid_places(writer, call, value):
    """The grid that a layer takes, and the places of its elements."""
    check_options(call)
    grid = grid_of(writer, call, value, rank_of(call.spec.acts_as))
    return grid, _places(writer.shape(value))


def _places(shape):
    return np.arange(math.prod(shape)).reshape(shape)


def _ends(option, rank):
    """What is added or cut at both ends of each axis, pairs of int."""
    option = [option] * rank if np.ndim(option) == 0 else list(option)
    if rank == 1 and len(option) == 2:  # the ends of the only axis
        option = [option]
    return [each_axis(each, 2) for each in option]
