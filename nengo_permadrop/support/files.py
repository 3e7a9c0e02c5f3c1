"""Writing files that are either whole or not there."""

import contextlib
import errno
import os
import re
import secrets
import stat
from pathlib import Path

from nengo_permadrop.support.locks import InUseError, NoLocksError, hold

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNFINISHED = "-unfinished-"
_TOKEN_BYTES = 6


class NoRoomError(OSError):
    """The disk is full, or a quota used up; ``filename`` says where."""


@contextlib.contextmanager
def atomic_path(path, locked=False):
    """
    A path to write to, which takes the place of a file when it is complete.

    Of several that write the same file at the same time, in any processes, each writes
    one of its own, and the last to end wins.

    Parameters
    ----------
    path : str or path-like
        The file that is to be written. Its folder must exist.
    locked : bool, optional
        That nobody else writes into the folder meanwhile, as the caller holds a lock on
        it. What killed processes have left there is the caller's to remove then.

    Yields
    ------
    temporary : Path
        An empty file in the same folder, hidden, with the same suffixes (Keras chooses
        the format by ``.weights.h5``). When the ``with`` block ends it is flushed to
        disk and renamed to ``path``, and the folder is flushed; if the block is left by
        an exception (Ctrl-C too) it is removed, and what was at ``path`` stays. If the
        process is killed, the next one that writes the same file removes it.

        It has the permissions of the file that it replaces, or those that any new file
        gets, by umask and folder.

    Raises
    ------
    NoRoomError
        If the disk is full, whatever the ``with`` block makes of that.
    PermissionError
        If there is a file that may not be written to.
    FileNotFoundError
        If there is no such folder.
    """
    path = Path(path)
    mode = _mode(path)
    with room_at(path), contextlib.ExitStack() as stack:
        temporary = _unfinished(path)
        if not locked:
            # where there are no locks, files of killed processes stay
            with contextlib.suppress(NoLocksError):
                temporary = _lock_unfinished(path, stack)
                _remove_left(path)
        _create(temporary, mode)
        try:
            yield temporary
            if mode is not None:
                temporary.chmod(mode | stat.S_IWUSR)
            with open(temporary, "rb+") as stream:
                os.fsync(stream.fileno())
            if mode is not None:
                temporary.chmod(mode)
            os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_stream(path):
    """
    A text stream for a long time, which takes the place of a file when it is complete.

    Other than with `atomic_path`, only one at a time can write the same file.

    Parameters
    ----------
    path : str or path-like
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
    NoRoomError, PermissionError, FileNotFoundError
        As `atomic_path`.
    """
    path = Path(path)
    with contextlib.ExitStack() as stack:
        lock = hold(path.with_name(f".{path.name}.lock"), keep=False)
        try:
            stack.enter_context(lock)
        except InUseError as error:
            raise FileExistsError(
                errno.EEXIST,
                f"is being written by {error.user}; wait for it to end, or name "
                "another place",
                str(path),
            ) from error
        temporary = stack.enter_context(atomic_path(path))
        with open(temporary, "w", encoding="utf-8", newline="") as stream:
            yield stream


def write_bytes(path, content, locked=False):
    """Write bytes to a file, atomically; see `atomic_path`."""
    with atomic_path(path, locked) as temporary:
        temporary.write_bytes(content)


def write_text(path, content, locked=False):
    """Write text to a file in UTF-8, atomically; see `atomic_path`."""
    write_bytes(path, content.encode("utf-8"), locked)


@contextlib.contextmanager
def room_at(path):
    """
    Turn errors of a full disk into one that says so.

    Libraries lose or replace the system's own error: `numpy.savez` ends in a ValueError
    about an open handle. It is looked for among what led to theirs.

    Parameters
    ----------
    path : path-like
        What is written.

    Raises
    ------
    NoRoomError
    """
    try:
        yield
    except NoRoomError:
        raise
    except Exception as error:
        found = _full_disk(error)
        if found is None:
            raise
        raise NoRoomError(
            found.errno,
            f"no room to write it ({os.strerror(found.errno)}); free some space and "
            "run the same again",
            str(path),
        ) from error


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


def is_unfinished(path):
    """Whether a path is one that `atomic_path` gave out, or the file of its lock."""
    pattern = rf"\..*{_UNFINISHED}[0-9a-f]{{{2 * _TOKEN_BYTES}}}(\..*)?"
    return re.fullmatch(pattern, Path(path).name, re.DOTALL) is not None


def _unfinished(path, token=None):
    suffix = "".join(path.suffixes)
    stem = path.name.removesuffix(suffix)
    token = token or secrets.token_hex(_TOKEN_BYTES)
    return path.with_name(f".{stem}{_UNFINISHED}{token}{suffix}")


def _lock_unfinished(path, stack):
    """A path as of `_unfinished`, with a lock that others see before they remove it."""
    while True:
        temporary = _unfinished(path)
        # who cleans up may be faster and hold the lock that has just been made
        with contextlib.suppress(InUseError):
            lock = hold(temporary.with_name(f"{temporary.name}.lock"), keep=False)
            stack.enter_context(lock)
            return temporary


def _remove_left(path):
    """Remove what killed processes have left that were writing a file."""
    mark = "0" * 2 * _TOKEN_BYTES
    before, _, behind = _unfinished(path, mark).name.rpartition(mark)
    pattern = re.compile(
        f"({re.escape(before)}[0-9a-f]{{{len(mark)}}}{re.escape(behind)})([.]lock)?"
    )
    found = {pattern.fullmatch(name) for name in os.listdir(path.parent)}
    for name in {match[1] for match in found if match}:
        # who still writes holds the lock; what can't be removed does no harm
        with contextlib.suppress(InUseError, OSError):
            with hold(path.with_name(f"{name}.lock"), keep=False):
                path.with_name(name).unlink(missing_ok=True)


def _mode(path):
    """Permissions of a file that is to be replaced, or None if there is none."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        kind = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(kind, "is there and not a file; name another place", str(path))
    if not os.access(path, os.W_OK):
        raise PermissionError(
            errno.EACCES, "may not be written to; make it writable", str(path)
        )
    return mode & 0o777


def _create(temporary, mode):
    """An empty file that nobody may read who may not read the one that it replaces."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    wanted = 0o666 if mode is None else mode | stat.S_IWUSR
    # the system applies the umask, which can't be read without changing it
    os.close(os.open(temporary, flags, wanted))


def _full_disk(error):
    """The system's error of a full disk that led to an error, or None."""
    seen = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.errno in _FULL:
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None
