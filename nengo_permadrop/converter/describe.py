"""What a model becomes when it is converted, in words."""

import textwrap
from dataclasses import asdict

import nengo
import numpy as np
from scipy import sparse

from nengo_permadrop.converter.network import Converter
from nengo_permadrop.converter.rate_table import rate_table
from nengo_permadrop.converter.report import LayerReport
from nengo_permadrop.converter.reporting import rounded_up
from nengo_permadrop.converter.verify import verify
from nengo_permadrop.graph.graph import Activation, Affine
from nengo_permadrop.neurons.activations import activation_neurons
from nengo_permadrop.support.isolation import own_network

N_VERIFIED, TOLERANCE = 5, 1e-4

_MADE_UP = "by theory, for inputs of mean 0 and variance 1"


def conversion_facts(model, target="nengo", *, max_to_avg_pool=False):
    """
    Convert a model, verify the conversion, and tell what became of what.

    Parameters
    ----------
    model : `keras.Model`
        Or any other that `.Converter` takes.
    target : {"nengo", "loihi"}, optional
        Where the spiking network shall run.
    max_to_avg_pool : bool, optional
        As in `.Converter`.

    Returns
    -------
    facts : dict
        "layers", a list of dicts of "layer", "class" and "becomes" (words);
        "neuron_layers", "neurons" and "dropouts", their numbers;
        "verification_error", the largest difference from the model without spikes, on
        "verified_observations" random observations, beside "approximation_error", that
        which approximated activations make; "activations", a list of dicts of
        "kind", "units", "neurons" and "error", the largest of an activation for any
        input; "links", what outputs end with; "target"; "rates", the
        `.LayerReport` of each layer of neurons, as dicts, for made-up rows; "bias" and
        "warnings", as in `.ConversionReport`.

    Raises
    ------
    nengo_permadrop.ConversionError
        If the model can't be converted, or the conversion computes something else.
    """
    with own_network(0):
        conv = Converter(model, target=target, max_to_avg_pool=max_to_avg_pool)
    rng = np.random.RandomState(0)
    rows = {
        name: rng.standard_normal((N_VERIFIED, *shape))
        for name, shape in conv.graph.input_shapes.items()
    }
    error, approximated = verify(conv, rows, TOLERANCE)
    dropouts = {dropout.path: dropout for dropout in conv.dropouts}
    report = conv.report()
    return {
        "target": target,
        "layers": [
            {
                "layer": path,
                "class": operations[0].label,
                "becomes": _became(conv, path, operations, dropouts),
            }
            for path, operations in conv.graph.by_path().items()
        ],
        "neuron_layers": len(conv.all_ensembles),
        "neurons": conv.n_neurons,
        "dropouts": len(conv.dropouts),
        "verification_error": error,
        "approximation_error": approximated,
        "verified_observations": N_VERIFIED,
        "activations": _costs(conv.graph),
        "links": conv.links,
        "rates": [asdict(layer) for layer in report.layers],
        "bias": report.bias,
        "warnings": list(report.warnings),
    }


def in_words(facts):
    """The facts of `conversion_facts` as several lines of text."""
    rows = [("LAYER", "CLASS", "BECOMES")]
    rows += [tuple(layer.values()) for layer in facts["layers"]]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}" for a, b, c in rows]
    if facts["activations"]:
        lines += ["", *_cost_table(facts["activations"])]
    lines += [
        f"output '{name}' ends with {kind}, which is applied to what is read"
        for name, kind in facts["links"].items()
    ]
    lines += [
        "",
        f"{facts['neuron_layers']} layers of neurons, {facts['neurons']} neurons, "
        f"{facts['dropouts']} permanent dropouts",
        f"verified: without spikes it differs from the model by "
        f"{facts['verification_error']:.1g} at the most, on "
        f"{facts['verified_observations']} random observations",
    ]
    if any(each["error"] for each in facts["activations"]):
        lines.append(
            f"beside {facts['approximation_error']:.1g} that approximated activations "
            "change"
        )
    if facts["rates"]:
        layers = [LayerReport(**layer) for layer in facts["rates"]]
        lines += ["", f"Firing rates, {_MADE_UP}:", *rate_table(layers)]
    if facts["warnings"]:
        lines += ["", f"Warnings, {_MADE_UP}:"]
    for warning in facts["warnings"]:
        lines += textwrap.wrap(warning, 79, initial_indent="- ", subsequent_indent="  ")
    return "\n".join(lines)


def _costs(graph):
    """What the activations of each kind take, a list of dicts; the dearest first."""
    found = {}
    for operation in graph.operations:
        if not isinstance(operation, Activation):
            continue
        neurons = activation_neurons(operation.kind, 1.0, **operation.parameters)
        key = operation.kind, neurons.per_unit
        empty = {"kind": operation.kind, "units": 0, "neurons": 0, "error": 0.0}
        cost, units = found.setdefault(key, empty), graph.size(operation.output)
        cost["units"] += units
        cost["neurons"] += units * neurons.per_unit
        cost["error"] = max(cost["error"], neurons.error)
    return sorted(found.values(), key=lambda cost: -cost["neurons"])


def _cost_table(costs):
    rows = [("ACTIVATION", "UNITS", "NEURONS", "A UNIT", "OFF BY AT MOST")]
    for cost in costs:
        off = f"{rounded_up(cost['error']):g}" if cost["error"] else "exact"
        numbers = cost["units"], cost["neurons"], cost["neurons"] // cost["units"]
        rows.append((cost["kind"], *map(str, numbers), off))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for kind, *others in rows:
        cells = [each.rjust(width) for each, width in zip(others, widths[1:])]
        yield "  ".join([kind.ljust(widths[0]), *cells])


def _became(conv, path, operations, dropouts):
    if path in dropouts:
        dropout = dropouts[path]
        return f"permanent {dropout.words}"
    obj = conv.layers[path]
    if isinstance(obj, nengo.ensemble.Neurons) and obj.ensemble.label == path:
        units = sum(
            conv.graph.size(each.output)
            for each in operations
            if isinstance(each, Activation)
        )
        several = f" ({obj.size_out // units} a unit)" if obj.size_out > units else ""
        name = type(obj.ensemble.neuron_type).__name__
        return f"{obj.size_out} {name} neurons{several}"
    return "wiring" if all(map(_is_wiring, operations)) else "weights and biases"


def _is_wiring(operation):
    """Whether it only hands on, reorders or adds values."""
    if not isinstance(operation, Affine):
        return True
    return operation.constant is None and all(
        matrix is None or (sparse.issparse(matrix) and np.all(matrix.data == 1))
        for matrix in operation.matrices
    )
