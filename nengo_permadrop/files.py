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


@contextlib.contextmanager
def atomic_stream(path):
    """
    A text stream for a long time, which takes the place of a file when it is complete.

    Unlike that of `atomic_path` its temporary file, ``.NAME.part``, has the same name
    each time: one that a killed process has left is written anew, and is not there
    beside the whole file in the end.

    Parameters
    ----------
    path : str or Path
        The file that is to be written. Its folder must exist.

    Yields
    ------
    stream : file object
        In UTF-8. When the ``with`` block ends it is flushed to disk and renamed to
        ``path``; if the block is left by an exception it is removed.

    Raises
    ------
    FileExistsError
        If another process, or thread, is writing the same file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.part")
    # not emptied before it is known that nobody else writes there
    with open(temporary, "a", encoding="utf-8", newline="") as stream:
        _lock(stream, path)
        try:
            stream.truncate(0)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def _lock(stream, path):
    if os.name != "posix":
        return
    import fcntl

    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise
        raise FileExistsError(
            errno.EEXIST,
            "is being written by another process; wait for it to end, or name another "
            "place",
            str(path),
        ) from error


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
