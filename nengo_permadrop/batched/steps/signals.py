"""Storage of a model's signals for many replicas."""

from collections.abc import Mapping

import numpy as np
from nengo.exceptions import BuildError
from nengo.transforms import SparseMatrix


class ReplicaSignals:
    """
    Arrays for a model's signals, with an axis more where replicas can differ.

    A signal is stored once, in its own shape, if it is the same in all replicas
    (weights that are never changed, the time), and as ``(n_replicas, *shape)`` if not.
    Views of a signal are views of its array, as in Nengo.

    Parameters
    ----------
    n_replicas : int
    varying : set of `nengo.builder.Signal`
        The base signals that can differ between replicas.
    dtype : dtype
        Floating-point type of the arrays, whatever type the model was built with.
    exact : iterable of `nengo.builder.Signal`
        Base signals that keep their own type (the simulated time).
    """

    def __init__(self, n_replicas, varying, dtype, exact=()):
        self.n_replicas = n_replicas
        self.varying = varying
        self.dtype = np.dtype(dtype)
        self.exact = set(exact)
        self._arrays = {}

    def __contains__(self, signal):
        return signal in self._arrays

    def __iter__(self):
        return iter(self._arrays)

    def varies(self, signal):
        """Whether the array of a signal has a replica axis."""
        return signal.base in self.varying

    def init(self, signal):
        """Allocate a signal (and the signal that it is a view of); idempotent."""
        if signal in self._arrays:
            return
        if signal.is_view:
            self.init(signal.base)
            self._arrays[signal] = self._view(signal)
        else:
            self._arrays[signal] = self._allocate(signal)

    def __getitem__(self, signal):
        self.init(signal)
        return self._arrays[signal]

    def items(self):
        """Signals and their arrays."""
        return self._arrays.items()

    def _dtype_of(self, signal):
        if signal.dtype.kind != "f" or signal.base in self.exact:
            return signal.dtype
        return self.dtype

    def _allocate(self, signal):
        value = signal.initial_value
        if signal.sparse:
            if self.varies(signal) and self.n_replicas > 1:
                raise BuildError(
                    f"{signal.name} is a sparse matrix that differs between replicas "
                    "in more than its mask, because something else reads or changes "
                    "it; give the connection dense weights (.toarray())"
                )
            value = value.allocate() if isinstance(value, SparseMatrix) else value
            return value.astype(self._dtype_of(signal))
        dtype = self._dtype_of(signal)
        if self.varies(signal):
            array = np.empty((self.n_replicas, *signal.shape), dtype=dtype)
            array[...] = value
        elif signal.readonly:
            array = value.astype(dtype, copy=False)
            array.setflags(write=False)
        else:
            array = np.array(value, dtype=dtype)
        return array

    def _view(self, signal):
        base = self._arrays[signal.base]
        if base.size == 0:
            lead = (self.n_replicas,) if self.varies(signal) else ()
            return np.zeros(lead + signal.shape, dtype=base.dtype)
        shape = signal.shape
        strides = tuple(stride * base.itemsize for stride in signal.elemstrides)
        if self.varies(signal):
            shape = (self.n_replicas, *shape)
            strides = (base.strides[0], *strides)
        return np.ndarray(
            shape=shape,
            dtype=base.dtype,
            buffer=base,
            offset=signal.elemoffset * base.itemsize,
            strides=strides,
        )


class SignalViews(Mapping):
    """
    A simulator's signals as its user sees them.

    Parameters
    ----------
    signals : `.ReplicaSignals`
    squeeze : bool
        Show the only replica without its axis, so that the arrays have Nengo's shapes.
    """

    def __init__(self, signals, squeeze):
        self._signals = signals
        self._squeeze = squeeze

    def __getitem__(self, signal):
        if signal.base not in self._signals:
            raise KeyError(signal)
        array = self._signals[signal]
        return array[0] if self._squeeze and self._signals.varies(signal) else array

    def __setitem__(self, signal, value):
        self[signal][...] = value

    def __iter__(self):
        return iter(self._signals)

    def __len__(self):
        return sum(1 for _ in self._signals)
