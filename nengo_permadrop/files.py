"""Writing files that are either whole or not there."""

import contextlib
import errno
import os
import tempfile
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path):
    """
    A path to write to, which takes the place of a file when it is complete.

    Parameters
    ----------
    path : str or Path
        The file that is to be written. Its folder must exist.

    Yields
    ------
    temporary : Path
        An empty file in the same folder, with the same suffixes (Keras chooses the
        format by ``.weights.h5``). When the ``with`` block ends it is flushed to disk
        and renamed to ``path``, and the folder is flushed; if the block is left by an
        exception (Ctrl-C too) it is removed, and what was at ``path`` stays.
    """
    path = Path(path)
    suffix = "".join(path.suffixes)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name.removesuffix(suffix)}-", suffix=suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp's files are for the user alone
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path, content):
    """Write bytes to a file, atomically; see `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path, content):
    """Write text to a file in UTF-8, atomically; see `atomic_path`."""
    write_bytes(path, content.encode("utf-8"))


def sync_folder(path):
    """Flush the names in a folder to disk, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems don't do it
            raise
    finally:
        os.close(descriptor)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
