"""The classical answer: forward passes of the Keras model itself."""

import numpy as np

from nengo_permadrop.backends import Backend, register_backend
from nengo_permadrop.converter.reference import KerasForward
from nengo_permadrop.masks import derive_seed, keep_mask, mix64
from nengo_permadrop.optional import require

# Keeps the masks of this backend apart from those of the networks: the same seed here
# and there must not give the same masks, or the two samples would not be independent,
# as a two-sample test needs them to be.
_STREAM = 0x6B65726173


@register_backend
class KerasBackend(Backend):
    """
    Keras's layers, with masks that depend on the replica alone.

    All replicas of a chunk are computed as one batch.
    """

    name = "keras"
    takes = "keras"

    def version(self):
        return require("keras").__version__

    def run(self, problem, replicas):
        forward = KerasForward(problem.model, **problem.options)
        inputs = [x[replicas.observations] for x in problem.X]
        outputs = forward(inputs, keras_masks(forward, replicas.mask_seeds))
        output = outputs[list(forward.graph.outputs).index(problem.output)]
        return output.reshape(len(replicas), -1).astype(np.float64)


def keras_masks(forward, mask_seeds):
    """
    The masks of replicas, for each dropout of a model.

    Parameters
    ----------
    forward : `.KerasForward`
    mask_seeds : (n,) ndarray of int

    Returns
    -------
    masks : list of (n, units) ndarray of bool
        In the order of ``forward.dropouts``.
    """
    return [
        keep_mask(mix64(derive_seed(mask_seeds, _STREAM, number)), units, rate)
        for number, (_, units, rate) in enumerate(forward.dropouts)
    ]
