"""infer's two tables appear together or not at all."""

import errno
import os

import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_permadrop.combo.tables import PredictionTables
from nengo_permadrop.support.files import NoRoomError

LABELS = {name: np.array(["a", "b"]) for name in ("Sample", "Drug1", "Drug2")}


class Killed(BaseException):
    """What nothing catches, like a signal."""


def write(folder, value):
    with PredictionTables(folder, "S", "D") as tables:
        tables.write(LABELS, np.full((3, 2), value))
    return tables


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(name="old")
def _old(tmp_path):
    write(tmp_path / "out", 1.0)
    return contents(tmp_path / "out")


@pytest.fixture(name="new")
def _new(tmp_path):
    write(tmp_path / "new", 2.0)
    return contents(tmp_path / "new")


@pytest.mark.parametrize("error", [KeyboardInterrupt, Killed])
def test_a_failure_leaves_what_was_there(error, old, tmp_path):
    folder = tmp_path / "out"
    with pytest.raises(error), PredictionTables(folder, "S", "D") as tables:
        tables.write(LABELS, np.full((3, 2), 2.0))
        raise error
    assert contents(folder) == old


@pytest.mark.parametrize("place", [0, 1])
def test_full_disk_at_the_end_leaves_what_was_there(place, old, tmp_path, monkeypatch):
    """Not one of both: neither takes its name before both are on disk."""
    calls = []
    fsync = os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > place:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoRoomError, match="no room"):
        write(tmp_path / "out", 2.0)
    assert contents(tmp_path / "out") == old


@pytest.mark.parametrize("n_renames", [0, 1, 2, 3])
@pytest.mark.parametrize("there", [True, False])
def test_killed_while_they_are_renamed(n_renames, there, old, new, tmp_path):
    """The next run ends what was begun, before anything else."""
    folder = tmp_path / ("out" if there else "other")
    replace = os.replace
    done = []

    def killed(*args):
        if len(done) == n_renames:
            raise Killed
        done.append(args)
        replace(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", killed)
        if n_renames < 3:
            with pytest.raises(Killed):
                write(folder, 2.0)
        else:
            write(folder, 2.0)
    with pytest.raises(Killed), PredictionTables(folder, "S", "D"):
        raise Killed
    expected = new if n_renames > 0 else (old if there else {})
    assert contents(folder) == expected


def test_what_a_killed_process_left_is_removed(old, new, tmp_path):
    folder = tmp_path / "out"
    for name in old:
        (folder / f".{name}.part").write_text("half")
    write(folder, 2.0)
    assert contents(folder) == new


def test_two_do_not_write_the_same_tables(old, tmp_path):
    folder = tmp_path / "out"
    with pytest.raises(Killed), PredictionTables(folder, "S", "D"):
        with pytest.raises(FileExistsError, match="is being written by"):
            write(folder, 2.0)
        raise Killed
    assert contents(folder) == old


@pytest.mark.parametrize("name", ["../S", "a/b", "a\\b", "nul\0"])
def test_names_that_are_no_names_of_files(name, tmp_path):
    with pytest.raises(ValidationError, match="drug_set.*names a file"):
        PredictionTables(tmp_path, "S", name)
    with pytest.raises(ValidationError, match="sample_set.*names a file"):
        PredictionTables(tmp_path, name, "D")


def test_a_folder_in_the_way_is_told_first(tmp_path):
    (tmp_path / "comb_pred_S_D.tsv").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        PredictionTables(tmp_path, "S", "D").__enter__()
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is a file"):
        PredictionTables(tmp_path / "file", "S", "D")


def test_no_room_is_told_first(tmp_path):
    tables = PredictionTables(tmp_path, "S", "D", n_rows=10**12, n_draws=100)
    with pytest.raises(NoRoomError, match="no room: about"):
        tables.__enter__()
    assert list(tmp_path.iterdir()) == []
