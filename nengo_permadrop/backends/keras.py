"""
The classical answer: forward passes of the Keras model itself.

A model that was read from its file needs no Keras: NumPy computes it.
"""

import contextlib

import numpy as np

from nengo_permadrop.backends.base import Backend, register_backend
from nengo_permadrop.dropout.seeds import derive_seed, mix64
from nengo_permadrop.sources.keras.files import KerasFile
from nengo_permadrop.sources.masks import forward_masks
from nengo_permadrop.sources.registry import get_source
from nengo_permadrop.support.optional import keras_version

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
    takes = "model"
    source = "keras"

    def version(self):
        return keras_version()

    def version_for(self, model):
        if isinstance(model, KerasFile):
            return f"NumPy {np.__version__}"
        return self.version()

    def chunk_size(self, problem, max_memory=None, session=None):
        if max_memory is None:
            return 1000
        # all layers' values are alive together, with a mask beside them at worst
        source = get_source(self.source)
        graph = source.forward(problem.model, **problem.options).graph
        values = sum(graph.size(index) for index in range(len(graph.shapes)))
        return max(1, int(max_memory // (2 * 8 * values)))

    @contextlib.contextmanager
    def session(self, problem):
        source = get_source(self.source)
        forward = source.forward(problem.model, **problem.options)
        number = list(forward.graph.outputs).index(problem.output)

        def answer(replicas):
            masks = keras_masks(forward, replicas.mask_seeds)
            outputs = forward(replicas.inputs, masks)
            return outputs[number].reshape(len(replicas), -1).astype(np.float64)

        yield answer


def keras_masks(forward, mask_seeds):
    """
    The masks of replicas, for each dropout of a model.

    Parameters
    ----------
    forward : callable
        As `.Source.forward` gives it.
    mask_seeds : (n,) ndarray of int

    Returns
    -------
    masks : list of (n, units) ndarray
        In the order of ``forward.dropouts``.
    """
    return forward_masks(
        forward, lambda number: mix64(derive_seed(mask_seeds, _STREAM, number))
    )
