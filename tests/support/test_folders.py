import shutil

import pytest

from nengo_permadrop.support.files import NoRoomError
from nengo_permadrop.support.folders import check_folder, check_room, prepare_folder


def test_folder_is_made(tmp_path):
    assert prepare_folder(tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []
    assert check_folder(tmp_path / "c" / "d") == tmp_path / "c" / "d"
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("name", ["file", "file/under", "file/far/under"])
@pytest.mark.parametrize("check", [check_folder, prepare_folder])
def test_file_in_the_way(check, name, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is a file.*file"):
        check(tmp_path / name)


@pytest.mark.parametrize(
    "total, free, enough", [(100, 10, True), (100, 9, False), (0, 0, True)]
)
def test_room(total, free, enough, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(total=total, free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    if enough:
        check_room(tmp_path, 10)
        return
    with pytest.raises(NoRoomError, match="no room"):
        check_room(tmp_path, 10)
