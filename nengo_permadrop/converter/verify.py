"""Does a converted network compute what its model computes?"""

import nengo
import numpy as np

from nengo_permadrop.converter.twins import rate_twin
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.neurons.activations import (
    activate,
    activate_neurons,
    approximations,
)
from nengo_permadrop.sources.forward import GraphForward
from nengo_permadrop.sources.registry import source_of
from nengo_permadrop.support.inputs import match_inputs
from nengo_permadrop.support.isolation import building, own_network
from nengo_permadrop.support.validation import check_number

# A power of two: with times that are exact in any precision that Nengo is set to, each
# step shows the next observation
_DT = 2.0**-10

# What half precision may change, relative to the largest output: 128 and 32 units in
# the last place. Six layers of 200 units came to 0.03 in both
HALF_TOLERANCE = {"float16": 128 * 2.0**-10, "bfloat16": 32 * 2.0**-7}


def verify(conv, X, tolerance):
    """
    Check that a network computes what its model computes; see `.Converter.verify`.

    Returns
    -------
    error : float
        As there.
    approximated : float
        The largest difference that approximated activations make, in the same terms.
    """
    tolerance = check_number(tolerance, "tolerance", 0)
    if conv.model is None:
        raise ConversionError(
            str(conv),
            "has no model to compare with (it was made from a graph, or sent to "
            "another process)",
            "Verify where the model was converted",
        )
    inputs = match_inputs(X, conv.graph.input_shapes)
    source = source_of(conv.model)
    options = {"dropout": conv.dropout, "smooth": True}
    if conv.graph.replaced:
        options["max_to_avg_pool"] = True
    own = single = source.forward(conv.model, **options)
    half = getattr(own, "half", None)
    if half is not None:
        single = source.forward(conv.model, single=True, **options)
    n = len(inputs[0])
    masks = [np.tile(dropout.drawn(), (n, 1)) for dropout in conv.dropouts]
    worst = approximated = 0.0
    for given, what in ((None, "without dropout"), (masks, "with its masks")):
        expected = single(inputs, given)
        if half is not None:
            rounded = own(inputs, given)
            _check_rounding(conv, own.title, half, rounded, expected)
        actual = _rate_network(conv, inputs, dropping=given is not None)
        known = _approximated(conv, inputs, given)
        for name, y, x, off in zip(conv.outputs, expected, actual, known):
            errors = _relative(x - off, y)
            error = errors.max()
            if not error <= tolerance:  # NaN is not
                row, unit = np.unravel_index(np.argmax(errors), errors.shape)
                found, wanted = x[row, unit], y.reshape(n, -1)[row, unit]
                raise ConversionError(
                    f"output '{name}'",
                    f"the converted network, {what}, differs from {own.title} by "
                    f"{error:.2g} of the largest output, at observation {row}, unit "
                    f"{unit}: {found:.6g} instead of {wanted:.6g}",
                    f"The tolerance is {tolerance:g}{_beside(conv)}. If the model's "
                    "weights have changed since, convert it again",
                )
            worst = max(worst, float(error))
            approximated = max(
                approximated, float(_relative(y.reshape(n, -1) + off, y).max())
            )
    return worst, approximated


def _beside(conv):
    return ", beside what approximations change" if approximations(conv.graph) else ""


def _approximated(conv, inputs, masks):
    """
    What approximated activations change of the answers, by NumPy.

    That each is within its bound is checked on the way.

    Returns
    -------
    differences : list of (n_observations, size) ndarray
        For each output.
    """
    if not approximations(conv.graph):
        return [0.0] * len(conv.outputs)
    near, exact = (
        GraphForward(conv.graph, conv.dropout, smooth=True, activate=function)
        for function in (activate_neurons, activate)
    )
    return [
        (a.astype(float) - b).reshape(len(a), -1)
        for a, b in zip(near(inputs, masks), exact(inputs, masks))
    ]


def _relative(answers, expected):
    """Differences, relative to the largest output where that is greater than 1."""
    expected = np.asarray(expected, dtype=float).reshape(len(expected), -1)
    answers = np.asarray(answers, dtype=float).reshape(expected.shape)
    return np.abs(expected - answers) / max(1.0, np.abs(expected).max())


def _check_rounding(conv, title, dtype, rounded, expected):
    """Raise if the model's answers in half precision differ from those in float32."""
    limit = HALF_TOLERANCE[dtype]
    for name, y, x in zip(conv.outputs, expected, rounded):
        error = _relative(x, y).max()
        if not error <= limit:
            raise ConversionError(
                f"output '{name}'",
                f"{title}'s own answers in {dtype} are off by {error:.2g} of the "
                f"largest output from those of the same layers in float32; {limit:g} "
                "at most is taken for rounding",
                "Smaller values may help, or a model that computes in float32 "
                "(mixed_bfloat16 if float16 overflows)",
            )


def _rate_network(conv, inputs, dropping):
    """Outputs of the same network in rate neurons, (n_observations, size) each."""
    with own_network(0) as net:
        twin = rate_twin(conv, smooth=True, dropout=None if dropping else "all-off")
        probes = [nengo.Probe(node) for node in twin.outputs.values()]
        for x, node in zip(inputs, twin.inputs.values()):
            x = x.reshape(len(x), -1)
            stimulus = nengo.Node(nengo.processes.PresentInput(x, _DT))
            nengo.Connection(stimulus, node, synapse=None)
    for dropout, original in zip(twin.dropouts, conv.dropouts):
        for mask, original_mask in zip(dropout.masks, original.masks):
            for conn in mask.connections:
                conn.seed = original_mask.seed
    with building():
        sim = nengo.Simulator(net, dt=_DT, progress_bar=False, optimize=False)
    with sim:
        sim.run_steps(len(inputs[0]), progress_bar=False)
    return [sim.data[probe] for probe in probes]
