"""Runs a command on a disk that is nearly full."""

import contextlib
import os
import resource
import shutil
import signal
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
    if not can_mount():
        return subprocess.run(command, preexec_fn=_file_limit(n_bytes), **kwargs)
    with _small_disk(Path(folder), n_bytes):
        return subprocess.run(command, **kwargs)


def can_mount():
    """Whether this process may mount a file system."""
    with tempfile.TemporaryDirectory() as folder:
        if not _mount(folder, "size=64k", check=False):
            return False
        _unmount(folder)
        return True


def _file_limit(n_bytes):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error, not the end
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))

    return limit


@contextlib.contextmanager
def _small_disk(folder, n_bytes):
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
            yield
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
    subprocess.run(["umount", str(folder)], check=True)
