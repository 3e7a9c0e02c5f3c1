"""Does a converted network compute what the Keras model computes?"""

import nengo
import numpy as np

from nengo_permadrop.converter.errors import ConversionError
from nengo_permadrop.converter.reference import KerasForward, rate_twin
from nengo_permadrop.inputs import match_inputs
from nengo_permadrop.validation import check_number

# A power of two: with times that are exact in any precision that Nengo is set to, each
# step shows the next observation
_DT = 2.0**-10


def verify(conv, X, tolerance):
    """See `.Converter.verify`."""
    tolerance = check_number(tolerance, "tolerance", 0)
    if conv.kmodel is None:
        raise ConversionError(
            str(conv),
            "has no Keras model to compare with (it was made from a graph, or sent to "
            "another process)",
            "Verify where the model was converted",
        )
    shapes = {name: conv.graph.shapes[i] for name, i in conv.graph.inputs.items()}
    inputs = match_inputs(X, shapes)
    forward = KerasForward(conv.kmodel, dropout=conv.dropout, smooth=True)
    n = len(inputs[0])
    masks = [np.tile(dropout.keep(), (n, 1)) for dropout in conv.dropouts]
    worst = 0.0
    for keras_masks, what in ((None, "without dropout"), (masks, "with its masks")):
        expected = forward(inputs, keras_masks)
        actual = _rate_network(conv, inputs, dropping=keras_masks is not None)
        for name, y, x in zip(conv.outputs, expected, actual):
            y = y.reshape(n, -1)
            errors = np.abs(y - x) / max(1.0, np.abs(y).max())
            error = errors.max()
            if not error <= tolerance:  # NaN is not
                row, unit = np.unravel_index(np.argmax(errors), errors.shape)
                raise ConversionError(
                    f"output '{name}'",
                    f"the converted network, {what}, differs from Keras by {error:.2g} "
                    f"of the largest output, at observation {row}, unit {unit}: "
                    f"{x[row, unit]:.6g} instead of {y[row, unit]:.6g}",
                    f"The tolerance is {tolerance:g}. If the weights of the Keras "
                    "model have changed since, convert it again",
                )
            worst = max(worst, float(error))
    return worst


def _rate_network(conv, inputs, dropping):
    """Outputs of the same network in rate neurons, (n_observations, size) each."""
    with nengo.Network(seed=0) as net:
        twin = rate_twin(conv, smooth=True)
        probes = [nengo.Probe(node) for node in twin.outputs.values()]
        for x, node in zip(inputs, twin.inputs.values()):
            x = x.reshape(len(x), -1)
            stimulus = nengo.Node(nengo.processes.PresentInput(x, _DT))
            nengo.Connection(stimulus, node, synapse=None)
    for dropout, original in zip(twin.dropouts, conv.dropouts):
        for mask, original_mask in zip(dropout.masks, original.masks):
            for conn in mask.connections:
                conn.seed = original_mask.seed
                if not dropping:
                    base = conn.transform.init.base
                    conn.transform = nengo.Dense(conn.transform.shape, init=base)
    with nengo.Simulator(net, dt=_DT, progress_bar=False) as sim:
        sim.run_steps(len(inputs[0]), progress_bar=False)
    return [sim.data[probe] for probe in probes]
