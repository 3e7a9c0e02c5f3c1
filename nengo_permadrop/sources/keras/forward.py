"""A Keras model's own answers, with masks that are given instead of drawn."""

import numpy as np

from nengo_permadrop.graph.dropouts import (
    BERNOULLI,
    check_dropout,
    drop_terms,
    is_permanent,
)
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.activations import WRAPPER, links_of, wrapped
from nengo_permadrop.sources.keras.converters.dropout import drop_of
from nengo_permadrop.sources.keras.dropouts import CLASSES
from nengo_permadrop.sources.keras.pools import is_replaced
from nengo_permadrop.sources.keras.reader import read_keras
from nengo_permadrop.sources.keras.tensors import as_array, no_gradients, plus, times
from nengo_permadrop.support.optional import require

_HALF = ("bfloat16", "float16")  # the coarser one first


class KerasForward:
    """
    The forward pass of a Keras model: Keras's layers, our masks.

    Every layer but dropout is called as it is, so that the answers are Keras's own.
    Keras's dropout layers draw from a stream that depends on how rows are put into
    batches; with the masks given, an answer depends on its row and its masks alone.

    Parameters
    ----------
    kmodel : `keras.Model`
        A built Sequential or functional model.
    dropout : {"permanent", "off", "all-off"} or {str: str}, optional
        Which dropouts are on, as in `.Converter`.
    smooth : bool, optional
        Give SoftLIF layers that are trained for Loihi their smooth curve instead of
        Loihi's, which has steps: there, how numbers are rounded decides.
    single : bool, optional
        Compute in float32 what the model computes in half precision.
    max_to_avg_pool : bool, optional
        Pool by averages where the model pools by the largest element.

    Attributes
    ----------
    title : str
        Whose answers these are, for messages.
    graph : `~nengo_permadrop.sources.keras.unroll.KerasGraph`
    half : str or None
        The half precision that the model, or a layer of it, computes in: "bfloat16" or
        "float16"; None if there is none, or ``single`` is set.
    dropouts : list of (str, int, float)
        Path, number of units and rate of each permanent dropout, in the model's order.
    links : {str: str}
        As in `.ModelGraph`: what the model itself makes of the answers.
    kinds : list of (str, ndarray or None)
        Kind and groups of each of them, as in `.Drop`.

    Raises
    ------
    ConversionError
        If the model has layers that are random in another way than dropping units.
    """

    title = "Keras"

    def __init__(
        self,
        kmodel,
        dropout="permanent",
        smooth=False,
        single=False,
        max_to_avg_pool=False,
    ):
        self.graph, self._layers = read_keras(kmodel, max_to_avg_pool)
        drops = [call for call in self.graph.calls if call.spec.acts_as in CLASSES]
        check_dropout(dropout, [call.path for call in drops])
        self._layers = [
            _averaging(call.spec, layer) if is_replaced(call.spec) else layer
            for call, layer in zip(self.graph.calls, self._layers)
        ]
        links = links_of(self.graph)
        self.links = {name: kind for name, (_, kind) in links.items()}
        ends = {call.path for call, _ in links.values()}
        self._layers = [
            self._without_link(call, layer) if call.path in ends else layer
            for call, layer in zip(self.graph.calls, self._layers)
        ]
        if smooth:
            self._layers = [_smoothed_layer(layer) for layer in self._layers]
        if single:
            self._layers = [
                self._single(call, layer)
                for call, layer in zip(self.graph.calls, self._layers)
            ]
        dtypes = {getattr(layer, "compute_dtype", None) for layer in self._layers}
        self.half = next((dtype for dtype in _HALF if dtype in dtypes), None)
        self._drops = {}  # of those that are on, by path
        self.dropouts, self.kinds = [], []
        for call in self.graph.calls:
            if call.spec.acts_as in CLASSES:
                drop = drop_of(call, self.graph.shapes[call.output])
                if drop["rate"] > 0 and is_permanent(call.path, drop["when"], dropout):
                    self._drops[call.path] = drop
                    size = self.graph.size(call.output)
                    self.dropouts.append((call.path, size, drop["rate"]))
                    groups = drop["groups"]
                    groups = None if groups is None else np.ravel(groups)
                    self.kinds.append((drop["kind"], groups))
            else:
                _refuse_other_randomness(call)

    def __call__(self, inputs, masks=None):
        """
        Answers for rows of inputs.

        Parameters
        ----------
        inputs : list of (n, ...) ndarray
            One an input of the model.
        masks : list of (n, units) ndarray, optional
            Which units are kept, for each of `dropouts`, or what they are multiplied
            by, as `.drawn_mask` has it; None drops nothing.

        Returns
        -------
        outputs : list of (n, ...) ndarray
            One an output of the model, before its link if it has one.
        """
        masks = None if masks is None else iter(masks)
        with no_gradients():
            return self._outputs(inputs, masks)

    def _outputs(self, inputs, masks):
        values = {
            index: np.asarray(x, dtype=np.float32).reshape(
                (len(x),) + self.graph.shapes[index]
            )
            for index, x in zip(self.graph.inputs.values(), inputs)
        }
        for call, layer in zip(self.graph.calls, self._layers):
            arguments = [values[index] for index in call.inputs]
            if call.spec.acts_as in CLASSES:
                result = arguments[0]
                if masks is not None and call.path in self._drops:
                    mask = next(masks)
                    shape = (len(mask),) + self.graph.shapes[call.output]
                    result = _dropped(
                        result, mask.reshape(shape), **self._drops[call.path]
                    )
            else:
                result = _called(call, layer, arguments)
            values[call.output] = result
        return [as_array(values[index]) for index in self.graph.outputs.values()]

    def _single(self, call, layer):
        """A layer that does the same in float32, if it computes in half precision."""
        if getattr(layer, "compute_dtype", None) not in _HALF:  # an operation has none
            return layer
        return self._changed(call, layer, {"dtype": "float32"}, np.float32)

    def _without_link(self, call, layer):
        """A layer that does the same but for its link."""
        if wrapped(call).spec.acts_as in ("Activation", "Softmax"):
            return require("keras").layers.Activation(
                "linear", name=layer.name, dtype=layer.get_config().get("dtype")
            )
        options = {"activation": "linear"}
        if call.spec.acts_as == WRAPPER:
            inner = layer.get_config()["layer"]
            config = {**inner["config"], **options}
            options = {"layer": {**inner, "config": config}}
        return self._changed(call, layer, options)

    def _changed(self, call, layer, options, dtype=None):
        """A layer with the same weights and other options."""
        other = type(layer).from_config({**layer.get_config(), **options})
        weights = layer.get_weights()
        if weights:
            shapes = [(None, *self.graph.shapes[index]) for index in call.inputs]
            other.build(shapes[0] if len(shapes) == 1 else shapes)
            other.set_weights([each.astype(dtype or each.dtype) for each in weights])
        return other


