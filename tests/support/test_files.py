"""Files that are whole or not there, whoever else writes, and whoever is killed."""

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nengo_permadrop.execution.checkpoint import Checkpoint
from nengo_permadrop.support import files
from nengo_permadrop.support.files import (
    NoRoomError,
    atomic_path,
    atomic_stream,
    write_text,
)
from nengo_permadrop.support.locks import NoLocksError


def test_replaces_the_whole_file(tmp_path):
    path = tmp_path / "table.tsv"
    write_text(path, "a long first version\n")
    write_text(path, "größer\n")
    assert path.read_bytes() == "größer\n".encode()
    assert os.listdir(tmp_path) == ["table.tsv"]
    (tmp_path / "plain").touch()  # as readable as any other new file
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_failure_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "table.tsv"
    write_text(path, "old\n")
    with pytest.raises(error), atomic_path(path) as temporary:
        assert temporary.suffix == ".tsv" and temporary.parent == tmp_path
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old\n"
    assert os.listdir(tmp_path) == ["table.tsv"]


KILLED = """
import os, sys
from nengo_permadrop.support import files

def killed(*paths):
    os.kill(os.getpid(), 9)

files.os.replace = killed
with getattr(files, sys.argv[1])(sys.argv[2]) as given:
    given.write("half") if sys.argv[1] == "atomic_stream" else given.write_text("half")
"""


@pytest.mark.parametrize("way", ["atomic_stream", "atomic_path"])
def test_what_a_killed_process_has_left_is_removed(tmp_path, way):
    path = tmp_path / "table.all.tsv"
    for name in ("table.all.tsv", "other.all.tsv"):
        done = subprocess.run([sys.executable, "-c", KILLED, way, tmp_path / name])
        assert done.returncode == -signal.SIGKILL
    before = set(os.listdir(tmp_path))
    assert len(before) == (6 if way == "atomic_stream" else 4)
    with atomic_stream(path) as stream:
        stream.write("grö")
        assert not path.exists()
        stream.write("ßer\n")
    assert path.read_bytes() == "größer\n".encode()
    left = set(os.listdir(tmp_path))
    assert left == {name for name in before if "other" in name} | {path.name}
    assert len(left) == len(before) / 2 + 1


def test_files_of_those_who_still_write_are_left_alone(tmp_path):
    path = tmp_path / "table.tsv"
    with atomic_stream(path) as stream, atomic_path(path) as temporary:
        stream.write("first to begin\n")
        temporary.write_text("first to end\n")
        write_text(path, "a third\n")
        assert temporary.read_text() == "first to end\n"
    assert path.read_text() == "first to begin\n"
    assert os.listdir(tmp_path) == [path.name]


def test_a_file_that_ended_meanwhile_is_not_emptied(tmp_path, monkeypatch):
    """A second writer that comes while the first one ends, at the worst moment."""
    path = tmp_path / "table.tsv"
    refused = []

    def replace(source, target, replace=os.replace):
        replace(source, target)
        monkeypatch.undo()
        for _ in range(2):
            with pytest.raises(FileExistsError):
                with atomic_stream(path):
                    pass
            refused.append(path.read_text())

    monkeypatch.setattr(files.os, "replace", replace)
    with atomic_stream(path) as stream:
        stream.write("whole\n")
    assert refused == ["whole\n"] * 2
    assert os.listdir(tmp_path) == [path.name]


def test_two_writers_that_are_killed():
    """benchmarks/two_writers.py does it 200 times."""
    script = Path(__file__).parents[2] / "benchmarks" / "two_writers.py"
    done = subprocess.run(
        [sys.executable, script, "--trials", "10"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 kills" in done.stdout and " 0 damaged" in done.stdout


def test_umask_of_the_process_stays(tmp_path, monkeypatch):
    """It belongs to all threads: one that makes a file meanwhile would lose it."""
    monkeypatch.setattr(os, "umask", None)
    write_text(tmp_path / "a", "x")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_permissions_of_a_file_stay(tmp_path, mode):
    path = tmp_path / "table.tsv"
    write_text(path, "old\n")
    path.chmod(mode)
    with atomic_path(path) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) & ~mode == 0
        temporary.write_text("new\n")
    assert path.read_text() == "new\n"
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_file_that_may_not_be_written_stays(tmp_path, monkeypatch):
    path = tmp_path / "table.tsv"
    write_text(path, "old\n")
    path.chmod(0o400)
    if os.access(path, os.W_OK):  # root
        monkeypatch.setattr(files.os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="make it writable"):
        write_text(path, "new\n")
    assert path.read_text() == "old\n"


def test_what_is_no_file_stays(tmp_path):
    with pytest.raises(IsADirectoryError, match="name another place"):
        write_text(tmp_path, "x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="name another place"):
        write_text(tmp_path / "pipe", "x")
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    (tmp_path / ".table.tsv.lock").symlink_to("thesis.tex")
    with pytest.raises(OSError, match="is a link"):
        with atomic_stream(tmp_path / "table.tsv"):
            pass
    assert (tmp_path / "thesis.tex").read_text() == "x"


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    """What needs no lock is written without; what needs one says so."""

    def acquire(self, **kwargs):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("nengo_permadrop.support.locks.FileLock.acquire", acquire)
    path = tmp_path / "table.tsv"
    write_text(path, "whole\n")
    assert path.read_text() == "whole\n" and os.listdir(tmp_path) == [path.name]
    with pytest.raises(NoLocksError, match="has no locks.*table.tsv.lock"):
        with atomic_stream(path):
            pass
    with pytest.raises(NoLocksError, match="choose a folder of another one"):
        with Checkpoint(tmp_path / "run", {}):
            pass


def test_full_disk_by_way_of_another_error(tmp_path):
    """NumPy's savez ends in a ValueError."""
    with pytest.raises(NoRoomError, match="no room to write it.*table.npz") as caught:
        with atomic_path(tmp_path / "table.npz"):
            try:
                raise OSError(errno.EDQUOT, "quota")
            finally:
                raise ValueError("Can't close the ZIP file")
    assert caught.value.errno == errno.EDQUOT
    assert os.listdir(tmp_path) == []


def test_stream_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "table.tsv"
    write_text(path, "old\n")
    with pytest.raises(KeyboardInterrupt), atomic_stream(path) as stream:
        stream.write("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old\n"
    assert os.listdir(tmp_path) == ["table.tsv"]


def test_two_do_not_write_the_same_file(tmp_path):
    path = tmp_path / "table.tsv"
    with atomic_stream(path) as stream:
        stream.write("whole\n")
        with pytest.raises(FileExistsError, match="by this process.*table.tsv"):
            with atomic_stream(path):
                pass
    assert path.read_text() == "whole\n"
