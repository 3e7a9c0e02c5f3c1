"""
Small networks that every backend must answer alike.

For tests of backends, ours and others': the same seed must give the same draws on each.
The networks are given as `.ModelGraph`, so that nothing here needs Keras::

    conv = npd.Converter(testing.NETWORKS["combo"]())
    X = testing.observations(conv.graph, 4)
    ours = npd.sample(conv, X, n_draws=10, backend="mine", seed=0)
    reference = npd.sample(conv, X, n_draws=10, backend="nengo", seed=0)
"""

import numpy as np

from nengo_permadrop.sources.keras.reader import LayerCall, LayerSpec, ModelGraph


class GraphBuilder:
    """
    Writes a `.ModelGraph` layer by layer, with random weights.

    Parameters
    ----------
    rate : float, optional
        Dropout rate of hidden layers.
    target : {"nengo", "loihi"}, optional
        Whose rate curve the SoftLIF layers have.
    seed : int, optional
        Of the weights.
    """

    def __init__(self, rate=0.3, target="nengo", seed=0):
        self.graph = ModelGraph()
        self.rate = rate
        self.target = target
        self.rng = np.random.RandomState(seed)

    def input(self, name, size):
        """A new input; returns its value."""
        self.graph.inputs[name] = self._value(size)
        return self.graph.inputs[name]

    def hidden(self, value, units):
        """Dense weights (He, bias 0.2), SoftLIF, and permanent dropout."""
        value = self.call("SoftLIF", [self.dense(value, units, 0.2)], units, self._lif)
        return self.call("PermanentDropout", [value], units, {"rate": self.rate})

    def dense(self, value, units, bias=0.0):
        """Dense weights."""
        size = self.graph.size(value)
        weights = {
            "kernel": self.rng.randn(size, units) * np.sqrt(2.0 / size),
            "bias": np.full(units, bias),
        }
        return self.call("Dense", [value], units, {"activation": "linear"}, weights)

    def call(self, class_name, values, size, config, weights=None):
        """A layer of any class that the Converter knows; returns its value."""
        name = f"{class_name.lower()}_{len(self.graph.calls)}"
        spec = LayerSpec(name, class_name, config, weights or {})
        output = self._value(size)
        self.graph.calls.append(LayerCall(name, spec, tuple(values), output, {}))
        return output

    def finish(self, value):
        """A linear output of one unit; returns the graph."""
        self.graph.outputs["y"] = self.dense(value, 1)
        return self.graph

    @property
    def _lif(self):
        names = ("gain", "amplitude", "gamma", "tau_rc", "tau_ref")
        values = (2.0, 0.01, 0.02, 0.02, 0.002)
        return {**dict(zip(names, values)), "target": self.target}

    def _value(self, size):
        self.graph.shapes.append((size,))
        return len(self.graph.shapes) - 1


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
    value = builder.call("Concatenate", encoded, 90, {"axis": -1})
    return builder.finish(builder.hidden(value, 30))


def residual(**kwargs):
    """A dropout layer with two consumers, one of them past the next layer."""
    builder = GraphBuilder(**kwargs)
    first = builder.hidden(builder.input("x", 6), 30)
    second = builder.hidden(first, 30)
    return builder.finish(builder.call("Add", [first, second], 30, {}))


NETWORKS = {"mlp": mlp, "combo": combo, "residual": residual}


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
