"""``.keras`` archives, read without trust: what is in them, and how large it may be."""

import contextlib
import errno
import shutil
import zipfile

from nengo_permadrop.sources.keras.model_config import MAX_CONFIG
from nengo_permadrop.sources.keras.model_hdf5 import SAVE_AGAIN
from nengo_permadrop.support.errors import DamagedFileError

METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"

# A member may unpack to so many times its size; Keras doesn't compress
MAX_EXPANSION = 20


@contextlib.contextmanager
def opened_archive(path):
    """
    An archive, open to be read; what is wrong with it is a `.DamagedFileError`.

    Parameters
    ----------
    path : path-like

    Yields
    ------
    archive : ``zipfile.ZipFile``
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except Exception as error:  # zipfile's and zlib's are of many types
        # it seeks where there is nothing in a damaged archive
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise DamagedFileError(path, in_short(error), SAVE_AGAIN) from error


def check_member(info, largest):
    """
    Raise a ValueError if a member can't be one that Keras has written.

    Parameters
    ----------
    info : ``zipfile.ZipInfo``
    largest : int
        Bytes that it may have when it is unpacked.
    """
    name = info.filename
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in a way that Keras doesn't use")
    if info.flag_bits & 1:
        raise ValueError(f"{name} is encrypted")
    if info.file_size > largest:
        raise ValueError(f"{name} would unpack to {info.file_size} bytes")


def largest_weights(info):
    """Bytes that a member of weights may have when it is unpacked."""
    return max(MAX_CONFIG, MAX_EXPANSION * info.compress_size)


def unpack(archive, name, target):
    """Write a member to a new file, a piece at a time."""
    with archive.open(name) as member, open(target, "wb") as stream:
        shutil.copyfileobj(member, stream, 2**20)


def in_short(error, length=300):
    """An error in one line; Keras's may repeat a whole configuration."""
    text = " ".join(str(error).split())
    text = text if len(text) <= length else f"{text[:length]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
