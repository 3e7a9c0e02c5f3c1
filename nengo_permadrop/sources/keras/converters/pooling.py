"""Pooling by averages. That by the largest element is no linear map."""

import math

from nengo_permadrop.sources.keras.converters.grids import each_axis, grid_of, rank_of
from nengo_permadrop.sources.keras.table import check_options, register_layer
from nengo_permadrop.sources.linear.windows import (
    check_entries,
    output_size,
    window_elements,
)
from nengo_permadrop.sources.operators.grids import averaged

_RANKS = ("1D", "2D", "3D")


@register_layer(*(f"AveragePooling{rank}" for rank in _RANKS))
def _average_pooling(writer, call, value):
    check_options(call)
    config = call.spec.config
    rank = rank_of(call.spec.acts_as)
    grid = grid_of(writer, call, value, rank)
    size = each_axis(config["pool_size"], rank)
    strides = config.get("strides")
    strides = size if strides is None else each_axis(strides, rank)
    padding = config.get("padding", "valid")
    places = [output_size(*each, padding) for each in zip(grid.sizes, size, strides)]
    n_places, before = zip(*places)
    check_entries(call, math.prod(n_places) * math.prod(size) * grid.channels)
    found = window_elements(grid.sizes, n_places, size, strides, (1,) * rank, before)
    shape = grid.shape(n_places, grid.channels)
    return averaged(writer, call, value, grid, found, shape)


@register_layer(*(f"GlobalAveragePooling{rank}" for rank in _RANKS))
def _global_average_pooling(writer, call, value):
    check_options(call)
    rank = rank_of(call.spec.acts_as)
    grid = grid_of(writer, call, value, rank)
    ones = (1,) * rank
    found = window_elements(grid.sizes, ones, grid.sizes, ones, ones, (0,) * rank)
    kept = call.spec.config.get("keepdims", False)
    shape = grid.shape(ones if kept else (), grid.channels)
    return averaged(writer, call, value, grid, found, shape)
