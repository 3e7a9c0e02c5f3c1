"""The backend "function": anything that can be called, once a draw."""

import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_permadrop as npd

X = np.arange(12, dtype=np.float32).reshape(4, 3)


def draw(function, X=X, n_draws=10, **kwargs):
    return npd.sample(
        function, X, n_draws, backend="function", progress=False, **kwargs
    )


class Dropping:
    """Notes its calls."""

    def __init__(self):
        self.rng, self.calls = np.random.RandomState(0), []

    def __call__(self, x):
        self.calls.append(x)
        return x * (self.rng.rand(*x.shape) >= 0.5)


def test_one_call_a_draw_with_all_rows_as_they_were_given():
    function = Dropping()
    samples = draw(function)
    assert len(function.calls) == 10
    assert all(x.dtype == X.dtype and np.array_equal(x, X) for x in function.calls)
    assert samples.values.shape == (10, 4, 3) and samples.backend == "function"
    rng = np.random.RandomState(0)
    expected = np.stack([X * (rng.rand(4, 3) >= 0.5) for _ in range(10)])
    assert np.array_equal(samples.values, expected)


@pytest.mark.parametrize(
    "given, seen",
    [
        ([X, X.astype(np.int64)], list),
        ({"a": X, "b": X}, dict),
        (X.reshape(4, 3, 1), np.ndarray),
    ],
)
def test_inputs_come_in_the_container_they_were_given_in(given, seen):
    found = []

    def function(x):
        found.append(x)
        first = x["a"] if isinstance(x, dict) else x[0] if isinstance(x, list) else x
        return np.random.RandomState(len(found)).rand(len(first))

    samples = draw(function, given)
    assert samples.values.shape == (10, 4, 1) and type(found[0]) is seen
    if seen is list:
        assert found[0][1].dtype == np.int64
    if seen is np.ndarray:
        assert found[0].shape == (4, 3, 1)


@pytest.mark.parametrize(
    "answer, said",
    [
        (lambda x: x[:2], r"shape \(n_observations, ...\).*of 4.*\(2, 3\)"),
        (lambda x: x.sum(), r"got the shape \(\)"),
        (lambda x: x * np.nan, "returned nan for observation 0, output 0 .12 of 12"),
        (lambda x: x * 1j, "real numbers; got ndarray .dtype complex"),
        (lambda x: "text", "real numbers; got str"),
        (lambda x: None, "real numbers; got NoneType"),
    ],
)
def test_answers_are_checked(answer, said):
    with pytest.raises(ValidationError, match=said):
        draw(answer)


def test_draws_that_are_all_the_same_are_warned_of():
    with pytest.warns(UserWarning, match="all 10 draws of <lambda> are the same"):
        draw(lambda x: x)


def test_what_is_not_for_a_function_is_refused():
    with pytest.raises(ValidationError, match="takes a function of X, got int"):
        draw(3)
    with pytest.raises(ValidationError, match="isn't for a function"):
        draw(Dropping(), output="y")
    with pytest.raises(ValidationError, match="isn't for a function"):
        draw(Dropping(), dropout="off")
