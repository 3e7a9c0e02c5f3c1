"""Values with their axis of rows, as libraries of tensors have them."""

import contextlib
from dataclasses import dataclass

import numpy as np
from nengo.exceptions import NengoException

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.graph.writer import GraphWriter
from nengo_permadrop.sources.operators.arithmetic import GraphValue

# Rows of a program that takes any number of them: two, so that what joins them is seen
ANY_ROWS = 2


@dataclass(frozen=True)
class Node:
    """
    One operation of a program, for messages and for the graph.

    Attributes
    ----------
    path : str
        As in `.Operation`.
    label : str
        What the library calls such an operation.
    name : str
        Of the node in the program.
    """

    path: str
    label: str
    name: str = ""

    def __str__(self):
        also = f", {self.name}" if self.name not in ("", self.path) else ""
        return f"node '{self.path}' ({self.label}{also})"

    @property
    def named(self):
        """Path and label, as a `.GraphWriter` takes them."""
        return self.path, self.label


class RowsWriter(GraphWriter):
    """
    A graph's writer for programs whose values have rows as their first axis.

    Parameters
    ----------
    rows : int
        Number of rows that the program is followed with: what it is written for, or
        `ANY_ROWS`.
    """

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def full_shape(self, operand):
        """Shape of a value, with its rows, or of a constant."""
        if isinstance(operand, GraphValue):
            return (self.rows, *self.shape(operand.index))
        return np.shape(operand)

    def constant(self, where, operand, n_axes):
        """
        A constant that goes with values of so many axes, with one row.

        Parameters
        ----------
        where : `Node`
        operand : array_like
        n_axes : int
            With that of rows.

        Returns
        -------
        constant : ndarray

        Raises
        ------
        ConversionError
            If its rows differ.
        """
        constant = np.asarray(operand)
        if constant.ndim == n_axes and len(constant) == self.rows > 1:
            if np.any(constant != constant[:1]):
                raise ConversionError(
                    str(where),
                    "has a constant that differs between rows",
                    "Use one that is the same for each observation",
                )
            constant = constant[:1]
        return constant


@contextlib.contextmanager
def named_errors(where):
    """
    Turn what goes wrong with an operation that isn't made well into an error of ours.

    Parameters
    ----------
    where : `Node`

    Raises
    ------
    ConversionError
        With the node's name; errors of Nengo and of ours are as they are.
    """
    try:
        yield
    except NengoException:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise ConversionError(
            str(where),
            f"isn't what such an operation can be ({type(error).__name__}: {error})",
            "Check the model with the library that it is of",
        ) from error


def refused_rows(where, found):
    """The error of an operation that joins or moves the rows of a batch."""
    return ConversionError(
        str(where),
        f"{found}, the axis of observations among them",
        "Leave the first axis as it is: each observation is computed by itself",
    )
