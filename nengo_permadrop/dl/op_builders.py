"""The operators of dropout in TensorFlow."""

import numpy as np

from nengo_permadrop.dl.transforms import (
    DrawTrainingSeed,
    DropInputs,
    RedrawScale,
    keys_of,
)
from nengo_permadrop.dropout.masks import GAUSSIAN
from nengo_permadrop.support.optional import require

_nengo_dl = require("nengo_dl")  # before TensorFlow, whose log messages it silences
_tf = require("tensorflow")
_Builder, _OpBuilder = _nengo_dl.builder.Builder, _nengo_dl.builder.OpBuilder
_smart_cond = _nengo_dl.neuron_builders.smart_cond.smart_cond


def _redraw_index(step, dt, redraw, delay):
    """As `.builder.transforms.redraw_index`, of the number of a step."""
    # from the step, not the time: in NengoDL that is float32, in which a redraw can
    # fall on the wrong side of a time step
    start = _tf.cast(_tf.reshape(step, ()) - 1, _tf.float64) * dt
    number = _tf.floor((start - delay) / redraw + 1e-7)
    return _tf.cast(_tf.maximum(number, 0), _tf.int64)


@_Builder.register(DrawTrainingSeed)
class DrawTrainingSeedBuilder(_OpBuilder):
    """
    Build the `.DrawTrainingSeed` of a model.

    The generator belongs to the simulator, whose seed it starts from, and goes on from
    batch to batch. TensorFlow's global one would not do: NengoDL seeds it whenever it
    traces the graph, which outside of compiled functions is at every batch.
    """

    def __init__(self, ops):
        super().__init__(ops)
        self.generator = None

    def build_pre(self, signals, config):
        super().build_pre(signals, config)
        self.data = signals[self.ops[0].seed]
        self.seed = _tf.zeros((2,), _tf.int32)
        if config.inference_only:
            return
        if self.generator is None:
            with _tf.init_scope():  # a variable that outlives the graph being traced
                self.generator = _tf.random.Generator.from_seed(
                    config.rng.randint(np.iinfo(np.int32).max)
                )
        # here, outside of the loop over time steps, it is drawn once a batch
        self.seed = _smart_cond(
            config.training,
            true_fn=lambda: self.generator.uniform_full_int((2,), dtype=_tf.int32),
            false_fn=lambda: self.seed,
        )

    def build_step(self, signals):
        signals.scatter(self.data, self.seed)


@_Builder.register(DropInputs)
class DropInputsBuilder(_OpBuilder):
    """Build a group of `.DropInputs` operators."""

    def build_pre(self, signals, config):
        super().build_pre(signals, config)
        self.x_data = signals.combine([op.x for op in self.ops])
        self.scale_data = signals.combine([op.scale for op in self.ops])
        self.dropped_data = signals.combine([op.dropped for op in self.ops])
        self.seed_data = signals[self.ops[0].training_seed]
        self.step_data = signals[self.ops[0].step]

    def build_step(self, signals):
        scale = signals.gather(self.scale_data)
        if not self.config.inference_only:
            scale = _smart_cond(
                self.config.training,
                true_fn=lambda: self._training_scale(signals),
                false_fn=lambda: scale,
            )
        x = signals.gather(self.x_data)
        signals.scatter(self.dropped_data, x * _tf.stop_gradient(scale))

    def _training_scale(self, signals):
        """New masks, ``(minibatch, inputs)``, the same at all steps of a run."""
        seed = _tf.bitcast(signals.gather(self.seed_data), _tf.int64)
        index = _tf.constant(0, _tf.int64)
        if self.ops[0].redraw is not None:
            step = signals.gather(self.step_data)
            index = _redraw_index(
                step, signals.dt_val, self.ops[0].redraw, self.ops[0].redraw_delay
            )
        scales = []
        for op in self.ops:
            key = _tf.constant(np.uint64(op.key).astype(np.int64))
            seeds = _tf.stack([seed, key + index])
            scales.append(_random_scale(op, seeds, signals))
        return _tf.concat(scales, axis=1)

    @staticmethod
    def mergeable(x, y):
        return (x.redraw, x.redraw_delay) == (y.redraw, y.redraw_delay)


def _random_scale(op, seed, signals):
    """What the inputs of a `.DropInputs` are multiplied by, ``(minibatch, inputs)``."""
    n_numbers, places = op.x.size, None
    if op.groups is not None:
        numbers, places = np.unique(op.groups, return_inverse=True)
        n_numbers, places = numbers.size, places.ravel()
    shape, dtype = (signals.minibatch_size, n_numbers), signals.dtype
    if op.noise == GAUSSIAN:
        deviation = np.sqrt(op.rate / (1.0 - op.rate))
        normal = _tf.random.stateless_normal(shape, seed=seed, dtype=dtype)
        scale = 1.0 + deviation * normal
    else:
        uniform = _tf.random.stateless_uniform(shape, seed=seed, dtype=dtype)
        scale = _tf.cast(uniform >= op.rate, dtype) / (1.0 - op.rate)
    return scale if places is None else _tf.gather(scale, places, axis=1)


@_Builder.register(RedrawScale)
class RedrawScaleBuilder(_OpBuilder):
    """Build a `.RedrawScale` operator."""

    def build_pre(self, signals, config):
        super().build_pre(signals, config)
        op = self.ops[0]
        self.dropout = op.dropout
        self.key_data = signals[op.key]
        self.step_data = signals[op.step]
        self.scale_data = signals[op.scale]

    def build_step(self, signals):
        step = signals.gather(self.step_data)
        times = (signals.dt_val, self.dropout.redraw, self.dropout.redraw_delay)
        index = _redraw_index(step + 1, *times)
        keys = signals.gather(self.key_data)
        scale = signals.gather(self.scale_data)
        scale = _tf.cond(
            _tf.equal(index, _redraw_index(step, *times)),
            true_fn=lambda: scale,
            false_fn=lambda: self._scale(keys, index, signals.dtype),
        )
        signals.scatter(self.scale_data, scale)

    def _scale(self, keys, index, dtype):
        def column_scale(words, index):
            scale = self.dropout.init.column_scale(
                keys_of(words), self.dropout.size_in, redraw_index=index
            )
            return scale.astype(dtype.as_numpy_dtype)

        scale = _tf.numpy_function(column_scale, [keys, index], dtype)
        scale.set_shape(self.scale_data.full_shape)
        return scale
