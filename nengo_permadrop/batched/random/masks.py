"""The replicas' dropout masks."""

from collections import defaultdict

import numpy as np
from nengo.builder.operator import DotInc, SparseDotInc
from nengo.dists import Distribution

from nengo_permadrop.batched.random.seeding import mask_keys
from nengo_permadrop.dropout.builder import (
    RedrawMask,
    base_weights,
    built_dropouts,
)
from nengo_permadrop.dropout.masks import BERNOULLI, keep_mask, scale_factors

_MOST_BITS = 2**22  # units of replicas whose masks are drawn at a time


class DropoutMasks:
    """
    The masks of one dropout connection in all replicas, apart from its weights.

    Multiplying what goes into the weights gives the same product as masking the
    weights, without a copy of the weights for each replica.

    Parameters
    ----------
    built : `.BuiltDropout`
    seeds : (n_replicas,) ndarray of int
        The replicas' seeds of the connection.
    dtype : dtype
        Floating-point type of the products.

    Attributes
    ----------
    keep : (n_replicas, size_in) ndarray of bool or None
        Which inputs are kept in each replica; None if they are multiplied by noise.
    factor : float
        What the inputs that are kept are multiplied by.
    weights : (..., size_in) ndarray or csr_matrix
        What the masked inputs are multiplied by: the base weights, with the encoders.
    """

    def __init__(self, built, seeds, dtype):
        dropout = built.dropout
        self.built = built
        self.keys = mask_keys(seeds)
        self.factor = 1.0 / (1.0 - dropout.rate)
        self.dtype = np.dtype(dtype)
        self._weights = None
        self.decoders = None
        if built.decoders is not None:
            self.decoders = built.decoders.astype(self.dtype)
        self.redraw(0)

    def redraw(self, index):
        """Take the masks of the redraw with this number."""
        self._index = index
        self.forget()

    def forget(self):
        """Free the masks, which are made when they are asked for."""
        self._keep = self._scale = None

    @property
    def keep(self):
        dropout = self.built.dropout
        if self._keep is None and dropout.noise == BERNOULLI:
            keys, *others = self._arguments
            keep = np.empty((keys.size, dropout.size_in), dtype=bool)
            each = max(1, _MOST_BITS // dropout.size_in)  # there are 64 a unit
            for start in range(0, keys.size, each):
                replicas = slice(start, start + each)
                keep[replicas] = keep_mask(keys[replicas], *others)
            self._keep = keep
        return self._keep

    @property
    def _arguments(self):
        dropout = self.built.dropout
        return self.keys, dropout.size_in, dropout.rate, self._index, dropout.groups

    @property
    def weights(self):
        # not made for the kernels, which have weights of their own
        if self._weights is None:
            built = self.built
            weights = base_weights(built.dropout, decoders=built.decoders)
            if built.encoders is not None:
                weights = built.encoders.T.dot(weights)
            self._weights = weights.astype(self.dtype)
        return self._weights

    @property
    def nbytes(self):
        """Memory that the masks take, in bytes, when they have been made."""
        dropout = self.built.dropout
        itemsize = 1 if dropout.noise == BERNOULLI else self.dtype.itemsize
        return self.keys.size * dropout.size_in * itemsize

    @property
    def scale(self):
        """What the inputs are multiplied by, ``(n_replicas, size_in)``."""
        if self._scale is None:  # not made where only ``keep`` is used: it is large
            noise = self.built.dropout.noise
            if noise == BERNOULLI:
                self._scale = self.keep * self.dtype.type(self.factor)
            else:
                self._scale = scale_factors(*self._arguments, noise, dtype=self.dtype)
        return self._scale

    def apply(self, x):
        """The products ``(n_replicas, ...)`` of the masked weights with ``x``."""
        from nengo_permadrop.batched.products import shared_product

        if self.decoders is not None:
            decode = self.decoders
            x = shared_product(x, decode) if x.ndim == 2 else decode.dot(x)
        return shared_product(x * self.scale, self.weights)


def separable_dropouts(model):
    """
    The dropouts whose masks can be applied to the input of their weights.

    That is where the weights are the same in all replicas but for the mask, and only
    products read them: not where they are probed, learned, sampled from a distribution
    (each replica samples its own, as a connection with another seed does), or merged
    with others by Nengo's optimizer.

    Parameters
    ----------
    model : `nengo.builder.Model`

    Returns
    -------
    separable, other : lists of `.BuiltDropout`
    """
    separable, other = [], []
    touching = defaultdict(list)
    for op in model.operators:
        for signal in op.all_signals:
            touching[signal.base].append(op)
    for built in built_dropouts(model):
        signal = model.sig[built.conn]["weights"]
        if (
            not isinstance(built.dropout.init.base, Distribution)
            and signal is built.weights
            and all(
                isinstance(op, RedrawMask)
                or (type(op) in (DotInc, SparseDotInc) and op.A is signal)
                for op in touching[signal.base]
            )
        ):
            separable.append(built)
        else:
            other.append(built)
    return separable, other
