"""
Keras's files, made in memory.

HDF5 that runs out of disk in the middle of a file ends the process with a segmentation
fault, and what the process knew is lost. Made in memory, a file is written like any
other, by Python: whole, or with an error that can be told.
"""

import contextlib
import io
import logging
import tempfile
import zipfile
from pathlib import Path

from nengo_permadrop.sources.keras.archive import WEIGHTS
from nengo_permadrop.support.files import write_bytes
from nengo_permadrop.support.folders import check_room
from nengo_permadrop.support.optional import require


def _is_news(record):
    """Whether a record of TensorFlow's log is no remark on training, which is over."""
    return "compiled metrics have yet to be built" not in record.getMessage()


@contextlib.contextmanager
def _no_remarks():
    log = logging.getLogger("tensorflow")
    log.addFilter(_is_news)
    try:
        yield
    finally:
        log.removeFilter(_is_news)


def save_model(model, path):
    """
    Write a Keras model to an ``.h5`` file, without the state of an optimizer.

    Parameters
    ----------
    model : `keras.Model`
    path : str or path-like

    Raises
    ------
    OSError
        If it can't be written. What was at ``path`` is still there then.
    """
    write_bytes(path, model_bytes(model))


def save_weights(model, path):
    """
    Write a model's weights to a ``.weights.h5`` file, without those of an optimizer.

    Parameters
    ----------
    model : `keras.Model`
        Functional.
    path : str or path-like

    Raises
    ------
    OSError
        As for `save_model`.
    """
    write_bytes(path, weights_bytes(model))


def model_bytes(model):
    """The content of a model's ``.h5`` file; see `save_model`."""
    h5py = require("h5py")
    stream = io.BytesIO()
    # a file in memory, copied as a whole: HDF5 itself writes nowhere
    memory = h5py.File("model.h5", "w", driver="core", backing_store=False)
    with memory as file, _no_remarks():
        if require("keras").__version__[0] == "2":
            model.save(file, include_optimizer=False)
        else:  # its `save` takes no open file
            from keras.src.legacy.saving import legacy_h5_format

            legacy_h5_format.save_model_to_hdf5(model, file, include_optimizer=False)
        file.flush()
        stream.write(file.id.get_file_image())
    return stream.getvalue()


def weights_bytes(model):
    """The content of a model's file of weights; see `save_weights`."""
    keras = require("keras")
    not_compiled = keras.Model(model.inputs, model.outputs, name=model.name)
    # Keras makes the HDF5 file in a .keras file in memory, and no other
    with tempfile.TemporaryDirectory(prefix="nengo-permadrop-") as folder:
        check_room(folder, sum(array.nbytes for array in model.get_weights()) + 100_000)
        path = Path(folder) / "model.keras"
        version = {"save_format": "keras_v3"} if keras.__version__[0] == "2" else {}
        not_compiled.save(str(path), **version)
        with zipfile.ZipFile(path) as archive:
            return archive.read(WEIGHTS)  # the same as a file of weights
