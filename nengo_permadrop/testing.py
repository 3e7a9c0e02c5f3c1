"""
Small networks that every backend must answer alike.

For tests of backends, ours and others': the same seed must give the same draws on each.
The networks are given as `.ModelGraph`, so that nothing here needs a source::

    conv = npd.Converter(testing.NETWORKS["combo"]())
    X = testing.observations(conv.graph, 4)
    ours = npd.sample(conv, X, n_draws=10, backend="mine", seed=0)
    reference = npd.sample(conv, X, n_draws=10, backend="nengo", seed=0)
"""

import numpy as np
from scipy import sparse

from nengo_permadrop.graph.dropouts import ALWAYS
from nengo_permadrop.graph.writer import GraphWriter


class GraphBuilder:
    """
    Writes a `.ModelGraph` layer by layer, with random weights.

    Parameters
    ----------
    rate : float, optional
        Dropout rate of hidden layers.
    target : str, optional
        Whose rate curve the SoftLIF layers have.
    seed : int, optional
        Of the weights.
    """

    def __init__(self, rate=0.3, target="nengo", seed=0):
        self.writer = GraphWriter()
        self.rate = rate
        self.curve = {} if target == "nengo" else {"curve": target}
        self.rng = np.random.RandomState(seed)

    def input(self, name, size):
        """A new input; returns its value."""
        return self.writer.input(name, (size,))

    def image(self, name, shape):
        """A new input, ``(height, width, channels)``; returns its value."""
        return self.writer.input(name, shape)

    def hidden(self, value, units):
        """Dense weights (He, bias 0.2), SoftLIF, and permanent dropout."""
        value = self.dense(value, units, 0.2)
        value = self.writer.activation(
            *self._named("SoftLIF"), value, "softlif", **self.curve
        )
        return self.dropped(value)

    def dense(self, value, units, bias=0.0):
        """Dense weights."""
        size = self.writer.size(value)
        kernel = self.rng.randn(size, units) * np.sqrt(2.0 / size)
        return self.writer.affine(
            *self._named("Dense"),
            [value],
            [kernel.T],
            (units,),
            constant=np.full(units, bias),
            macs=kernel.size,
        )

    def convolution(self, value, channels):
        """3 x 3 convolution (He, bias 0.2) that keeps the size, and SoftLIF."""
        height, width, inputs = self.writer.shape(value)
        kernel = self.rng.randn(3, 3, channels, inputs) * np.sqrt(2.0 / (9 * inputs))
        rows, columns = (
            [sparse.eye(size, k=k) for k in (-1, 0, 1)] for size in (height, width)
        )
        matrix = sum(
            sparse.kron(sparse.kron(rows[y], columns[x]), kernel[y, x])
            for y in range(3)
            for x in range(3)
        )
        shape = height, width, channels
        value = self.writer.affine(
            *self._named("Conv2D"),
            [value],
            [matrix.tocsr()],
            shape,
            constant=np.full(height * width * channels, 0.2),
            macs=matrix.nnz,
        )
        return self.writer.activation(
            *self._named("SoftLIF"), value, "softlif", **self.curve
        )

    def pooled(self, value):
        """Averages of 2 x 2 places, flattened."""
        height, width, channels = self.writer.shape(value)
        rows, columns = (
            sparse.kron(sparse.eye(size // 2), [[0.5, 0.5]]) for size in (height, width)
        )
        matrix = sparse.kron(sparse.kron(rows, columns), sparse.eye(channels)).tocsr()
        shape = (matrix.shape[0],)
        return self.writer.affine(
            *self._named("AveragePooling2D"), [value], [matrix], shape
        )

    def dropped(self, value, groups=None):
        """Permanent dropout."""
        return self.writer.drop(
            *self._named("PermanentDropout"),
            value,
            self.rate,
            when=ALWAYS,
            groups=groups,
        )

    def concatenated(self, values):
        """Vectors, one after the other."""
        size = sum(self.writer.size(value) for value in values)
        return self.writer.permuted(
            *self._named("Concatenate"), values, np.arange(size), (size,)
        )

    def added(self, values):
        """The sum of values of one shape."""
        shape = self.writer.shape(values[0])
        matrices = [None] * len(values)
        return self.writer.affine(*self._named("Add"), values, matrices, shape)

    def finish(self, value):
        """A linear output of one unit; returns the graph."""
        self.writer.output("y", self.dense(value, 1))
        return self.writer.graph

    def _named(self, label):
        number = len(self.writer.graph.operations)
        return f"{label.lower()}_{number}", label


def mlp(**kwargs):
    """Two hidden layers, one after the other."""
    builder = GraphBuilder(**kwargs)
    value = builder.input("x", 6)
    for _ in range(2):
        value = builder.hidden(value, 40)
    return builder.finish(value)


def combo(**kwargs):
    """Three inputs, an encoder each, their values concatenated."""
    builder = GraphBuilder(**kwargs)
    encoded = [
        builder.hidden(builder.input(name, size), 30)
        for name, size in (("cell", 5), ("drug1", 4), ("drug2", 4))
    ]
    value = builder.concatenated(encoded)
    return builder.finish(builder.hidden(value, 30))


def residual(**kwargs):
    """A dropout layer with two consumers, one of them past the next layer."""
    builder = GraphBuilder(**kwargs)
    first = builder.hidden(builder.input("x", 6), 30)
    second = builder.hidden(first, 30)
    return builder.finish(builder.added([first, second]))


def convolutional(side=10, channels=3, **kwargs):
    """
    Two convolutions of an image, then averages.

    Channels are dropped after the first convolution, as by spatial dropout, and units
    after the averages. Weights are sparse matrices where the target has them.
    """
    builder = GraphBuilder(**kwargs)
    value = builder.image("x", (side, side, 1))
    value = builder.convolution(value, channels)
    value = builder.dropped(value, np.arange(side * side * channels) % channels)
    value = builder.pooled(builder.convolution(value, channels))
    return builder.finish(builder.dropped(value))


NETWORKS = {
    "mlp": mlp,
    "combo": combo,
    "residual": residual,
    "convolutional": convolutional,
}


def observations(graph, n, seed=0):
    """
    Random rows for each input of a graph.

    Parameters
    ----------
    graph : `.ModelGraph`
    n : int
        Number of observations.
    seed : int, optional

    Returns
    -------
    X : {str: (n, size) ndarray}
    """
    rng = np.random.RandomState(seed)
    return {
        name: rng.randn(n, graph.size(value)) for name, value in graph.inputs.items()
    }
