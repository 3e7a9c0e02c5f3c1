"""
Arrays in files: writing them, and reading what may be damaged or made by others.

NumPy believes what a file says of itself: a header may declare an array of any size,
and a few bytes of a compressed archive may stand for a thousand times as many. Here
what a file declares is compared with what is there before any memory is taken, and
whatever is wrong with it is one error, `.DamagedFileError`. Nothing is ever unpickled.
"""

import contextlib
import math
import os
import zipfile

import numpy as np

from nengo_permadrop.support.errors import DamagedFileError
from nengo_permadrop.support.files import atomic_path

_KINDS = "biufcSU"
_NAME = ".npy"
_LONGEST = 200


@contextlib.contextmanager
def readable(path, what, fix):
    """
    Turn whatever is raised while a file is read into one error with its name.

    Parameters
    ----------
    path : path-like
    what : str
        What the file should be, as in "a file of samples".
    fix : str
        What to do about it if it isn't.

    Raises
    ------
    nengo_permadrop.support.errors.DamagedFileError
    """
    try:
        yield
    except (DamagedFileError, MemoryError):
        raise
    except Exception as error:  # a damaged file raises almost anything
        words = f"{type(error).__name__}: {error}"
        if len(words) > _LONGEST:
            words = f"{words[:_LONGEST]}..."
        raise DamagedFileError(
            path, f"is damaged, or isn't {what} ({words})", fix
        ) from error


def write_npz(path, **arrays):
    """
    Write arrays to an ``.npz`` file, whole or not at all, as `read_npz` reads it.

    Parameters
    ----------
    path : path-like
    **arrays : array_like
        Of numbers, or text of fixed width.

    Raises
    ------
    nengo_permadrop.support.files.NoRoomError
        If the disk is full.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.kind not in _KINDS:
            raise TypeError(f"{name} must hold numbers or text; got {array!r}")
    # without a buffer, which would be flushed, with an error, by seek and tell
    with atomic_path(path) as temporary, open(temporary, "wb", buffering=0) as file:
        stream = _ErrorsLater(file)
        np.savez(stream, **arrays)
        if stream.error is not None:
            raise stream.error


class _ErrorsLater:
    """
    A file that tells of its first error when everything has been written.

    An archive that fails halfway can't be closed: zipfile raises another error about an
    open handle, and prints a third one when it is deleted.
    """

    def __init__(self, file):
        self.file = file
        self.error = None
        self.seek, self.tell, self.read = file.seek, file.tell, file.read

    def write(self, content):
        rest = memoryview(content).cast("B")
        try:
            while len(rest) > 0 and self.error is None:
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            self.error = error
        return len(content)

    def flush(self):
        """Nothing is buffered."""


def read_npz(path, what, fix, max_unpacked=0):
    """
    The arrays of an ``.npz`` file.

    Parameters
    ----------
    path : path-like
    what, fix : str
        As in `readable`.
    max_unpacked : int, optional
        Bytes that compressed arrays may take in all; by default, compressed arrays are
        refused. Others can't take more than the file does.

    Returns
    -------
    arrays : {str: ndarray}
        Of numbers, or text of fixed width.

    Raises
    ------
    nengo_permadrop.support.errors.DamagedFileError
        If it isn't such a file, or anything in it is not as it says.
    OSError
        If there is no such file, or it can't be opened.
    """
    with open(path, "rb") as file, readable(path, what, fix):
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_sizes(members, os.fstat(file.fileno()).st_size, max_unpacked)
            arrays = {}
            for member in members:
                name = member.filename.removesuffix(_NAME)
                if name == member.filename or name in arrays:
                    raise ValueError(f"has a member {member.filename!r}")
                with archive.open(member) as stream:
                    arrays[name] = read_array(stream, member.file_size)
            return arrays


def read_array(stream, n_bytes):
    """
    An array in NumPy's format, the whole of a stream.

    Parameters
    ----------
    stream : file object
        Binary, and can be rewound.
    n_bytes : int
        Its length.

    Returns
    -------
    array : ndarray

    Raises
    ------
    ValueError
        If it isn't one of numbers or text, is longer or shorter than its header says.
    """
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):  # others are for fields with names, which are not read here
        raise ValueError(f"is of version {version} of NumPy's format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in _KINDS or dtype.itemsize == 0:
        raise ValueError(f"holds values of type {dtype}")
    declared = math.prod(shape) * dtype.itemsize
    found = n_bytes - stream.tell()
    if declared != found or min(shape, default=0) < 0:
        raise ValueError(f"should have {declared} bytes of values, and has {found}")
    stream.seek(0)
    array = np.lib.format.read_array(stream, allow_pickle=False)
    stream.read(1)  # at its end an archive compares the checksum
    return array


def _check_sizes(members, n_bytes, max_unpacked):
    """Compare what an archive says of its members with its size."""
    stored = unpacked = 0
    for member in members:
        if member.compress_type == zipfile.ZIP_STORED:
            stored += member.file_size
        elif member.compress_type == zipfile.ZIP_DEFLATED and max_unpacked:
            unpacked += member.file_size
        else:
            raise ValueError(f"member {member.filename!r} is compressed")
    if stored > n_bytes:
        raise ValueError(f"declares {stored} bytes in a file of {n_bytes}")
    if unpacked > max_unpacked:
        raise ValueError(f"would take {unpacked} bytes, more than {max_unpacked}")
