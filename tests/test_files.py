import os
import stat

import pytest

from nengo_permadrop.files import atomic_path, write_text


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
