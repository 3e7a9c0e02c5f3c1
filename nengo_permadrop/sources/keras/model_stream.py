"""What HDF5 files of weights hold, as plain arrays, without Keras and h5py."""

import contextlib
import json
import math
import os
import subprocess
import sys

import numpy as np

from nengo_permadrop.sources.keras.model_hdf5 import (
    READER,
    READER_ENVIRONMENT,
    SAVE_AGAIN,
    ended,
)
from nengo_permadrop.support.errors import DamagedFileError


class ArraysFile:
    """
    An HDF5 file of weights, or of a whole model, opened to be read.

    A process of its own reads it, within limits of memory and time; see
    ``model_reader.py``. It hands on the values, a piece at a time, so that they are in
    memory once. Use it in a ``with`` statement.

    Parameters
    ----------
    path : path-like
        A file that others may have made.
    name : path-like, optional
        What messages call the file, if not ``path``.

    Attributes
    ----------
    config : str or None
        JSON that describes the model, if the file holds a whole one.
    version : str or None
        Of the Keras that wrote the file, if it says so.
    older : bool
        Whether it has the format of ``.h5`` files, not that of ``.weights.h5`` files
        since Keras 2.12.
    layers : list of (str, list of str)
        Of the older format: each layer's name, and the paths of its weights.
    arrays : {str: (shape, dtype)}
        Every array of weights, by its path.

    Raises
    ------
    `.DamagedFileError`
        If the file leads to others, would take far more memory than its size, or can't
        be read at all.
    """

    def __init__(self, path, name=None):
        self._name = path if name is None else name
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(READER), os.fspath(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **READER_ENVIRONMENT},
        )
        try:
            header = json.loads(self._process.stdout.readline())
        except ValueError:
            raise self._damaged() from None
        except BaseException:
            self.__exit__()
            raise
        self.config = header["config"]
        self.version = header["version"]
        self.older = header["older"]
        self.layers = [(layer, paths) for layer, paths in header["layers"]]
        self.arrays = {
            where: (tuple(shape), np.dtype(dtype))
            for where, (shape, dtype) in header["arrays"].items()
        }

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()

    def placeholder(self, where):
        """An array of zeros that takes no memory, of an array's shape and type."""
        shape, dtype = self.arrays[where]
        return np.broadcast_to(np.zeros((), dtype), shape)

    def read(self, paths):
        """
        The values of arrays. It can be called once.

        Parameters
        ----------
        paths : iterable of str

        Returns
        -------
        values : {str: ndarray}
            By path.

        Raises
        ------
        `.DamagedFileError`
            If a value is absent or not finite.
        """
        paths = list(dict.fromkeys(paths))
        try:
            self._process.stdin.write(json.dumps(paths).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._damaged() from None
        values = {}
        for where in paths:
            shape, dtype = self.arrays[where]
            values[where] = np.empty(shape, dtype)
            if not self._fill(values[where], math.prod(shape) * dtype.itemsize):
                raise self._damaged()
        return values

    def _fill(self, array, size):
        target, done = memoryview(array.reshape(-1).view(np.uint8)), 0
        while done < size:
            n_bytes = self._process.stdout.readinto(target[done:])
            if not n_bytes:
                return False
            done += n_bytes
        return True

    def _damaged(self):
        """The error that tells why the process has ended."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdin = None
        _, said = self._process.communicate()
        said = said.decode(errors="replace")
        try:
            found = json.loads(said)["damaged"]
        except (ValueError, KeyError, TypeError):
            found = ended(self._process.returncode, said)
        return DamagedFileError(self._name, found, SAVE_AGAIN)
