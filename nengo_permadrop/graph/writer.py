"""Writing a `.ModelGraph`, operation by operation."""

import math

import numpy as np
from nengo.exceptions import ValidationError
from scipy import sparse

from nengo_permadrop.graph.dropouts import BERNOULLI, KINDS, PLAIN
from nengo_permadrop.graph.graph import (
    Activation,
    Affine,
    Drop,
    ModelGraph,
)
from nengo_permadrop.graph.links import LINK_NAMES
from nengo_permadrop.support.groups import check_groups
from nengo_permadrop.support.validation import check_choice

# Elements that all values of a model may have together: maps between them are kept,
# and what a file only claims must not take memory
MAX_ELEMENTS = 2**24


class GraphWriter:
    """
    Adds operations to a graph; values are indices into the graph's ``shapes``.

    Attributes
    ----------
    graph : `.ModelGraph`

    Examples
    --------
    >>> import numpy as np
    >>> from nengo_permadrop.graph.writer import GraphWriter
    >>> writer = GraphWriter()
    >>> x = writer.input("x", (3,))
    >>> hidden = writer.affine("hidden", "Dense", [x], [np.ones((5, 3))], (5,))
    >>> hidden = writer.activation("hidden", "Dense", hidden, "relu")
    >>> hidden = writer.drop("dropout", "Dropout", hidden, rate=0.5)
    >>> writer.output("y", hidden)
    >>> writer.graph.shapes
    [(3,), (5,), (5,), (5,)]
    """

    def __init__(self):
        self.graph = ModelGraph()
        self._n_elements = 0

    def shape(self, value):
        """Shape of a value, a tuple of int."""
        return self.graph.shapes[value]

    def size(self, value):
        """Number of elements of a value."""
        return self.graph.size(value)

    def input(self, name, shape):
        """An input of the model; returns its value."""
        value = self._value(shape, f"input '{name}'")
        self.graph.inputs[name] = value
        return value

    def output(self, name, value):
        """Make a value an output of the model."""
        self.graph.outputs[name] = value

    def link(self, name):
        """
        Make the activation that an output ends with its link.

        Its layer keeps an operation, which hands on what it gets.

        Parameters
        ----------
        name : str
            Of an output, whose value is that of an activation, and is taken by nothing
            else.

        Raises
        ------
        nengo.exceptions.ValidationError
            If it isn't, or the activation's kind is none of `LINK_NAMES`.
        """
        value = self.graph.outputs[name]
        (place,) = (
            i for i, each in enumerate(self.graph.operations) if each.output == value
        )
        last = self.graph.operations[place]
        taken = any(value in each.inputs for each in self.graph.operations)
        kind = getattr(last, "kind", None)
        if taken or not isinstance(last, Activation) or kind not in LINK_NAMES:
            raise ValidationError(
                f"output '{name}' doesn't end with one of {', '.join(LINK_NAMES)} but "
                f"with {last}, or other layers take it",
                attr="name",
            )
        self.graph.operations[place] = Affine(
            path=last.path,
            label=last.label,
            inputs=last.inputs,
            output=last.output,
            matrices=(None,),
        )
        for other, index in self.graph.outputs.items():
            if index == value:
                self.graph.links[other] = kind

    def known(self, value, mean, std):
        """
        Say what the model knows of a value; see ``statistics`` in `.ModelGraph`.

        Parameters
        ----------
        value : int
        mean, std : (size,) array_like
            Over the rows that the model was trained on.

        Raises
        ------
        nengo.exceptions.ValidationError
            If the sizes don't fit.
        """
        size = (self.size(value),)
        mean, std = (np.asarray(part, dtype=float) for part in (mean, std))
        if mean.shape != size or std.shape != size:
            raise ValidationError(
                f"mean and standard deviation of {size[0]} elements can't have the "
                f"shapes {mean.shape} and {std.shape}",
                attr="statistics",
            )
        self.graph.statistics[value] = mean, std

    def replaced(self, path, words):
        """Say what a layer is replaced by; see ``replaced`` in `.ModelGraph`."""
        self.graph.replaced[path] = words

    def affine(self, path, label, inputs, matrices, shape, constant=None, macs=0):
        """
        The sum of ``matrix @ input`` over some inputs, plus a constant.

        Parameters
        ----------
        path, label : str
            As in `.Operation`.
        inputs : list of int
        matrices : list of ((size, input size) ndarray or sparse matrix, or None)
            None is the identity.
        shape : tuple of int
            Of the value that it gives.
        constant : (size,) ndarray, optional
        macs : int, optional
            As in `.Affine`.

        Returns
        -------
        value : int

        Raises
        ------
        nengo.exceptions.ValidationError
            If the sizes don't fit.
        """
        size = int(np.prod(shape, dtype=int))
        for index, matrix in zip(inputs, matrices, strict=True):
            expected = (size, self.size(index))
            found = expected[:1] * 2 if matrix is None else matrix.shape
            if found != expected:
                raise ValidationError(
                    f"'{path}': a map from {expected[1]} to {size} elements can't have "
                    f"a matrix of shape {found}",
                    attr="matrices",
                )
        if constant is not None and np.shape(constant) != (size,):
            raise ValidationError(
                f"'{path}': must have the shape ({size},), got {np.shape(constant)}",
                attr="constant",
            )
        return self._add(
            Affine,
            path,
            label,
            inputs,
            shape,
            matrices=tuple(matrices),
            constant=constant,
            macs=macs,
        )

    def permuted(self, path, label, inputs, order, shape):
        """
        A value whose element ``i`` is element ``order[i]`` of the inputs together.

        Parameters
        ----------
        path, label : str
            As in `.Operation`.
        inputs : list of int
        order : (size,) array_like of int
            Places in the flattened inputs, one input's after the other's.
        shape : tuple of int

        Returns
        -------
        value : int
        """
        order = np.asarray(order).ravel()
        matrices, start = [], 0
        for value in inputs:
            (rows,) = np.nonzero((order >= start) & (order < start + self.size(value)))
            matrices.append(
                sparse.csr_matrix(
                    (np.ones(rows.size), (rows, order[rows] - start)),
                    shape=(order.size, self.size(value)),
                )
            )
            start += self.size(value)
        return self.affine(path, label, inputs, matrices, shape)

    def activation(self, path, label, value, kind, **parameters):
        """A function of each element; see `.Activation`. Returns its value."""
        return self._add(
            Activation,
            path,
            label,
            [value],
            self.shape(value),
            kind=kind,
            parameters=parameters,
        )

    def drop(self, path, label, value, rate, when=PLAIN, kind=BERNOULLI, groups=None):
        """
        Dropout of a value's elements; see `.Drop`.

        Parameters
        ----------
        path, label : str
            As in `.Operation`.
        value : int
        rate : float
        when, kind : str
            As in `.Drop`.
        groups : array_like of int, optional
            Of the value's shape, or flattened.

        Returns
        -------
        value : int

        Raises
        ------
        nengo.exceptions.ValidationError
            If ``kind`` is unknown, or there isn't a group for each element.
        """
        check_choice(kind, "kind", KINDS)
        if groups is not None:
            groups = check_groups(np.ravel(groups), self.size(value))
        return self._add(
            Drop,
            path,
            label,
            [value],
            self.shape(value),
            rate=rate,
            when=when,
            kind=kind,
            groups=groups,
        )

    def _add(self, operation_type, path, label, inputs, shape, **fields):
        output = self._value(shape, f"'{path}'")
        operation = operation_type(
            path=path, label=label, inputs=tuple(inputs), output=output, **fields
        )
        self.graph.operations.append(operation)
        return output

    def _value(self, shape, path="the input"):
        shape = tuple(int(size) for size in shape)
        self._n_elements += math.prod(shape)
        if self._n_elements > MAX_ELEMENTS:
            raise ValidationError(
                f"{path}: with its value, of shape {shape}, the model has more than "
                f"{MAX_ELEMENTS} elements, too many for a network of neurons; give a "
                "smaller model",
                attr="model",
            )
        self.graph.shapes.append(shape)
        return len(self.graph.shapes) - 1
