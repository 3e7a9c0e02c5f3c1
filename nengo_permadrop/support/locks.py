"""
Locks between processes and threads, as files.

The locks are those of the operating system, by way of the package filelock: they end
with their process, however it ends. A process that was forked from the one that holds a
lock doesn't hold it.
"""

import contextlib
import errno
import os
import re
import socket
import stat
from pathlib import Path

from filelock import FileLock, Timeout

_UNSUPPORTED = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
# Windows locks the first byte of the file; what is behind it can be read by others
_OFFSET = 1
_LONGEST = 300


class InUseError(Exception):
    """
    A lock is held by another process or thread.

    Attributes
    ----------
    user : str
        Who has it: "process 12 on HOST", "this process" or "another process".
    """

    def __init__(self, user):
        super().__init__(user)
        self.user = user


class NoLocksError(OSError):
    """There can't be locks on a file system."""


@contextlib.contextmanager
def hold(path, keep=True):
    """
    Hold a lock, without waiting for it.

    Parameters
    ----------
    path : str or path-like
        The file of the lock, made if it isn't there; its folder must be. While the lock
        is held the file says by whom.
    keep : bool, optional
        Leave the file there afterwards. It is of no use then, and does no harm.

    Raises
    ------
    InUseError
        If it is held already, by another process or anywhere in this one.
    NoLocksError
        If the file system knows no locks.
    OSError
        If the file can't be made, or is something else than a file: a link is not
        followed, lest a file elsewhere is written to.
    """
    path = Path(path)
    _check_kind(path)
    lock = FileLock(path, thread_local=False, fallback_to_soft=False)
    try:
        _acquire(lock, path)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        raise NoLocksError(
            error.errno,
            f"its file system has no locks ({error.strerror}); choose a folder of "
            "another one",
            str(path),
        ) from error
    try:
        _write_user(path, _me())
        yield
    finally:
        if keep:
            _write_user(path, "")
        else:
            # while it is held: whoever waits for it then finds that it is gone. Windows
            # doesn't remove what is open, and filelock removes it itself
            with contextlib.suppress(PermissionError, FileNotFoundError):
                path.unlink()
        lock.release()


def _acquire(lock, path):
    while True:
        try:
            lock.acquire(timeout=0)
            return
        except Timeout:
            # without the file it was that of one who has just ended, and removed it
            if path.exists():
                raise InUseError(_user(path)) from None


def _check_kind(path):
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():  # filelock would make it
            raise FileNotFoundError(
                errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent)
            ) from None
        return
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "not a file"
        raise OSError(
            errno.EINVAL,
            f"is {kind}, where the file of a lock should be; remove it",
            str(path),
        )


def _me():
    return f"process {os.getpid()} on {socket.gethostname()}"


def _write_user(path, user):
    # only for messages: on a full disk the lock is held all the same
    with contextlib.suppress(OSError):
        flags = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags)
        try:
            os.ftruncate(descriptor, _OFFSET)
            os.lseek(descriptor, _OFFSET, os.SEEK_SET)
            os.write(descriptor, user.encode())
        finally:
            os.close(descriptor)


def _user(path):
    """Who holds the lock, as its file says."""
    try:
        with open(path, "rb") as file:
            file.seek(_OFFSET)
            text = file.read(_LONGEST).decode("utf-8", "replace")
    except OSError:
        text = ""
    if text == _me():
        return "this process"
    return text if re.fullmatch(r"process \d+ on [\w.-]+", text) else "another process"
