"""What the classical network computes for a predictive distribution."""

from dataclasses import dataclass

from nengo_permadrop.graph.graph import Activation, Affine, Drop


@dataclass(frozen=True)
class ClassicalCounts:
    """
    Operations of the classical network.

    What lies before the first dropout is the same for all draws of an observation, and
    is computed once.

    Attributes
    ----------
    shared_macs, macs : int
        Multiply-accumulates of dense layers: once an observation, and for each draw.
    shared_activations, activations : int
        Values that go through a nonlinearity, likewise.
    """

    shared_macs: int
    macs: int
    shared_activations: int
    activations: int

    def joules(self, device, n_draws):
        """Energy of ``n_draws`` draws of one observation on a `.Device`: (dense
        products, activations)."""
        return (
            device.synapse * (self.shared_macs + n_draws * self.macs),
            device.neuron * (self.shared_activations + n_draws * self.activations),
        )


def classical_counts(graph, dropout, activations):
    """
    Count what the classical network computes.

    Parameters
    ----------
    graph : `.ModelGraph`
    dropout
        As in `.Converter`.
        As in `.Converter`.
    activations : {str: int}
        Number of units of the calls that are nonlinear, by path.

    Returns
    -------
    counts : `ClassicalCounts`
    """
    random = set()  # values that differ between draws
    macs, units = {True: 0, False: 0}, {True: 0, False: 0}
    for operation in graph.operations:
        differs = any(index in random for index in operation.inputs)
        if isinstance(operation, Affine):
            macs[differs] += operation.macs
        if isinstance(operation, Activation):
            units[differs] += activations.get(operation.path, 0)
        drops = isinstance(operation, Drop) and operation.permanent_rate(dropout) > 0
        if differs or drops:
            random.add(operation.output)
    return ClassicalCounts(macs[False], macs[True], units[False], units[True])
