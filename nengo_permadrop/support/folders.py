"""Folders for results: whether they can be written to, and errors where they can't."""

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

from nengo_permadrop.support.files import NoRoomError, room_at


def check_folder(directory):
    """
    Raise an error if there is a file where a folder is to be; nothing is made.

    Parameters
    ----------
    directory : str or path-like

    Returns
    -------
    directory : Path

    Raises
    ------
    NotADirectoryError
    """
    directory = Path(directory)
    for path in (directory, *directory.parents):
        if path.is_dir():
            break
        if os.path.lexists(path):
            raise NotADirectoryError(
                errno.ENOTDIR,
                "is a file, or lies under one, and must be a folder; name another "
                "place",
                os.fspath(directory),
            )
    return directory


def prepare_folder(directory):
    """
    Make a folder, and make sure that files can be written to it.

    Parameters
    ----------
    directory : str or path-like

    Returns
    -------
    directory : Path

    Raises
    ------
    OSError
        If that can't be done; the message says why.
    """
    directory = check_folder(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:  # which may name a file that nobody knows
        told = f"can't be written to ({error.strerror}); name another folder"
        raise type(error)(error.errno, told, os.fspath(directory)) from error
    return directory


@contextlib.contextmanager
def new_folder(directory):
    """
    A context that makes a folder, and removes it if an error comes before any file.

    Parameters
    ----------
    directory : str, path-like or None
        None makes none. Folders above it are made, and removed, too.

    Raises
    ------
    OSError
        As `prepare_folder`.
    """
    if directory is None:
        yield
        return
    path = check_folder(directory)
    made = [each for each in (path, *path.parents) if not each.exists()]
    prepare_folder(path)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # that isn't empty
            for each in made:
                each.rmdir()
        raise


def check_room(directory, n_bytes):
    """
    Raise an error if there is no room for files.

    Parameters
    ----------
    directory : Path
        Must exist.
    n_bytes : int
        What the files will take together.

    Raises
    ------
    `.NoRoomError`
        If there is less. Quotas of users are not looked at.
    """
    total, _, free = shutil.disk_usage(directory)
    if free < n_bytes and total > 0:  # some network file systems don't know
        raise NoRoomError(
            errno.ENOSPC,
            f"no room: about {n_bytes / 1e6:.1f} MB are needed and {free / 1e6:.1f} MB "
            "are free; free some space, or name another place",
            os.fspath(directory),
        )


@contextlib.contextmanager
def told_if_full(directory, kept):
    """
    A context whose errors of a full disk say what is kept.

    Parameters
    ----------
    directory : str or path-like
    kept : callable
        Called without arguments, gives in words what is there in spite of the error,
        and how to go on.

    Raises
    ------
    `.NoRoomError`
    """
    try:
        with room_at(directory):
            yield
    except NoRoomError as error:
        raise NoRoomError(
            error.errno,
            f"no room to go on ({os.strerror(error.errno)}); {kept()}",
            os.fspath(directory),
        ) from error
