"""Arithmetic, of values, of random numbers, and of what is known."""

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.onnx.converters.dropout import written_drop
from nengo_permadrop.sources.onnx.noise import Masked, Noise, Uniform
from nengo_permadrop.sources.onnx.table import (
    Setting,
    computed,
    known_array,
    register_operator,
)
from nengo_permadrop.sources.operators import refusals
from nengo_permadrop.sources.operators.arithmetic import (
    GraphValue,
    check_broadcast,
    scaled,
    summed,
)
from nengo_permadrop.sources.operators.functions import clipped


def _arrays(call, operands):
    """Operands that are known, of sizes that fit in memory together."""
    arrays = [known_array(call, each, "numbers") for each in operands]
    check_broadcast(call.where, arrays)
    return arrays


_NOT_KNOWN = (Masked, Noise, Setting, Uniform, GraphValue)


def _is_known(*operands):
    return not any(isinstance(each, _NOT_KNOWN) for each in operands)


def _constants(writer, call, operands):
    """Operands with constants as arrays of one row."""
    n_axes = max(len(writer.full_shape(each)) for each in operands)
    return [
        (
            each
            if isinstance(each, GraphValue)
            else writer.constant(call.where, known_array(call, each), n_axes)
        )
        for each in operands
    ]


def _sum(writer, call, operands, signs):
    operands = list(operands)
    if _is_known(*operands):
        arrays = _arrays(call, operands)
        return sum(sign * each for each, sign in zip(arrays, signs))
    noisy = [each for each in operands if isinstance(each, (Noise, Masked))]
    if noisy:
        return _noisy_sum(writer, call, operands, signs)
    for each in operands:
        if not _is_known(each):
            computed(call, each)
    operands = _constants(writer, call, operands)
    return GraphValue(summed(writer, call.where, operands, signs))


def _noisy_sum(writer, call, operands, signs):
    """Random numbers and a constant; or what is dropped, and what is put in place."""
    if len(operands) == 2:
        for (a, sign), (b, other) in (
            zip(operands, signs),
            list(zip(operands, signs))[::-1],
        ):
            if isinstance(a, Masked) and sign == other == 1 and a.is_alpha(b):
                args = a.value, a.name, a.noise, Masked
                return written_drop(writer, call, *args)
            if isinstance(a, Noise) and _is_known(b) and np.size(b) == 1:
                shift = other * float(np.ravel(b)[0])
                return a.moved(float(sign)).moved(shift=shift)
    raise ConversionError(str(call.where), *refusals.RANDOM)


@register_operator("Add", "Sum")
def _add(writer, call, *operands):
    return _sum(writer, call, operands, [1] * len(operands))


@register_operator("Sub")
def _subtract(writer, call, a, b):
    return _sum(writer, call, [a, b], [1, -1])


@register_operator("Mean")
def _mean(writer, call, *operands):
    total = _sum(writer, call, operands, [1] * len(operands))
    if not isinstance(total, GraphValue):
        return total / len(operands)
    return GraphValue(scaled(writer, call.where, total, 1.0 / len(operands)))


@register_operator("Neg")
def _negative(writer, call, x):
    return _product(writer, call, x, -1.0)


@register_operator("Mul")
def _multiply(writer, call, a, b):
    if _is_known(a, b):
        a, b = _arrays(call, [a, b])
        return a * b
    if isinstance(a, GraphValue) and isinstance(b, GraphValue):
        raise ConversionError(str(call.where), *refusals.PRODUCT)
    for x, noise, name in ((a, b, call.inputs[0]), (b, a, call.inputs[1])):
        if isinstance(x, GraphValue) and isinstance(noise, Noise):
            if noise.is_dropout:
                return written_drop(writer, call, x, name, noise, Noise)
            return Masked(x, name, noise)
    return _product(writer, call, *((b, a) if _is_known(a) else (a, b)))


def _product(writer, call, x, factors):
    factors = known_array(call, factors, "factors")
    if _is_known(x):
        return known_array(call, x) * factors
    if isinstance(x, Noise) and factors.size == 1:
        return x.moved(float(np.ravel(factors)[0]))
    x, factors = _constants(writer, call, [computed(call, x), factors])
    return GraphValue(scaled(writer, call.where, x, factors))


@register_operator("Div")
def _divide(writer, call, a, b):
    if not _is_known(b):
        raise ConversionError(str(call.where), *refusals.QUOTIENT)
    divisor = known_array(call, b)
    if not divisor.all():
        raise ConversionError(
            str(call.where), "divides by zero", "Divide by something else"
        )
    if _is_known(a):
        a, divisor = _arrays(call, [a, divisor])
        integers = a.dtype.kind in "iu" and divisor.dtype.kind in "iu"
        return a // divisor if integers else a / divisor
    return _product(writer, call, a, 1.0 / divisor.astype(float))


@register_operator("Max", "Min")
def _bounded(writer, call, *operands):
    if _is_known(*operands):
        function = np.maximum if call.operator == "Max" else np.minimum
        return function(*_arrays(call, operands))
    values = [each for each in operands if isinstance(each, GraphValue)]
    known = [each for each in operands if _is_known(each)]
    if len(operands) != 2 or len(values) != 1 or np.size(known[0]) != 1:
        raise ConversionError(str(call.where), *refusals.LARGEST)
    bound = float(np.ravel(known[0])[0])
    bounds = (bound, None) if call.operator == "Max" else (None, bound)
    return clipped(writer, call.where, values[0], *bounds)


def _of_constants(name, function):
    @register_operator(name)
    def write(writer, call, *operands):
        if not _is_known(*operands):
            raise ConversionError(str(call.where), *refusals.GROWING)
        with np.errstate(all="ignore"):  # infinite ones are refused where they are used
            return function(*_arrays(call, operands))


for _name, _function in (
    ("And", np.logical_and),
    ("Ceil", np.ceil),
    ("Equal", np.equal),
    ("Floor", np.floor),
    ("Log", np.log),
    ("Mod", np.mod),
    ("Not", np.logical_not),
    ("Or", np.logical_or),
    ("Pow", np.power),
    ("Reciprocal", lambda x: 1.0 / x),
    ("Sqrt", np.sqrt),
    ("Where", np.where),
):
    _of_constants(_name, _function)
