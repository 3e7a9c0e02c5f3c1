"""Arithmetic, and what is computed of sizes."""

import math
import operator

import numpy as np

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.linear.windows import check_entries
from nengo_permadrop.sources.operators import refusals
from nengo_permadrop.sources.operators.arithmetic import (
    GraphValue,
    check_broadcast,
    scaled,
    summed,
)
from nengo_permadrop.sources.operators.functions import clipped
from nengo_permadrop.sources.torch.table import register_operator


def _constants(writer, where, operands):
    """Operands with constants as arrays of one row."""
    n_axes = max(len(writer.full_shape(each)) for each in operands)
    return [
        each if isinstance(each, GraphValue) else writer.constant(where, each, n_axes)
        for each in operands
    ]


def _sum(writer, where, operands, signs):
    if not any(isinstance(each, GraphValue) for each in operands):
        check_broadcast(where, operands)
        return sum(sign * np.asarray(each) for each, sign in zip(operands, signs))
    operands = _constants(writer, where, operands)
    return GraphValue(summed(writer, where, operands, signs))


def _product(writer, where, value, factors):
    value, factors = _constants(writer, where, [value, factors])
    return GraphValue(scaled(writer, where, value, factors))


@register_operator("aten.add")
def _add(writer, where, self, other, alpha=1):
    return _sum(writer, where, [self, other], [1, alpha])


@register_operator("aten.sub", "aten.subtract")
def _subtract(writer, where, self, other, alpha=1):
    return _sum(writer, where, [self, other], [1, -alpha])


@register_operator("aten.rsub")
def _subtracted_from(writer, where, self, other, alpha=1):
    return _sum(writer, where, [other, self], [1, -alpha])


@register_operator("aten.neg")
def _negative(writer, where, self):
    return _multiply(writer, where, self, -1.0)


@register_operator("aten.mul", "aten.multiply")
def _multiply(writer, where, self, other):
    if isinstance(self, GraphValue) and isinstance(other, GraphValue):
        raise ConversionError(str(where), *refusals.PRODUCT)
    if isinstance(self, GraphValue):
        return _product(writer, where, self, other)
    if isinstance(other, GraphValue):
        return _product(writer, where, other, self)
    check_broadcast(where, [self, other])
    return np.asarray(self) * np.asarray(other)


@register_operator("aten.div", "aten.divide", "aten.true_divide")
def _divide(writer, where, self, other, rounding_mode=None):
    if rounding_mode is not None:
        raise ConversionError(
            str(where), f"rounds ({rounding_mode})", "Divide without rounding"
        )
    if isinstance(other, GraphValue):
        raise ConversionError(str(where), *refusals.QUOTIENT)
    divisor = np.asarray(other, dtype=float)
    if not divisor.all():
        raise ConversionError(str(where), "divides by zero", "Divide by something else")
    return _multiply(writer, where, self, 1.0 / divisor)


@register_operator("aten.maximum", "aten.minimum")
def _bound(writer, where, self, other):
    if isinstance(self, GraphValue) and isinstance(other, GraphValue):
        raise ConversionError(str(where), *refusals.LARGEST)
    value, bound = (self, other) if isinstance(self, GraphValue) else (other, self)
    if not isinstance(value, GraphValue) or np.size(bound) != 1:
        raise ConversionError(
            str(where), "bounds values by an array", "Use one number for all elements"
        )
    bound = float(np.ravel(bound)[0])
    low = where.label == "maximum" or where.name.startswith("maximum")
    return clipped(writer, where, value, *((bound, None) if low else (None, bound)))


def _of_constants(name, function, refusal=refusals.GROWING):
    @register_operator(f"aten.{name}")
    def write(writer, where, self):
        if isinstance(self, GraphValue):
            raise ConversionError(str(where), *refusal)
        return function(np.asarray(self))


_of_constants("log", np.log)
_of_constants("reciprocal", lambda x: 1.0 / x, refusals.QUOTIENT)
_of_constants("rsqrt", lambda x: 1.0 / np.sqrt(x), refusals.QUOTIENT)
_of_constants("sqrt", np.sqrt)
_of_constants("square", np.square)


def _filled(number, like):
    def write(writer, where, size=None, self=None, fill_value=number):
        if like and size is None:
            size = writer.full_shape(self)
        size = [int(each) for each in size]
        check_entries(where, math.prod(size))
        return np.full(size, float(np.ravel(fill_value)[0]))

    return write


for _name, _number in (("zeros", 0.0), ("ones", 1.0), ("full", None)):
    register_operator(f"aten.{_name}")(_filled(_number, False))
    register_operator(f"aten.{_name}_like", f"aten.new_{_name}")(_filled(_number, True))


@register_operator("aten.scalar_tensor")
def _scalar(writer, where, s):
    return np.asarray(s, dtype=float)


@register_operator("aten.sym_size")
def _size(writer, where, self, dim=None):
    shape = writer.full_shape(self)
    return list(shape) if dim is None else shape[dim]


@register_operator("aten.sym_numel")
def _number_of_elements(writer, where, self):
    return math.prod(writer.full_shape(self))


@register_operator("_operator.getitem")
def _get_item(writer, where, items, place):
    return items[place]


def _of_sizes(name):
    function = getattr(operator, name)

    @register_operator(f"_operator.{name}")
    def write(writer, where, *sizes):
        if not all(isinstance(each, (int, float)) for each in sizes):
            raise ConversionError(
                str(where), "computes in Python of tensors", "Use torch's operators"
            )
        return function(*sizes)


for _name in ("add", "sub", "mul", "floordiv", "truediv", "mod", "neg"):
    _of_sizes(_name)
