"""Functions of each element."""

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.onnx.table import computed, known_array, register_operator
from nengo_permadrop.sources.operators.functions import (
    activation,
    clipped,
    leaky,
    softmax,
)
from nengo_permadrop.sources.operators.layers import broadcast

for _name, _kind in (
    ("Mish", "mish"),
    ("Relu", "relu"),
    ("Sigmoid", "sigmoid"),
    ("Silu", "silu"),  # of `.onnx.patterns`
    ("Softplus", "softplus"),
    ("Tanh", "tanh"),
):

    @register_operator(_name)
    def _activation(writer, call, x, kind=_kind):
        return activation(writer, call.where, computed(call, x), kind)


@register_operator("Exp")
def _exp(writer, call, x):
    if isinstance(x, np.ndarray):
        return np.exp(x)
    return activation(writer, call.where, computed(call, x), "exp")


@register_operator("Abs")
def _absolute(writer, call, x):
    if isinstance(x, np.ndarray):
        return np.abs(x)
    return leaky(writer, call.where, computed(call, x), -1.0)


@register_operator("Gelu")
def _gelu(writer, call, x):
    options = {"approximate": True} if call.get("approximate") == "tanh" else {}
    times = call.get("times", 1.0), 0.0  # of `.onnx.patterns`
    value = computed(call, x)
    return activation(writer, call.where, value, "gelu", outer=times, **options)


@register_operator("Swish")
def _swish(writer, call, x):
    alpha = call.get("alpha", 1.0)
    inner, outer = (alpha, 0.0), (1.0 / alpha, 0.0)
    return activation(writer, call.where, computed(call, x), "silu", inner, outer)


@register_operator("Elu")
def _elu(writer, call, x):
    alpha = call.get("alpha", 1.0)
    options = {} if alpha == 1 else {"alpha": alpha}
    return activation(writer, call.where, computed(call, x), "elu", **options)


@register_operator("Celu")
def _celu(writer, call, x):
    # alpha elu(x / alpha), which is x where x is positive
    alpha = call.get("alpha", 1.0)
    inner, outer = (1.0 / alpha, 0.0), (alpha, 0.0)
    return activation(writer, call.where, computed(call, x), "elu", inner, outer)


@register_operator("Selu")
def _selu(writer, call, x):
    alpha, gamma = call.get("alpha", 1.67326), call.get("gamma", 1.0507)
    value = computed(call, x)
    if np.isclose(alpha, 1.67326324) and np.isclose(gamma, 1.05070098):
        return activation(writer, call.where, value, "selu")
    options = {"alpha": alpha, "scale": gamma}
    return activation(writer, call.where, value, "elu", **options)


@register_operator("HardSigmoid")
def _hard_sigmoid(writer, call, x):
    slope, at_zero = call.get("alpha", 0.2), call.get("beta", 0.5)
    if not slope > 0:
        raise ConversionError(
            str(call.where), f"has alpha={slope:g}", "Use a slope above 0"
        )
    slope = 1 / 6 if np.isclose(slope, 1 / 6) else slope
    inner = 1.0, (at_zero - 0.5) / slope
    value = computed(call, x)
    return activation(writer, call.where, value, "hard_sigmoid", inner, slope=slope)


@register_operator("LeakyRelu")
def _leaky_relu(writer, call, x):
    return leaky(writer, call.where, computed(call, x), call.get("alpha", 0.01))


@register_operator("PRelu")
def _prelu(writer, call, x, slope):
    value, slope = computed(call, x), known_array(call, slope, "slopes")
    shape = writer.shape(value.index)
    if slope.ndim > len(shape):
        slope = slope.reshape(slope.shape[slope.ndim - len(shape) :])
    return leaky(writer, call.where, value, broadcast(writer, call.where, slope, shape))


@register_operator("Clip")
def _clip(writer, call, x, low=None, high=None):
    low, high = (
        call.get(name) if each is None else float(np.ravel(known_array(call, each))[0])
        for name, each in (("min", low), ("max", high))
    )
    value = computed(call, x)
    largest = np.finfo(np.float32).max
    low = None if low is None or low <= -largest else low
    high = None if high is None or high >= largest else high
    if low == 0:
        options = {} if high is None else {"max_value": high}
        return activation(writer, call.where, value, "relu", **options)
    return clipped(writer, call.where, value, low, high)


@register_operator("Softmax")
def _softmax(writer, call, x):
    value = computed(call, x)
    n_axes = len(writer.full_shape(value))
    axis = call.get("axis", 1 if call.opset < 13 else -1)
    if call.opset < 13 and axis % n_axes == 1 and n_axes > 2:
        raise ConversionError(
            str(call.where),
            "goes along several axes",
            "Use the last axis, or an opset of at least 13",
        )
    return softmax(writer, call.where, value, axis)
