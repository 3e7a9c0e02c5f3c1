"""Arrays from files: what they declare is compared before memory is taken."""

import gc
import io
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from nengo_permadrop.support.archives import read_npz, readable, write_npz
from nengo_permadrop.support.errors import DamagedFileError
from nengo_permadrop.support.files import NoRoomError


def npy(array=(), shape=None, descr=None, version=1):
    """A member, of which the header may say something else than there is."""
    stream = io.BytesIO()
    np.save(stream, np.asarray(array))
    content = stream.getvalue()
    header = {"descr": descr or "<f8", "fortran_order": False, "shape": shape}
    if shape is not None:
        text = repr(header).encode().ljust(117) + b"\n"
        content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
        content += np.asarray(array).tobytes()
    return content[:6] + bytes([version]) + content[7:]


def write(path, compression=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def refused(path, match, **kwargs):
    with pytest.raises(DamagedFileError, match=match) as caught:
        read_npz(path, "a test's file", "make it again", **kwargs)
    message = str(caught.value)
    assert caught.value.path == str(path) and str(path) in message
    assert "isn't a test's file" in message and message.endswith("; make it again")


def test_arrays_come_back(tmp_path):
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "text": np.array(["a", "größer"]),
        "scalar": np.array(3, dtype=np.uint8),
        "empty": np.zeros((0, 3), dtype=np.float32),
    }
    for savez, options in (
        (np.savez, {}),
        (np.savez_compressed, {"max_unpacked": 999}),
    ):
        savez(tmp_path / "a.npz", **arrays)
        found = read_npz(tmp_path / "a.npz", "x", "y", **options)
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            assert np.array_equal(found[name], array)
            assert found[name].dtype == array.dtype


@pytest.mark.parametrize(
    "content, match",
    [
        (npy([1.0], shape=(10**12,)), "should have 8000000000000 bytes.*has 8"),
        (npy([1.0, 2.0], shape=(1,)), "should have 8 bytes of values, and has 16"),
        (npy([1.0], shape=(-1, -1)), "should have"),
        (npy(shape=(10**12,), descr="<U0"), "type <U0"),
        (npy(shape=(10**12, 0), descr="|V0"), "values of type"),
        (npy([1.0], shape=(1,), descr="|O"), "values of type object"),
        (npy([1.0], shape=(1,), descr=[("a", "<f8")]), "values of type"),
        (npy([1.0], version=2), "version"),
        (npy([1.0])[:20], "ValueError"),
        (npy([1.0])[:-1], "should have 8 bytes of values, and has 7"),
        (b"", "ValueError"),
    ],
)
def test_headers_that_lie(tmp_path, content, match):
    path = tmp_path / "a.npz"
    write(path, a=content)
    refused(path, match)


def test_objects_are_not_written(tmp_path):
    with pytest.raises(TypeError, match="a must hold numbers or text"):
        write_npz(tmp_path / "a.npz", a=[{}])
    assert list(tmp_path.iterdir()) == []


def test_other_files(tmp_path):
    path = tmp_path / "a.npz"
    for content in (b"", b"Sample\tDrug1\n", npy([1.0]), b"PK\x05\x06"):
        path.write_bytes(content)
        refused(path, "BadZipFile")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "x")
    refused(path, "has a member 'a.txt'")
    with pytest.raises(FileNotFoundError, match="none.npz"):
        read_npz(tmp_path / "none.npz", "x", "y")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        read_npz(tmp_path, "x", "y")


def test_every_flipped_byte_of_the_values_is_found(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(4.0))
    content = path.read_bytes()
    start = content.index(np.arange(4.0).tobytes())
    for place in range(start, start + 32):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        refused(path, "CRC")


def test_members_that_overlap(tmp_path):
    """One member of a megabyte, listed a hundred times."""
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", npy(np.zeros(2**17)))
        (info,) = archive.infolist()
        archive.filelist.extend([info] * 99)
    refused(path, "declares .* bytes in a file of")


COMPRESSED = """
import resource, sys
from nengo_permadrop.support.archives import read_npz
from nengo_permadrop.support.errors import DamagedFileError
from nengo_permadrop.support.files import NoRoomError

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for limit in (0, 2**27):
    try:
        read_npz(sys.argv[1], "x", "y", limit)
    except DamagedFileError as error:
        print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_small_file_takes_little_memory(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, values=np.zeros(2**25))
    assert path.stat().st_size < 2**20 < 2**28
    done = subprocess.run(
        [sys.executable, "-c", COMPRESSED, path],
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, kib = done.stdout.splitlines()
    assert "'values.npy' is compressed" in first and "would take 268435" in second
    assert int(kib) < 2**14


def test_one_error_in_few_words(tmp_path):
    with pytest.raises(DamagedFileError, match="KeyError: 'header'") as caught:
        with readable("a.npz", "x", "y"):
            {}["header"]
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(DamagedFileError) as caught:
        with readable("a.npz", "x", "y"):
            raise ValueError("a" * 10**6)
    assert len(str(caught.value)) < 400
    with pytest.raises(MemoryError), readable("a.npz", "x", "y"):
        raise MemoryError


@pytest.mark.parametrize("n_bytes", range(1000, 40_000, 1500))
def test_full_disk_is_told_once_wherever_it_ends(n_bytes, tmp_path, monkeypatch, rng):
    """Not a second time on standard error, when the half archive is deleted."""
    resource = pytest.importorskip("resource")
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    arrays = {f"a{i}": rng.rand(n) for i, n in enumerate((1500, 10, 1, 3000, 400))}
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        with pytest.raises(NoRoomError):
            write_npz(tmp_path / "x.npz", **arrays)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    gc.collect()
    assert not told and list(tmp_path.iterdir()) == []
