"""Steps of the operators that apply weights, and of redrawn dropout masks."""

import numpy as np
from nengo.builder.operator import BsrDotInc, DotInc, SparseDotInc
from nengo.builder.transforms import (
    ConvInc,
    ConvTransposeInc,
    conv2d,
    conv2d_gradx,
    conv2d_groups,
)

from nengo_permadrop.batched.products import shared_product
from nengo_permadrop.batched.steps.registry import register_step
from nengo_permadrop.dropout.builder import RedrawMask
from nengo_permadrop.dropout.clock import redraw_index


def make_product(op, context):
    """
    A function that returns ``A . X`` of a product operator, in the shape of its ``Y``.

    Either argument may differ between replicas or not.
    """
    a, x = context[op.A], context[op.X]
    a_varies, x_varies = context.varies(op.A), context.varies(op.X)
    varies = a_varies or x_varies
    y_shape = ((context.n_replicas,) if varies else ()) + op.Y.shape

    if op.A.ndim == 0 or op.X.ndim == 0:
        ndim = max(op.A.ndim, op.X.ndim)
        a, x = context.aligned(op.A, ndim), context.aligned(op.X, ndim)
        return lambda: (a * x).reshape(y_shape)
    if not varies:
        return lambda: a.dot(x).reshape(y_shape)
    if op.X.ndim == 1 and op.A.ndim == 1:
        return lambda: (a * x).sum(axis=-1).reshape(y_shape)
    if op.X.ndim == 1 and not a_varies:
        return lambda: shared_product(x, a).reshape(y_shape)
    if op.X.ndim == 1:
        return lambda: np.matmul(a, x[..., np.newaxis]).reshape(y_shape)
    return lambda: np.matmul(a, x).reshape(y_shape)


@register_step(DotInc)
def dot_inc(op, context):
    """``Y += A . X``; for dropout weights the mask is applied to ``X`` instead."""
    y = context[op.Y]
    masks = context.masks.get(op.A)
    if masks is None:
        product = make_product(op, context)
    else:
        x = context[op.X]

        def product():
            return masks.apply(x)

    def step_dotinc():
        y[...] += product()

    return step_dotinc


@register_step(SparseDotInc)
def sparse_dot_inc(op, context):
    """``Y += A . X`` for a sparse matrix, the same in all replicas but for masks."""
    a, x, y = context[op.A], context[op.X], context[op.Y]
    masks = context.masks.get(op.A)

    if masks is not None:

        def step_sparsedotinc():
            y[...] += masks.apply(x)

    elif context.varies(op.X):

        def step_sparsedotinc():
            y[...] += a.dot(x.T).T

    else:

        def step_sparsedotinc():
            y[...] += a.dot(x)

    return step_sparsedotinc


@register_step(BsrDotInc)
def bsr_dot_inc(op, context):
    """``Y += A . X`` for the block-sparse matrices that Nengo's optimizer makes."""
    a, x, y = context[op.A], context[op.X], context[op.Y]

    def matrix(blocks):
        return op.bsr_matrix((blocks, op.indices, op.indptr))

    if context.varies(op.A):
        blocks, rows = context.rows(op.A), context.rows(op.X)

        def step_bsrdotinc():
            for i, (block, row) in enumerate(zip(blocks, rows)):
                y[i] += matrix(block).dot(row).reshape(op.Y.shape)

    elif context.varies(op.X):
        shared = matrix(a)
        y_shape = (context.n_replicas, *op.Y.shape)

        def step_bsrdotinc():
            columns = x.reshape(len(x), -1).T
            y[...] += shared.dot(columns).T.reshape(y_shape)

    else:
        shared = matrix(a)

        def step_bsrdotinc():
            y[...] += shared.dot(x).reshape(op.Y.shape)

    return step_bsrdotinc


@register_step(ConvInc)
@register_step(ConvTransposeInc)
def conv_inc(op, context):
    """Convolve all replicas at once; Nengo's own convolutions take a batch axis."""
    conv = op.conv
    if conv.dimensions > 2:
        raise NotImplementedError("Convolution > 2D not supported")

    x, y = context[op.X], context[op.Y]
    x_varies = context.varies(op.X)
    x = (x if x_varies else x[np.newaxis]).reshape((-1, *conv.input_shape.shape))
    y = (y if context.varies(op.Y) else y[np.newaxis]).reshape(
        (-1, *conv.output_shape.shape)
    )
    stride = conv.strides
    spatial_shape = conv.output_shape.spatial_shape
    if not conv.channels_last:
        x, y = np.moveaxis(x, 1, -1), np.moveaxis(y, 1, -1)
    if conv.dimensions == 1:
        x, y = x[:, np.newaxis], y[:, np.newaxis]
        stride, spatial_shape = (1, *stride), (1, *spatial_shape)

    kwargs = {"pad": conv.padding.upper(), "stride": stride}
    if op.is_transpose:

        def convolve(x, w):
            return conv2d_gradx(w, x, xsize=spatial_shape, **kwargs)

    else:
        function = conv2d if conv.groups == 1 else conv2d_groups

        def convolve(x, w):
            return function(x, w, **kwargs)

    kernels = context.rows(op.W) if context.varies(op.W) else [context[op.W]]
    if conv.dimensions == 1:
        kernels = [kernel[np.newaxis] for kernel in kernels]

    def step_conv():
        if len(kernels) == 1:
            y[...] += convolve(x, kernels[0])
        else:
            for i, kernel in enumerate(kernels):
                y[i] += convolve(x[i : i + 1] if x_varies else x, kernel)[0]

    return step_conv


@register_step(RedrawMask)
def redraw_mask(op, context):
    """Give each replica's dropout masks their values for the time."""
    masks = context.masks.get(op.weights)
    time, dt = context[op.time], context.dt
    redraw, delay = op.built.dropout.redraw, op.built.dropout.redraw_delay
    current = -1

    if masks is None:
        weights = context.rows(op.weights)
        seeds = context.seeds.connection_seeds(op.seed)
        keyed = [op.built.base(seed) for seed in seeds]

        def set_masks(index):
            for array, (key, base) in zip(weights, keyed):
                masked = op.built.masked(key, base, index)
                if op.weights.sparse:
                    array.data[...] = masked.data
                else:
                    array[...] = masked

    else:
        set_masks = masks.redraw

    def step_redrawmask():
        nonlocal current
        index = redraw_index(time.item(), dt, redraw, delay)
        if index != current:
            set_masks(index)
            current = index

    return step_redrawmask
