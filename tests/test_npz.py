"""Archives that are written on a full disk."""

import errno
import gc
import os

import numpy as np
import pytest

from nengo_permadrop import npz
from nengo_permadrop.files import NoRoomError


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_are_read_back(compressed, tmp_path, rng):
    arrays = {
        "a": rng.standard_normal((30, 4)),
        "b": np.array("text"),
        "c": np.array(3),
    }
    npz.save_npz(tmp_path / "x.npz", compressed, **arrays)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as found:
        assert set(found.files) == set(arrays)
        assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize("n_writes", [0, 1, 3, 6])
def test_a_full_disk_is_told_once(n_writes, tmp_path, monkeypatch, recwarn, rng):
    """Nothing on standard error, where pytest finds it as a warning."""

    class Full(npz._UntilError):
        def __init__(self, file):
            super().__init__(self)
            self.real, self.left = file, n_writes
            self.file = self

        def write(self, data):
            if isinstance(data, memoryview):
                if self.left == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self.left -= 1
                return self.real.write(data[:3] if self.left % 2 else data)
            return super().write(data)

        def tell(self):
            return self.real.tell()

        def seek(self, offset, whence=0):
            return self.real.seek(offset, whence)

    path = tmp_path / "x.npz"
    npz.save_npz(path, a=np.arange(3))
    before = path.read_bytes()
    monkeypatch.setattr(npz, "_UntilError", Full)
    with pytest.raises(NoRoomError, match="no room"):
        npz.save_npz(path, a=rng.standard_normal(1000), b=rng.standard_normal(1000))
    gc.collect()
    assert not recwarn.list
    assert os.listdir(tmp_path) == ["x.npz"] and path.read_bytes() == before
