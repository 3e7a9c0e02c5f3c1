"""
A Keras model as a neutral graph.

What each layer is in it, is in `nengo_permadrop.sources.keras.converters`, a function a
layer, registered under the layer's class name. It takes the graph that is being
written, the layer's call and the values that it takes, and returns the value that the
layer gives. To add a layer, add a function there, a test, and a line in CHANGES.rst;
packages add theirs as entry points in the group "nengo_permadrop.keras_layers".
"""

from nengo_permadrop.graph.writer import GraphWriter
from nengo_permadrop.sources.keras.activations import links_of
from nengo_permadrop.sources.keras.converters import (  # noqa: F401 they register
    activation,
    arithmetic,
    convolution,
    dense,
    dropout,
    merging,
    normalization,
    pooling,
    shapes,
)
from nengo_permadrop.sources.keras.pools import is_replaced
from nengo_permadrop.sources.keras.table import (
    WeightsError,
    check_class,
    check_options,
    register_layer,
    weight,
    weight_names,
    write_call,
)
from nengo_permadrop.sources.operators.functions import check_only_links
from nengo_permadrop.sources.operators.pools import WORDS

__all__ = [
    "WeightsError",
    "check_class",
    "check_options",
    "neutral",
    "register_layer",
    "weight",
    "weight_names",
]


def neutral(model):
    """
    A Keras model as a neutral graph.

    Parameters
    ----------
    model : `.KerasGraph`
        Of which the shapes of the inputs are known.

    Returns
    -------
    graph : `.ModelGraph`

    Raises
    ------
    ConversionError
        If a layer, or something about it, is not supported.
    """
    writer = GraphWriter()
    values = {
        index: writer.input(name, model.shapes[index])
        for name, index in model.inputs.items()
    }
    for call in model.calls:
        taken = [values[index] for index in call.inputs]
        values[call.output] = write_call(writer, call, taken)
        if is_replaced(call.spec):
            writer.replaced(call.path, WORDS)
    for name, index in model.outputs.items():
        writer.output(name, values[index])
    for name in links_of(model):
        if name not in writer.graph.links:  # which it is of all outputs of that value
            writer.link(name)
    check_only_links(writer.graph)
    return writer.graph
