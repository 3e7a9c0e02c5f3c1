import os
import stat

import pytest

from nengo_permadrop.files import atomic_path, atomic_stream, write_text


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


def test_stream_replaces_what_a_killed_process_left(tmp_path):
    path = tmp_path / "table.tsv"
    (tmp_path / ".table.tsv.part").write_text("half of an earlier run")
    with atomic_stream(path) as stream:
        stream.write("grö")
        assert not path.exists()
        stream.write("ßer\n")
    assert path.read_bytes() == "größer\n".encode()
    assert os.listdir(tmp_path) == ["table.tsv"]


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
        with pytest.raises(FileExistsError, match="another process.*table.tsv"):
            with atomic_stream(path):
                pass
    assert path.read_text() == "whole\n"
