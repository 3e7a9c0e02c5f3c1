"""Activations as sums of rectified neurons."""

import math

import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_permadrop.graph.graph import Activation
from nengo_permadrop.neurons import activations
from nengo_permadrop.neurons.activations import (
    ActivationNeurons,
    activate,
    activate_neurons,
    activation_neurons,
    neuron_activity,
)
from nengo_permadrop.neurons.piecewise import SMOOTH, bound, largest_error

X = np.linspace(-9, 9, 4001)


def operation(kind, **parameters):
    return Activation(
        path="a", label="A", inputs=(0,), output=1, kind=kind, parameters=parameters
    )


def of_neurons(kind, x, **parameters):
    return activate_neurons(operation(kind, **parameters), x[:, None])[:, 0]


EXACT = {
    "relu": ({}, lambda x: np.maximum(x, 0)),
    "relu6": ({"max_value": 6.0}, lambda x: np.clip(x, 0, 6)),
    "most of zero": ({"max_value": 0.0}, lambda x: 0 * x),
    "leaky": ({"negative_slope": 0.3}, lambda x: np.where(x > 0, x, 0.3 * x)),
    "rising to the left": (
        {"negative_slope": -0.3},
        lambda x: np.where(x > 0, x, -0.3 * x),
    ),
    "both": (
        {"negative_slope": 0.1, "max_value": 2.0},
        lambda x: np.where(x > 0, np.minimum(x, 2), 0.1 * x),
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_rectified(name):
    parameters, function = EXACT[name]
    assert np.allclose(of_neurons("relu", X, **parameters), function(X), atol=1e-12)
    assert activation_neurons("relu", 100.0, **parameters).error == 0


def test_slopes_of_each_unit():
    slopes = np.array([0.1, -0.2, 0.0])
    x = np.random.RandomState(0).normal(size=(50, 3))
    found = activate(operation("relu", negative_slope=slopes, max_value=1.0), x)
    assert np.allclose(found, np.where(x > 0, np.minimum(x, 1), slopes * x))


@pytest.mark.parametrize("slope", [0.2, 1 / 6])
def test_hard_sigmoid(slope):
    found = of_neurons("hard_sigmoid", X, slope=slope)
    assert np.allclose(found, np.clip(slope * X + 0.5, 0, 1), atol=1e-12)


def test_neurons_are_each_units_first_ones_and_then_the_second_ones():
    x = np.array([[1.0, 2.0, 8.0]])
    found = neuron_activity(operation("relu", max_value=6.0), x)
    assert np.allclose(found, [[1, 2, 8, 0, 0, 2]])


def elementwise(function):
    return lambda x: np.array([function(each) for each in x])


SELU = 1.0507009873554805, 1.6732632423543772


def exp(x):
    return math.exp(min(x, 700.0))


# By the definitions, in Python's own functions, and what they go to
NEAR = {
    "elu": lambda x: x if x > 0 else exp(x) - 1,
    "gelu": lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))),
    "mish": lambda x: x * math.tanh(max(x, 0) + math.log1p(exp(-abs(x)))),
    "selu": lambda x: SELU[0] * (x if x > 0 else SELU[1] * (exp(x) - 1)),
    "silu": lambda x: x / (1 + exp(-x)),
    "softplus": lambda x: max(x, 0) + math.log1p(exp(-abs(x))),
}


@pytest.mark.parametrize("kind", NEAR)
def test_functions_are_those_of_the_definitions(kind):
    exact = elementwise(NEAR[kind])(X)
    assert np.allclose(activate(operation(kind), X[:, None])[:, 0], exact, atol=1e-12)


def test_gelu_by_tanh():
    def function(x):
        return 0.5 * x * (1 + math.tanh((2 / math.pi) ** 0.5 * (x + 0.044715 * x**3)))

    found = activate(operation("gelu", approximate=True), X[:, None])[:, 0]
    assert np.allclose(found, elementwise(function)(X), atol=1e-12)


@pytest.mark.parametrize("alpha", [0.3, 2.0])
def test_elu_with_an_alpha(alpha):
    found = activate(operation("elu", alpha=alpha), X[:, None])[:, 0]
    assert np.allclose(found, np.where(X > 0, X, alpha * np.expm1(np.minimum(X, 0))))
    near = of_neurons("elu", X, alpha=alpha)
    error = activation_neurons("elu", 1.0, alpha=alpha).error
    assert 0.95 * error < np.abs(near - found).max() <= error


@pytest.mark.parametrize("kind", [*NEAR, "gelu_tanh"])
def test_error_is_within_the_bound_everywhere_and_comes_near_it(kind):
    parameters = {}
    if kind == "gelu_tanh":
        kind, parameters = "gelu", {"approximate": True}
    rng = np.random.RandomState(0)
    x = np.concatenate(
        [rng.uniform(-12, 12, 200_000), rng.standard_cauchy(10_000), [-1e6, 0, 1e6]]
    )
    neurons = activation_neurons(kind, 1.0, **parameters)
    near = of_neurons(kind, x, **parameters)
    exact = activate(operation(kind, **parameters), x[:, None])[:, 0]
    off = np.abs(near - exact)
    assert off.max() <= neurons.error + 1e-9
    assert off.max() > 0.99 * neurons.error
    scale = SELU[0] * SELU[1] if kind == "selu" else 1.0
    assert neurons.error <= 0.0125 * scale


@pytest.mark.parametrize("name", SMOOTH)
def test_bound_is_that_of_the_knots(name):
    smooth = SMOOTH[name]
    knots = np.array(smooth.knots)
    knots[2] += 0.5
    assert largest_error(smooth, knots, smooth.slopes) > 1.5 * bound(name)


@pytest.mark.parametrize("name", SMOOTH)
def test_what_the_bound_rests_on(name):
    """The curvature, and straight lines beyond the range that it is looked for in."""
    smooth = SMOOTH[name]
    for x in (np.linspace(-30, -1e-6, 100_001), np.linspace(1e-6, 30, 100_001)):
        y, step = smooth.function(x), x[1] - x[0]
        assert np.abs(np.diff(y, 2)).max() / step**2 <= smooth.curvature + 1e-5
    far = np.array([40.0, 50.0, 1e3, 1e6])
    right = 0.0 * far if smooth.saturates else far
    assert np.abs(smooth.function(far) - right).max() <= 1e-15
    assert np.abs(smooth.function(-far) - smooth.left).max() <= 1e-15
    assert math.isclose(sum(smooth.slopes), 0 if smooth.saturates else 1, abs_tol=1e-12)


def test_neurons_that_are_farther_off_than_is_said(monkeypatch):
    found = activation_neurons("gelu", 1.0)
    wrong = ActivationNeurons(**{**vars(found), "error": 0.5 * found.error})
    monkeypatch.setattr(activations, "activation_neurons", lambda *_, **__: wrong)
    with pytest.raises(ValidationError, match="off by 0.0122, and at most 0.00615"):
        activate_neurons(operation("gelu"), X[:, None])
