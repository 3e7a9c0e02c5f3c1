"""Activations that exporters write in several nodes."""

from dataclasses import replace

import numpy as np


class Patterns:
    """
    Finds activations among the nodes of a model.

    Parameters
    ----------
    calls : list of `.onnx.model.Call`
    constants : {str: ndarray}
        Of initializers.
    """

    def __init__(self, calls, constants):
        self._made = {name: call for call in calls for name in call.outputs}
        self._constants = dict(constants)
        for call in calls:
            if call.operator == "Constant" and "value" in call.attributes:
                self._constants[call.outputs[0]] = call.attributes["value"]

    def found(self, call):
        """
        The activation that ends with a node.

        Parameters
        ----------
        call : `.onnx.model.Call`

        Returns
        -------
        call : `.onnx.model.Call` or None
            One node that does the same as it and those before it.
        """
        if call.operator == "Where":
            return self._softplus(call)
        if call.operator != "Mul":
            return None
        first, second = call.inputs
        for x, other in ((first, second), (second, first)):
            if self._is_made(other, "Sigmoid", x):
                return replace(call, operator="Silu", inputs=[x], attributes={})
            inner = self._inner(other, "Tanh")
            if inner is not None and self._is_made(inner, "Softplus", x):
                return replace(call, operator="Mish", inputs=[x], attributes={})
            gelu = self._gelu(call, x, other)
            if gelu is not None:
                return gelu
        return None

    def _gelu(self, call, x, other):
        """x (1 + erf(x / sqrt(2))) is two times GELU, with a factor on either."""
        for factor, base in {(1.0, x), self._peeled(x)}:
            outer, total = self._peeled(other)
            erf = self._plus_one(total)
            if erf is None:
                continue
            inner, of = self._peeled(self._inner(erf, "Erf") or "")
            if of == base and np.isclose(inner, np.sqrt(0.5)):
                attributes = {"times": 2.0 * factor * outer}
                return replace(
                    call, operator="Gelu", inputs=[base], attributes=attributes
                )
        return None

    def _softplus(self, call):
        """Softplus, or x where it is large: the same, rounded."""
        condition, large, small = call.inputs
        greater = self._made.get(condition)
        if greater is None or greater.operator != "Greater":
            return None
        inner, threshold = greater.inputs
        limit = self._number(threshold)
        times, made = self._peeled(small)
        beta, of = (1.0, inner) if inner == large else self._peeled(inner)
        right = of == large and np.isclose(times * beta, 1.0)
        if right and self._is_made(made, "Softplus", inner) and limit and limit >= 15:
            if made == small:
                return replace(call, operator="Softplus", inputs=[inner], attributes={})
            return replace(call, operator="Identity", inputs=[small], attributes={})
        return None

    def _inner(self, name, operator):
        call = self._made.get(name)
        right = call is not None and call.operator == operator
        return call.inputs[0] if right else None

    def _is_made(self, name, operator, of):
        return self._inner(name, operator) == of

    def _number(self, name):
        constant = self._constants.get(name)
        if constant is None and name in self._made:
            call = self._made[name]  # of PyTorch's exporter: a number in another type
            if call.operator in ("Cast", "CastLike", "Identity"):
                return self._number(call.inputs[0])
        if constant is None or np.size(constant) != 1:
            return None
        return float(np.ravel(constant)[0])

    def _peeled(self, name):
        """A number, and what it is times of: of products with a constant."""
        call = self._made.get(name)
        if call is None or call.operator not in ("Mul", "Div"):
            return 1.0, name
        first, second = call.inputs
        number = self._number(second)
        if number is not None and number != 0:
            return (number if call.operator == "Mul" else 1.0 / number), first
        number = self._number(first)
        if number is not None and call.operator == "Mul":
            return number, second
        return 1.0, name

    def _plus_one(self, name):
        call = self._made.get(name)
        if call is None or call.operator != "Add":
            return None
        first, second = call.inputs
        for x, one in ((first, second), (second, first)):
            number = self._number(one)
            if number is not None and np.isclose(number, 1.0):
                return x
        return None
