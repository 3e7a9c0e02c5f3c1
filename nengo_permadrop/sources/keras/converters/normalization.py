"""Layers that scale and shift by what they have seen."""

import numpy as np
from scipy import sparse

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.table import check_options, register_layer, weight


def _normalization_weights(config):
    trained = [("gamma", "scale"), ("beta", "center")]
    trained = [name for name, option in trained if config.get(option, True)]
    return trained, ["moving_mean", "moving_variance"]


@register_layer("BatchNormalization", weights=_normalization_weights)
def _batch_normalization(writer, call, value):
    options = dict(call.options)
    if options.pop("training", None):
        raise ConversionError(
            str(call),
            "is called with training=True, which normalises by the batch",
            "Call it without, so that it uses its moving averages",
        )
    check_options(call, options)
    config, weights = call.spec.config, call.spec.weights
    axis = config["axis"]
    axis = int(axis[0]) if isinstance(axis, (list, tuple)) else int(axis)
    shape = writer.shape(value)
    size = (shape[axis if axis < 0 else axis - 1],)
    found = {name: weight(call, name, size) for name in weights}
    mean = found["moving_mean"].astype(float)
    std = np.sqrt(found["moving_variance"].astype(float) + config["epsilon"])
    scale = found.get("gamma", 1.0) / std
    shift = found.get("beta", 0.0) - mean * scale
    along = [1] * len(shape)
    along[axis if axis < 0 else axis - 1] = -1
    mean, std, scale, shift = (
        np.broadcast_to(each.reshape(along), shape).ravel()
        for each in (mean, std, scale, shift)
    )
    writer.known(value, mean, std)
    matrix = sparse.diags(scale).tocsr()
    return writer.affine(*call.named, [value], [matrix], shape, constant=shift)
