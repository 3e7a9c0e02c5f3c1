"""What a Keras model becomes when it is converted, in words."""

import nengo
import numpy as np

from nengo_permadrop.converter import Converter

N_VERIFIED = 5


def describe_conversion(kmodel, target="nengo"):
    """
    Convert a Keras model, verify the conversion, and describe it.

    Parameters
    ----------
    kmodel : `keras.Model`
    target : {"nengo", "loihi"}, optional
        Where the spiking network shall run.

    Returns
    -------
    description : str
        Several lines: what each layer became, counts, and the error found when the
        rate network was compared with Keras on random observations.

    Raises
    ------
    nengo_permadrop.ConversionError
        If the model can't be converted, or the conversion computes something else.
    """
    with nengo.Network(seed=0):
        conv = Converter(kmodel, target=target)
    rng = np.random.RandomState(0)
    error = conv.verify(
        {
            name: rng.standard_normal((N_VERIFIED, *conv.graph.shapes[index]))
            for name, index in conv.graph.inputs.items()
        }
    )
    dropouts = {dropout.path: dropout for dropout in conv.dropouts}
    rows = [("LAYER", "KERAS CLASS", "BECOMES")]
    for call in conv.graph.calls:
        rows.append((call.path, call.spec.class_name, _became(conv, call, dropouts)))
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}" for a, b, c in rows]
    lines += [
        "",
        f"{len(conv.all_ensembles)} layers of neurons, {conv.n_neurons} neurons, "
        f"{len(conv.dropouts)} permanent dropouts",
        f"verified: without spikes it differs from Keras by {error:.1g} at the most, "
        f"on {N_VERIFIED} random observations",
    ]
    return "\n".join(lines)


def _became(conv, call, dropouts):
    if call.path in dropouts:
        dropout = dropouts[call.path]
        return f"permanent dropout of {dropout.size} units, rate {dropout.rate:g}"
    obj = conv.layers[call.path]
    if isinstance(obj, nengo.ensemble.Neurons) and obj.ensemble.label == call.path:
        return f"{obj.size_out} {type(obj.ensemble.neuron_type).__name__} neurons"
    return "weights and biases" if call.spec.weights else "wiring"
