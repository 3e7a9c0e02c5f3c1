"""A Keras model's own answers, with masks that are given instead of drawn."""

import contextlib

import numpy as np

from nengo_permadrop.graph.dropouts import check_dropout, is_permanent
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.keras.converters.dropout import dropout_of
from nengo_permadrop.sources.keras.dropouts import PERMANENT_CLASS, PLAIN_CLASS
from nengo_permadrop.sources.keras.pools import is_replaced
from nengo_permadrop.sources.keras.reader import read_keras
from nengo_permadrop.sources.keras.refusals import REFUSED
from nengo_permadrop.support.optional import require

DROPOUTS = (PLAIN_CLASS, PERMANENT_CLASS)

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
        drops = [call for call in self.graph.calls if call.spec.acts_as in DROPOUTS]
        check_dropout(dropout, [call.path for call in drops])
        self._layers = [
            _averaging(call.spec, layer) if is_replaced(call.spec) else layer
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
        self._rates = {}
        self.dropouts = []
        for call in self.graph.calls:
            if call.spec.acts_as in DROPOUTS:
                rate = _permanent_rate(call, dropout)
                self._rates[call.path] = rate
                if rate > 0:
                    size = self.graph.size(call.output)
                    self.dropouts.append((call.path, size, rate))
            else:
                _refuse_other_randomness(call)

    def __call__(self, inputs, masks=None):
        """
        Answers for rows of inputs.

        Parameters
        ----------
        inputs : list of (n, ...) ndarray
            One an input of the model.
        masks : list of (n, units) ndarray of bool, optional
            Which units are kept, for each of `dropouts`; None drops nothing.

        Returns
        -------
        outputs : list of (n, ...) ndarray
            One an output of the model.
        """
        masks = None if masks is None else iter(masks)
        with _no_gradients():
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
            if call.spec.acts_as in DROPOUTS:
                result = arguments[0]
                rate = self._rates[call.path]
                if masks is not None and rate > 0:
                    scale = next(masks).astype(np.float32) / np.float32(1.0 - rate)
                    shape = (len(scale),) + self.graph.shapes[call.output]
                    result = _times(result, scale.reshape(shape))
            else:
                result = _called(call, layer, arguments)
            values[call.output] = result
        return [_as_array(values[index]) for index in self.graph.outputs.values()]

    def _single(self, call, layer):
        """A layer that does the same in float32, if it computes in half precision."""
        if getattr(layer, "compute_dtype", None) not in _HALF:  # an operation has none
            return layer
        single = type(layer).from_config({**layer.get_config(), "dtype": "float32"})
        weights = layer.get_weights()
        if weights:
            shapes = [(None, *self.graph.shapes[index]) for index in call.inputs]
            single.build(shapes[0] if len(shapes) == 1 else shapes)
            single.set_weights([weight.astype(np.float32) for weight in weights])
        return single


def _called(call, layer, values):
    """What a layer, or another operation, makes of some values."""
    if call.traced is not None:
        args, kwargs = call.traced.filled(values)
        return layer(*args, **kwargs)
    value = values[0] if len(values) == 1 else values
    return layer(value, **_without_training(call.options))


def _is_keras2():
    return require("keras").__version__.startswith("2.")


def _no_gradients():
    """A context in which PyTorch keeps nothing for gradients; others don't anyway."""
    if _is_keras2() or require("keras").config.backend() != "torch":
        return contextlib.nullcontext()
    return require("torch").no_grad()


def _times(values, scale):
    """A tensor or array times an array, in the precision of the first."""
    if _is_keras2():
        return values * scale
    ops = require("keras").ops
    values = ops.convert_to_tensor(values)
    return values * ops.convert_to_tensor(scale, dtype=values.dtype)


def _as_array(values):
    if _is_keras2():
        return np.asarray(values)
    return require("keras").ops.convert_to_numpy(values)


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


def _permanent_rate(call, dropout):
    rate, when = dropout_of(call)
    return rate if is_permanent(call.path, when, dropout) else 0.0


def _without_training(options):
    return {name: value for name, value in options.items() if name != "training"}


def _refuse_other_randomness(call):
    name, config = call.spec.acts_as, call.spec.config
    if name in REFUSED and name.endswith("Dropout") or name.startswith("Spatial"):
        raise ConversionError(str(call), *REFUSED[name])
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
