"""The global generators that Keras takes its randomness from."""

import contextlib
import random

import numpy as np


@contextlib.contextmanager
def generators_kept():
    """
    Leave NumPy's and Python's global generators as they were.

    For what sets Keras's seed, ``keras.utils.set_random_seed``, which is theirs too.
    TensorFlow's can't be read, and stays as it is set.
    """
    numpy_state, python_state = np.random.get_state(legacy=False), random.getstate()
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
