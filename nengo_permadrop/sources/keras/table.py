"""
The table of Keras layers: which function writes which layer into the neutral graph.

Functions are registered under class names, by the modules of
`nengo_permadrop.sources.keras.converters` and by packages, as entry points in the group
"nengo_permadrop.keras_layers".
"""

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.refusals import REFUSED
from nengo_permadrop.support.registry import Registry

_LAYERS = Registry("layer", "nengo_permadrop.keras_layers")
_WEIGHTS = {}


def register_layer(*class_names, weights=None):
    """Register what Keras layers with these class names are in the graph.

    Parameters
    ----------
    *class_names : str
    weights : callable, optional
        Takes the layer's configuration; returns two lists of the names of its weights,
        in Keras's order: those that are trained, and the others. Layers with weights
        need it to be read from files; by default there are none.

    Returns
    -------
    decorator : callable
        For ``write(writer, call, *values) -> value``, where ``writer`` is a
        `.GraphWriter`, ``call`` is a `.LayerCall`, and values are the writer's.
    """

    def decorator(function):
        for name in class_names:
            _LAYERS.register(name, function)
            if weights is not None:
                _WEIGHTS[name] = weights
        return function

    return decorator


def weight_names(class_name, config):
    """
    The weights that a layer has, by its configuration.

    Parameters
    ----------
    class_name : str
        Of a layer that there is a converter for.
    config : dict

    Returns
    -------
    trained, others : list of str
        Names, in Keras's order.
    """
    _LAYERS.get(class_name)  # which loads what packages add
    return _WEIGHTS[class_name](config) if class_name in _WEIGHTS else ([], [])


def check_class(where, class_name):
    """
    Raise if there is no converter for a layer's class.

    Parameters
    ----------
    where : object
        Names the layer, as a string.
    class_name : str
    """
    if class_name not in _LAYERS:
        found, fix = REFUSED.get(
            class_name,
            (
                "is a layer without a converter",
                f"Supported are {', '.join(sorted(_LAYERS.names()))}; register a "
                "converter with nengo_permadrop.sources.keras.convert.register_layer",
            ),
        )
        raise ConversionError(str(where), found, fix)


def write_call(writer, call, values):
    """
    Write what a layer's call is into the graph.

    Parameters
    ----------
    writer : `.GraphWriter`
    call : `.LayerCall`
    values : list of int
        That it takes, as the writer knows them.

    Returns
    -------
    value : int
        That it gives.

    Raises
    ------
    ConversionError
        If the layer, or something about it, is not supported.
    """
    check_class(call, call.spec.acts_as)
    return _LAYERS.get(call.spec.acts_as)(writer, call, *values)


def check_options(call, options=None, allowed=()):
    """
    Raise if a layer is called with options that nothing is known about.

    Parameters
    ----------
    call : `.LayerCall`
    options : dict, optional
        By default all that it is called with.
    allowed : sequence of str, optional
        Names of options that make no difference.
    """
    options = call.options if options is None else options
    extra = {name: value for name, value in options.items() if name not in allowed}
    if extra:
        raise ConversionError(
            str(call), f"is called with {extra}", "Call the layer with its inputs only"
        )


class WeightsError(ConversionError):
    """Weights that a layer can't have, by its configuration."""


def weight(call, name, shape):
    """
    A layer's weights, of the shape that they must have.

    Parameters
    ----------
    call : `.LayerCall`
    name : str
    shape : tuple of int

    Returns
    -------
    values : ndarray

    Raises
    ------
    WeightsError
        If they have another shape.
    """
    values = call.spec.weights[name]
    if values.shape != tuple(shape):
        raise WeightsError(
            str(call),
            f"has a {name} of shape {values.shape} instead of {tuple(shape)}",
            "Take the weights of this model",
        )
    return values
