"""Answers of anything that can be called: one call a draw."""

import contextlib
import warnings

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.backends.base import Backend, Problem, register_backend
from nengo_permadrop.backends.observations import check_told
from nengo_permadrop.support.inputs import match_inputs


@register_backend
class FunctionBackend(Backend):
    """
    A function of the observations, whose dropout is its own affair.

    It is called with all observations, in the container and of the type in which they
    were given, once for each draw, and returns an array whose first axis is that of the
    observations. Its draws can't be seeded from here.
    """

    name = "function"
    takes = "model"
    one_by_one = True

    def version(self):
        return f"NumPy {np.__version__}"

    def opened(self, model):
        return model

    def content(self, model):
        return model

    def problem(self, model, X, output, dropout, settings):
        if not callable(model):
            raise ValidationError(
                f"backend {self.name!r} takes a function of X, got "
                f"{type(model).__name__}",
                attr="model",
            )
        if output is not None or check_told(dropout) != check_told(None):
            raise ValidationError(
                "isn't for a function: it returns the answers that it returns",
                attr="dropout" if output is None else "output",
            )
        given = _by_name(X)
        shapes = {name: np.shape(x)[1:] for name, x in given.items()}
        arrays = match_inputs(given, shapes)
        settings["options"] = {
            **settings.get("options", {}),
            "container": "dict" if isinstance(X, dict) else _container(X),
            "types": [np.asarray(x).dtype.name for x in given.values()],
        }
        return Problem(model, list(shapes), None, arrays, shapes, **settings)

    def chunk_size(self, problem, max_memory=None, session=None):
        return len(problem.X[0])  # a draw

    @contextlib.contextmanager
    def session(self, problem):
        calls = _Calls(problem)
        yield calls
        if calls.number > 1 and not calls.differ:
            warnings.warn(
                f"all {calls.number} draws of {_name(problem.model)} are the same: its "
                "dropout is off, or its masks are repeated; nengo_permadrop.audit says "
                "which",
                stacklevel=2,
            )


class _Calls:
    """Computes answers, and keeps an eye on whether they differ."""

    def __init__(self, problem):
        self.problem = problem
        self.number, self.differ = 0, False
        self._first = self._rows = None

    def __call__(self, replicas):
        # a draw's observations come in their order
        starts = np.flatnonzero(np.diff(replicas.observations) <= 0) + 1
        parts = np.split(np.arange(len(replicas)), starts)
        return np.concatenate([self._draw(replicas[part]) for part in parts])

    def _draw(self, replicas):
        problem = self.problem
        types = problem.options["types"]
        arrays = [
            x.reshape(len(x), *shape).astype(kind)
            for x, shape, kind in zip(replicas.inputs, problem.shapes.values(), types)
        ]
        container = problem.options["container"]
        if container == "dict":
            given = dict(zip(problem.inputs, arrays))
        else:
            given = arrays if container == "list" else arrays[0]
        answers = checked_answers(problem.model(given), len(replicas), problem.model)
        if self._first is None or not np.array_equal(self._rows, replicas.observations):
            self._first, self._rows = answers, replicas.observations
        elif not np.array_equal(answers, self._first):
            self.differ = True
        self.number += 1
        return answers


def checked_answers(answers, n, function):
    """
    What a function returned, as an array.

    Parameters
    ----------
    answers : object
        An array, or a tensor of PyTorch, TensorFlow or JAX.
    n : int
        Number of observations.
    function : callable
        For messages.

    Returns
    -------
    answers : (n, n_outputs) ndarray of float64

    Raises
    ------
    nengo.exceptions.ValidationError
        If they aren't finite real numbers, or not one row for each observation.
    """
    if hasattr(answers, "detach"):
        answers = answers.detach().cpu()
    name = _name(function)
    try:
        array = np.asarray(answers)
    except (TypeError, ValueError) as error:
        raise ValidationError(
            f"{name} must return an array; got {type(answers).__name__} ({error})",
            attr="model",
        ) from error
    if array.dtype.kind not in "biuf":
        raise ValidationError(
            f"{name} must return an array of real numbers; got "
            f"{type(answers).__name__} (dtype {array.dtype})",
            attr="model",
        )
    if array.ndim == 0 or len(array) != n or array.size == 0:
        raise ValidationError(
            f"{name} must return an array of shape (n_observations, ...), a row for "
            f"each of {n} observations; got the shape {array.shape}",
            attr="model",
        )
    array = array.reshape(n, -1).astype(np.float64)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad) > 0:
        row, column = bad[0]
        raise ValidationError(
            f"{name} returned {array[row, column]} for observation {row}, output "
            f"{column} ({len(bad)} of {array.size} values aren't finite)",
            attr="model",
        )
    return array


def _container(X):
    """Whether a function is given a list, or an array."""
    listed = isinstance(X, (list, tuple)) and any(np.ndim(x) >= 2 for x in X)
    return "list" if listed else "array"


def _by_name(X):
    if isinstance(X, dict):
        if not X:
            raise ValidationError("is empty", attr="X")
        return X
    if _container(X) == "list":
        return {f"X[{number}]": x for number, x in enumerate(X)}
    return {"X": X}


def _name(function):
    return getattr(function, "__name__", type(function).__name__)