def _dropped(values, mask, kind, rate, **_):
    """A tensor or array that is dropped, in its own precision."""
    if kind == BERNOULLI:  # divided in single precision, as Keras does
        return times(values, mask.astype(np.float32) / np.float32(1.0 - rate))
    scale, shift = drop_terms(kind, rate, mask)
    result = times(values, scale.astype(np.float32))
    return result if shift is None else plus(result, shift.astype(np.float32))


def _called(call, layer, values):
    """What a layer, or another operation, makes of some values."""
    if call.traced is not None:
        args, kwargs = call.traced.filled(values)
        return layer(*args, **kwargs)
    value = values[0] if len(values) == 1 else values
    return layer(value, **_without_training(call.options))


def _averaging(spec, layer):
    """What pools by averages in place of a layer that pools by the largest element."""
    averaging = getattr(require("keras").layers, spec.acts_as)
    return averaging.from_config(layer.get_config())


def _smoothed_layer(layer):
    config = layer.get_config()
    if not _is_stepped(type(layer).__name__, config):
        return layer
    return type(layer).from_config({**config, "target": "nengo"})


def _is_stepped(class_name, config):
    return class_name == "SoftLIF" and config.get("target", "nengo") != "nengo"


def _without_training(options):
    return {name: value for name, value in options.items() if name != "training"}


def _refuse_other_randomness(call):
    config = call.spec.config
    if call.options.get("training"):
        raise ConversionError(
            str(call),
            "is called with training=True",
            "Only dropout layers may be on at prediction time",
        )
    for option in ("dropout", "recurrent_dropout"):
        if config.get(option):
            raise ConversionError(
                str(call),
                f"has {option}={config[option]}, which is off at prediction time",
                "Use a PermanentDropout layer",
            )
