"""
A model as plain data: its operations, and how values flow through them.

There are three kinds of operations: `Affine` maps, `Activation` functions, and `Drop`,
which drops units. A source says everything about its layers with these, so that what
comes after it needs no source, in this process or in a worker.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from nengo_permadrop.graph.dropouts import BERNOULLI, PLAIN, is_permanent


@dataclass(frozen=True, eq=False, kw_only=True)
class Operation:
    """
    What makes a value of other values.

    Attributes
    ----------
    path : str
        Unique name of the layer, or of one use of it: the layer's name, behind the
        names of the models that it is nested in; a model or layer used several times is
        numbered (``drug_encoder[1]/dense_2``). Operations of one layer share it.
    label : str
        What the source calls such a layer, for messages.
    inputs : tuple of int
        Indices into `ModelGraph.shapes` of the values that it takes.
    output : int
        Index of the value that it gives.
    """

    path: str
    label: str
    inputs: tuple
    output: int

    def __str__(self):
        return f"layer '{self.path}' ({self.label})"


@dataclass(frozen=True, eq=False, kw_only=True)
class Affine(Operation):
    """
    A sum of linear maps of values, and a constant.

    Attributes
    ----------
    matrices : tuple of ((output size, input size) ndarray or sparse matrix, or None)
        One for each input; None is the identity. Values are flattened in C order.
    constant : (output size,) ndarray or None
        None is zero.
    macs : int
        Multiply-accumulates that the classical network needs for it.
    """

    matrices: tuple
    constant: Any = None
    macs: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Activation(Operation):
    """
    A function of each element of a value.

    Attributes
    ----------
    kind : str
        A name that `nengo_permadrop.neurons.activations` knows.
    parameters : {str: float, str or (size,) ndarray}
        Of the function, as registered there.
    """

    kind: str
    parameters: dict = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Drop(Operation):
    """
    Dropout of a value's elements.

    Attributes
    ----------
    rate : float
        Probability that an element is dropped, in [0, 1); those that are kept are
        multiplied by ``1 / (1 - rate)``.
    kind : {"bernoulli", "gaussian", "alpha"}
        What it does: drop elements so; multiply them by ``1 + N(0, rate / (1 -
        rate))``; or put another value in place of those that are dropped, see
        `nengo_permadrop.graph.dropouts.alpha_terms`.
    groups : (size,) ndarray of int or None
        Elements with the same number are dropped together; None: each by itself.
    when : {"always", "never", "plain"}
        Whether it drops units at prediction time: it does, it doesn't, or it does if
        plain dropout is said to be permanent; see `nengo_permadrop.graph.dropouts`.
    """

    rate: float
    when: str = PLAIN
    kind: str = BERNOULLI
    groups: Any = None

    def permanent_rate(self, dropout):
        """
        The probability that it drops an element at prediction time.

        Parameters
        ----------
        dropout : {"permanent", "off", "all-off"} or {str: str}
            As in `.Converter`; checked by
            `nengo_permadrop.graph.dropouts.check_dropout`.

        Returns
        -------
        rate : float
        """
        return self.rate if is_permanent(self.path, self.when, dropout) else 0.0


@dataclass
class ModelGraph:
    """
    A model without the library that it was written in.

    Attributes
    ----------
    shapes : list of tuple of int
        Shape of each value, without the batch axis.
    operations : list of `Operation`
        In an order in which they can be computed.
    inputs, outputs : {str: int}
        Values that are the model's inputs and outputs, in the model's order.
    statistics : {int: (mean, std)}
        What the model itself knows of the values that it was trained on: mean and
        standard deviation of a value's elements, each a (size,) ndarray. Batch
        normalisation has those of its input.
    links : {str: str}
        What the model makes of some of its outputs, by name: one of
        ``nengo_permadrop.graph.links.LINK_NAMES``. The values in ``outputs`` are those
        before.
    replaced : {str: str}
        What it computes in place of something else that the model does, in words, by
        the path of the layer.
    """

    shapes: list = field(default_factory=list)
    operations: list = field(default_factory=list)
    inputs: dict = field(default_factory=dict)
    outputs: dict = field(default_factory=dict)
    statistics: dict = field(default_factory=dict)
    links: dict = field(default_factory=dict)
    replaced: dict = field(default_factory=dict)

    def size(self, value):
        """Number of elements of a value."""
        return math.prod(self.shapes[value])

    @property
    def input_shapes(self):
        """Shape of one observation of each input, ``{name: tuple of int}``."""
        return {name: self.shapes[index] for name, index in self.inputs.items()}

    @property
    def dropout_paths(self):
        """Paths of the dropouts, permanent or not, a list of str."""
        return [each.path for each in self.operations if isinstance(each, Drop)]

    def by_path(self):
        """The operations of each layer, ``{path: list of Operation}``, in order."""
        layers = {}
        for operation in self.operations:
            layers.setdefault(operation.path, []).append(operation)
        return layers
