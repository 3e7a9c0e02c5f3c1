"""What a Keras model becomes when it is converted, in words."""

import nengo
import numpy as np

from nengo_permadrop.converter.network import Converter
from nengo_permadrop.support.isolation import own_network

N_VERIFIED = 5


def conversion_facts(kmodel, target="nengo"):
    """
    Convert a Keras model, verify the conversion, and tell what became of what.

    Parameters
    ----------
    kmodel : `keras.Model`
    target : {"nengo", "loihi"}, optional
        Where the spiking network shall run.

    Returns
    -------
    facts : dict
        "layers", a list of dicts of "layer", "keras_class" and "becomes" (words);
        "neuron_layers", "neurons" and "dropouts", their numbers;
        "verification_error", the largest difference from Keras without spikes, on
        "verified_observations" random observations; "target".

    Raises
    ------
    nengo_permadrop.ConversionError
        If the model can't be converted, or the conversion computes something else.
    """
    with own_network(0):
        conv = Converter(kmodel, target=target)
    rng = np.random.RandomState(0)
    error = conv.verify(
        {
            name: rng.standard_normal((N_VERIFIED, *conv.graph.shapes[index]))
            for name, index in conv.graph.inputs.items()
        }
    )
    dropouts = {dropout.path: dropout for dropout in conv.dropouts}
    return {
        "target": target,
        "layers": [
            {
                "layer": call.path,
                "keras_class": call.spec.class_name,
                "becomes": _became(conv, call, dropouts),
            }
            for call in conv.graph.calls
        ],
        "neuron_layers": len(conv.all_ensembles),
        "neurons": conv.n_neurons,
        "dropouts": len(conv.dropouts),
        "verification_error": float(error),
        "verified_observations": N_VERIFIED,
    }


def in_words(facts):
    """The facts of `conversion_facts` as several lines of text."""
    rows = [("LAYER", "KERAS CLASS", "BECOMES")]
    rows += [tuple(layer.values()) for layer in facts["layers"]]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}" for a, b, c in rows]
    lines += [
        "",
        f"{facts['neuron_layers']} layers of neurons, {facts['neurons']} neurons, "
        f"{facts['dropouts']} permanent dropouts",
        f"verified: without spikes it differs from Keras by "
        f"{facts['verification_error']:.1g} at the most, on "
        f"{facts['verified_observations']} random observations",
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
