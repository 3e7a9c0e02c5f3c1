"""A disk that is nearly full."""

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

PAGE = 4096


def run_with_room(command, n_bytes, folder, **kwargs):
    """
    Run a command for whose files there is little room.

    While it runs, ``folder`` is a file system of its own (tmpfs) with what is in it and
    ``n_bytes`` beside that. Where that can't be mounted, no file may be larger than
    ``n_bytes``, which ends in the same kind of error.

    Parameters
    ----------
    command : sequence of str
    n_bytes : int
        Rounded up to pages of 4096.
    folder : path-like
        Where the command writes; its content is kept.
    **kwargs
        Of `subprocess.run`.

    Returns
    -------
    done : `subprocess.CompletedProcess`
        With ``stdout`` and ``stderr`` as text.
    """
    kwargs = {"capture_output": True, "text": True, **kwargs}
    with small_disk(folder, n_bytes):
        return subprocess.run(command, **kwargs)


@contextlib.contextmanager
def small_disk(folder, n_bytes):
    """
    Let there be little room in a folder, for this process and those that it starts.

    Parameters
    ----------
    folder, n_bytes
        As in `run_with_room`.
    """
    with _file_limit(n_bytes) if not can_mount() else _mounted(Path(folder), n_bytes):
        yield


def can_mount():
    """Whether this process may mount a file system."""
    with tempfile.TemporaryDirectory() as folder:
        if not _mount(folder, "size=64k", check=False):
            return False
        _unmount(folder)
        return True


@contextlib.contextmanager
def _file_limit(n_bytes):
    # Python ignores SIGXFSZ, so that it is an error and not the end
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def _mounted(folder, n_bytes):
    with tempfile.TemporaryDirectory() as aside:
        _move(folder, aside)
        _mount(folder, "size=100%")
        try:
            for name in os.listdir(aside):
                _copy(Path(aside) / name, folder)
            stats = os.statvfs(folder)
            used = (stats.f_blocks - stats.f_bfree) * stats.f_frsize
            size = used + -(-n_bytes // PAGE) * PAGE
            _mount(folder, f"remount,size={max(size, PAGE)}")
            try:
                yield
            finally:
                shutil.rmtree(aside)
                os.mkdir(aside)
                for name in os.listdir(folder):
                    _copy(folder / name, aside)
        finally:
            _unmount(folder)
            _move(aside, folder)


def _move(source, target):
    for name in os.listdir(source):
        shutil.move(os.path.join(source, name), target)


def _copy(path, folder):
    # with permissions, and links as links
    subprocess.run(["cp", "-a", str(path), str(folder)], check=True)


def _mount(folder, options, check=True):
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return False
    if check and done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr}")
    return done.returncode == 0


def _unmount(folder):
    # later, if something still has a file open there, such as the frames of an error
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
