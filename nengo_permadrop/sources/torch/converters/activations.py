"""Functions of each element."""

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.operators import refusals
from nengo_permadrop.sources.operators.functions import (
    activation,
    clipped,
    leaky,
    softmax,
)
from nengo_permadrop.sources.operators.layers import broadcast
from nengo_permadrop.sources.torch.table import computed, known_array, register_operator

for _name, _kind, _options in (
    ("exp", "exp", {}),
    ("hardsigmoid", "hard_sigmoid", {"slope": 1 / 6}),
    ("mish", "mish", {}),
    ("relu", "relu", {}),
    ("relu6", "relu", {"max_value": 6.0}),
    ("selu", "selu", {}),
    ("sigmoid", "sigmoid", {}),
    ("silu", "silu", {}),
    ("tanh", "tanh", {}),
):

    @register_operator(f"aten.{_name}")
    def _activation(writer, where, self, kind=_kind, options=_options):
        return activation(writer, where, computed(where, self), kind, **options)


@register_operator("nengo_permadrop.softlif")  # of `nengo_permadrop.torch_layers`
def _softlif(writer, where, x, gamma, tau_rc, tau_ref, amplitude, gain, target):
    options = {
        "gain": gain,
        "gamma": gamma,
        "tau_rc": tau_rc,
        "tau_ref": tau_ref,
        "amplitude": amplitude,
    }
    if target != "nengo":
        options["curve"] = target
    return activation(writer, where, computed(where, x), "softlif", **options)


@register_operator("aten.gelu")
def _gelu(writer, where, self, approximate="none"):
    options = {"approximate": True} if approximate == "tanh" else {}
    return activation(writer, where, computed(where, self), "gelu", **options)


@register_operator("aten.elu")
def _elu(writer, where, self, alpha=1.0, scale=1.0, input_scale=1.0):
    options = {"alpha": float(alpha), "scale": float(scale)}
    if input_scale != 1:  # of negative parts alone
        raise ConversionError(
            str(where), f"has input_scale={input_scale}", "Use input_scale=1"
        )
    options = {key: value for key, value in options.items() if value != 1}
    return activation(writer, where, computed(where, self), "elu", **options)


@register_operator("aten.celu")
def _celu(writer, where, self, alpha=1.0):
    # alpha elu(x / alpha), which is x where x is positive
    inner, outer = (1.0 / alpha, 0.0), (float(alpha), 0.0)
    return activation(writer, where, computed(where, self), "elu", inner, outer)


@register_operator("aten.softplus")
def _softplus(writer, where, self, beta=1, threshold=20):
    inner, outer = (float(beta), 0.0), (1.0 / beta, 0.0)
    return activation(writer, where, computed(where, self), "softplus", inner, outer)


@register_operator("aten.log_sigmoid")
def _log_sigmoid(writer, where, self):
    minus = -1.0, 0.0
    return activation(writer, where, computed(where, self), "softplus", minus, minus)


@register_operator("aten.leaky_relu")
def _leaky_relu(writer, where, self, negative_slope=0.01):
    return leaky(writer, where, computed(where, self), float(negative_slope))


@register_operator("aten.rrelu")
def _rrelu(writer, where, self, lower=1 / 8, upper=1 / 3, training=False):
    if training:
        raise ConversionError(str(where), *refusals.RANDOM)
    return leaky(writer, where, computed(where, self), (lower + upper) / 2)


@register_operator("aten.abs")
def _absolute(writer, where, self):
    if not hasattr(self, "index"):
        return np.abs(self)
    return leaky(writer, where, self, -1.0)


@register_operator("aten.prelu", "aten._prelu_kernel")
def _prelu(writer, where, self, weight):
    value, weight = computed(where, self), known_array(where, weight)
    shape = writer.shape(value.index)
    if weight.size > 1 and weight.ndim == 1:  # of the channels
        weight = weight.reshape(-1, *[1] * (len(shape) - 1))
    return leaky(writer, where, value, broadcast(writer, where, weight, shape))


@register_operator("aten.hardtanh")
def _hardtanh(writer, where, self, min_val=-1, max_val=1):
    return _clamp(writer, where, self, min_val, max_val)


@register_operator("aten.clamp", "aten.clip")
def _clamp(writer, where, self, min=None, max=None):
    value = computed(where, self)
    if min == 0:
        options = {} if max is None else {"max_value": float(max)}
        return activation(writer, where, value, "relu", **options)
    return clipped(writer, where, value, min, max)


@register_operator("aten.clamp_min")
def _clamp_min(writer, where, self, min):
    return _clamp(writer, where, self, min=min)


@register_operator("aten.clamp_max")
def _clamp_max(writer, where, self, max):
    return _clamp(writer, where, self, max=max)


@register_operator("aten.softmax", "aten._softmax")
def _softmax(writer, where, self, dim, half_to_float=False):
    return softmax(writer, where, computed(where, self), dim)
