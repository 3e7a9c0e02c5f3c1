"""The store of finished parts, and sample() going on from it."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import nengo
import numpy as np
import pytest
from kmodels import mlp, observations
from logged import LoggedNetwork
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.backends.base import get_backend
from nengo_permadrop.execution import checkpoint as checkpoint_module
from nengo_permadrop.execution.checkpoint import Checkpoint
from nengo_permadrop.support import files
from nengo_permadrop.support.errors import DamagedFileError

FAST = dict(presentation_time=0.02, settle=0.01, progress=False)
pytestmark = pytest.mark.filterwarnings("ignore:.* may not agree")
IDENTITY = {"seed": 1, "model": "a" * 64}


def parts(folder):
    return sorted((folder / "parts").iterdir())


# -- the store


def test_parts_come_back(tmp_path):
    arrays = {
        "0-3": np.arange(3.0),
        "3-4": np.array([[1, 2]], dtype=np.float32),
        "text": np.array(["a", "bc"]),
        "empty": np.zeros((0, 2)),
    }
    with Checkpoint(tmp_path / "run", IDENTITY) as checkpoint:
        assert checkpoint.done() == set()
        assert checkpoint.load("0-3") is None
        for name, array in arrays.items():
            checkpoint.save(name, array)
    with Checkpoint(str(tmp_path / "run"), dict(reversed(IDENTITY.items()))) as again:
        assert again.done() == set(arrays)
        for name, array in arrays.items():
            loaded = again.load(name)
            assert np.array_equal(loaded, array) and loaded.dtype == array.dtype


def test_what_was_fixed_stays(tmp_path):
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.fixed("chunk_size", lambda: 5) == 5
        assert checkpoint.fixed("chunk_size", lambda: 6) == 5
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.fixed("chunk_size", None) == 5


def test_objects_and_odd_names_are_refused(tmp_path):
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        with pytest.raises(ValueError, match="allow_pickle"):
            checkpoint.save("a", np.array([object()]))
        for name in ("", "../a", "a/b", ".a"):
            with pytest.raises(ValidationError, match="letters"):
                checkpoint.save(name, np.zeros(1))
        assert checkpoint.done() == set()


def test_something_else_is_refused_with_what_differs(tmp_path):
    with Checkpoint(tmp_path, IDENTITY):
        pass
    other = {"seed": 2, "model": "b" * 64, "masks": "draw"}
    with pytest.raises(
        ValidationError,
        match=r'masks was null and is now "draw", model was "a{12}\.\.\." and is '
        r'now "b{12}\.\.\.", seed was 1 and is now 2; give the same arguments',
    ):
        with Checkpoint(tmp_path, other):
            pass
    with Checkpoint(tmp_path, IDENTITY):  # as it was, and not locked
        pass


@pytest.mark.parametrize(
    "content",
    [b"{", b"{}", b'"x"', b'{"format": "other"}', b'{"format": "\xff"}', b"[" * 10**5],
)
def test_damaged_manifest(tmp_path, content):
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match="manifest.json: is damaged") as caught:
        with Checkpoint(tmp_path, IDENTITY):
            pass
    assert caught.value.path == str(path) and len(str(caught.value)) < 600


@pytest.mark.parametrize("old, new", [('"chunks": 5', '"chunks": 7'), ("aaa", "aba")])
def test_a_flipped_digit_of_the_manifest_is_found(tmp_path, old, new):
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        checkpoint.fixed("chunks", lambda: 5)
    path = tmp_path / "manifest.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DamagedFileError, match="checksum is wrong.*give a new folder"):
        with Checkpoint(tmp_path, IDENTITY):
            pass


def test_newer_format(tmp_path):
    with Checkpoint(tmp_path, IDENTITY):
        pass
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
    with pytest.raises(DamagedFileError, match="version 99.*install a newer one"):
        with Checkpoint(tmp_path, IDENTITY):
            pass
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 1}))
    with pytest.raises(DamagedFileError, match="version 1 .*give a new folder"):
        with Checkpoint(tmp_path, IDENTITY):
            pass


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValidationError, match="not a checkpoint.*'thesis.tex'"):
        with Checkpoint(tmp_path, IDENTITY):
            pass
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    code = """
import os, sys
import numpy as np
from nengo_permadrop.support import files
from nengo_permadrop.execution.checkpoint import Checkpoint

with Checkpoint(sys.argv[1], {"seed": 1, "model": 64 * "a"}) as checkpoint:
    checkpoint.save("a", np.zeros(1))
    files.os.replace = lambda *paths: os.kill(os.getpid(), 9)
    if sys.argv[2] == "part":
        checkpoint.save("b", np.zeros(1))
    checkpoint.fixed("n", lambda: 1)
"""
    for what in ("part", "manifest"):
        command = [sys.executable, "-c", code, tmp_path, what]
        assert subprocess.run(command).returncode == -signal.SIGKILL
    left = [path for path in tmp_path.rglob(".*") if "unfinished" in path.name]
    assert len(left) == 1  # that of the first is gone already
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.done() == {"a"}
    assert sorted(os.listdir(tmp_path)) == ["lock", "manifest.json", "parts"]
    assert len(parts(tmp_path)) == 1


def damages():
    def flipped(path):
        content = bytearray(path.read_bytes())
        content[-3] ^= 1
        path.write_bytes(content)

    def truncated(path):
        path.write_bytes(path.read_bytes()[:-1])

    def emptied(path):
        path.write_bytes(b"")

    def overwritten(path):
        np.save(path.open("wb"), np.zeros(3))

    return [flipped, truncated, emptied, overwritten]


@pytest.mark.parametrize("damage", damages(), ids=lambda damage: damage.__name__)
def test_damage_is_found(tmp_path, damage):
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        checkpoint.save("a", np.arange(3.0))
        checkpoint.save("b", np.arange(4.0))
        damage(tmp_path / "parts" / "a.part")
        with pytest.warns(UserWarning, match="a.part is damaged"):
            assert checkpoint.load("a") is None
        assert checkpoint.done() == {"b"}
        assert np.array_equal(checkpoint.load("b"), np.arange(4.0))


@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_in_place_of_a_part(tmp_path, empty):
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        checkpoint.save("b", np.arange(4.0))
        folder = tmp_path / "parts" / "a.part"
        folder.mkdir()
        if not empty:
            (folder / "thesis.tex").write_text("x")
        with pytest.warns(UserWarning, match="a.part is damaged .it is not a file"):
            assert checkpoint.load("a") is None
        checkpoint.save("a", np.arange(3.0))
        assert np.array_equal(checkpoint.load("a"), np.arange(3.0))
        assert checkpoint.done() == {"a", "b"}
    kept = [path.name for path in tmp_path.rglob("thesis.tex")]
    assert kept == ([] if empty else ["thesis.tex"])


def test_a_part_that_is_not_an_array_but_has_a_checksum(tmp_path):
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        checkpoint.save("a", np.arange(3.0))
        path = tmp_path / "parts" / "a.part"
        start = path.read_bytes()[: checkpoint_module._START]
        huge = (
            b"\x93NUMPY\x01\x00v\x00"
            + (
                b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
            ).ljust(117)
            + b"\n"
        )
        for payload in (b"", b"x" * 100, huge):
            checksum = checkpoint._checksum("a", payload)
            path.write_bytes(start[: -len(checksum)] + checksum + payload)
            with pytest.warns(UserWarning, match="a.part is damaged"):
                assert checkpoint.load("a") is None


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    target = tmp_path / "thesis.tex"
    target.write_text("x")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").symlink_to(target)
    with pytest.raises(OSError, match="is a link.*remove it: '.*lock'"):
        with Checkpoint(tmp_path / "run", IDENTITY):
            pass
    assert target.read_text() == "x"


def test_a_forked_process_does_not_keep_the_lock(tmp_path):
    code = """
import os, sys, time
from nengo_permadrop.execution.checkpoint import Checkpoint

with Checkpoint(sys.argv[1], {"seed": 1}):
    done, begun = os.pipe()
    child = os.fork()
    if not child:
        sys.stdin.close(), sys.stdout.close()
        os.write(begun, b"1")
        time.sleep(60)
        os._exit(0)
    os.read(done, 1)  # until then it may not have had time to let go of the lock
    print(child, flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", code, tmp_path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    try:
        with pytest.raises(ValidationError, match=f"by process {process.pid} on"):
            with Checkpoint(tmp_path, {"seed": 1}):
                pass
        process.kill()
        process.wait()
        os.kill(child, 0)  # it lives
        with Checkpoint(tmp_path, {"seed": 1}):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def test_a_part_under_another_name_or_of_another_run_is_damaged(tmp_path):
    for seed in (1, 2):
        with Checkpoint(tmp_path / str(seed), {"seed": seed}) as checkpoint:
            checkpoint.save("a", np.zeros(3))
    first, second = tmp_path / "1" / "parts", tmp_path / "2" / "parts"
    (first / "b.part").write_bytes((first / "a.part").read_bytes())
    (second / "a.part").write_bytes((first / "a.part").read_bytes())
    for folder, name in ((1, "b"), (2, "a")):
        with Checkpoint(tmp_path / str(folder), {"seed": folder}) as checkpoint:
            with pytest.warns(UserWarning, match="checksum"):
                assert checkpoint.load(name) is None


def test_one_process_and_thread_at_a_time(tmp_path):
    code = (
        "import sys; from nengo_permadrop.execution.checkpoint import Checkpoint\n"
        "with Checkpoint(sys.argv[1], {'seed': 1}): print('locked', flush=True); "
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(ValidationError, match=f"in use by process {process.pid} on"):
        with Checkpoint(tmp_path, {"seed": 1}):
            pass
    process.kill()
    process.communicate()

    found = []

    def enter():
        try:
            with Checkpoint(tmp_path / "." / "", {"seed": 1}):
                pass
        except ValidationError as error:
            found.append(str(error))

    with Checkpoint(tmp_path, {"seed": 1}):  # the dead process holds no lock
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    assert len(found) == 1 and "in use by this process" in found[0]


# -- no room


def test_disk_full_leaves_nothing_half_written(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        checkpoint.save("a", np.arange(3.0))
        with monkeypatch.context() as patch:
            patch.setattr(files.os, "fsync", full)
            with pytest.raises(OSError, match="no room to go on") as caught:
                checkpoint.save("b", np.arange(3.0))
            assert caught.value.errno == errno.ENOSPC
        assert [path.name for path in parts(tmp_path)] == ["a.part"]
        checkpoint.save("b", np.arange(3.0))


def test_file_too_large(tmp_path):
    """The system's own limit, halfway through a file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        checkpoint.save("a", np.zeros(100))
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            with pytest.raises(OSError, match="no room to go on"):
                checkpoint.save("b", np.zeros(10000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert [path.name for path in parts(tmp_path)] == ["a.part"]
        assert np.array_equal(checkpoint.load("a"), np.zeros(100))


# -- sample()


@pytest.fixture(scope="module")
def kmodel():
    return mlp()


@pytest.fixture(scope="module")
def conv(kmodel):
    return npd.Converter(kmodel)


@pytest.fixture(scope="module")
def X(kmodel):
    return observations(kmodel, 4)[0]


@pytest.fixture(params=["nengo", "batched", "keras"])
def backend(request, monkeypatch):
    monkeypatch.setattr(get_backend(request.param), "chunk_size", chunks_of_3)
    return request.param


def chunks_of_3(problem, max_memory=None, session=None):
    return 3 if max_memory is None else 2


@pytest.fixture
def model(backend, kmodel, conv):
    return kmodel if backend == "keras" else conv


def draw(model, X, backend, **kwargs):
    kwargs = {"n_draws": 4, **FAST, **kwargs}
    return npd.sample(model, X, backend=backend, **kwargs)


def test_goes_on_after_an_end(backend, model, X, tmp_path, monkeypatch, capsys):
    expected = draw(model, X, backend).values
    save, saved = Checkpoint.save, []

    def interrupted(self, name, array):
        if len(saved) == 2:
            raise KeyboardInterrupt
        saved.append(name)
        save(self, name, array)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            draw(model, X, backend, checkpoint=tmp_path)
    done = {path: path.stat().st_mtime_ns for path in parts(tmp_path)}
    assert len(done) == 2

    samples = draw(model, X, backend, checkpoint=tmp_path, progress=True)
    assert "6/16" in capsys.readouterr().err  # the bar starts with what is done
    assert np.array_equal(samples.values, expected)
    assert samples.values.dtype == expected.dtype
    assert all(path.stat().st_mtime_ns == time for path, time in done.items())

    # and once all is done, nothing is simulated
    monkeypatch.setattr(get_backend(backend), "session", None)
    again = draw(model, X, backend, checkpoint=tmp_path)
    assert np.array_equal(again.values, expected)


def test_more_draws_of_the_same(backend, model, X, tmp_path):
    first = draw(model, X, backend, checkpoint=tmp_path)
    more = draw(model, X, backend, checkpoint=tmp_path, n_draws=6)
    assert np.array_equal(more.values, draw(model, X, backend, n_draws=6).values)
    rtol = 1e-5 if backend == "keras" else 0  # the last chunk had fewer rows
    assert np.allclose(more.values[:4], first.values, rtol=rtol)


def test_less_memory_when_it_goes_on(backend, model, X, tmp_path):
    whole = draw(model, X, backend, checkpoint=tmp_path)
    for path in parts(tmp_path)[1:]:
        path.unlink()
    less = draw(model, X, backend, checkpoint=tmp_path, max_memory=10)
    rtol = 1e-5 if backend == "keras" else 0
    assert np.allclose(less.values, whole.values, rtol=rtol)
    names = [path.name for path in parts(tmp_path)]
    assert "0-3.part" in names and "0-2.part" not in names


def test_damaged_chunk_is_computed_again(backend, model, X, tmp_path):
    whole = draw(model, X, backend, checkpoint=tmp_path)
    path = parts(tmp_path)[1]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=f"{path.name} is damaged.*computed again"):
        again = draw(model, X, backend, checkpoint=tmp_path)
    assert np.array_equal(again.values, whole.values)


def test_disk_full_says_so(conv, X, tmp_path, monkeypatch):
    fsync, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(get_backend("nengo"), "chunk_size", lambda *args: 1)
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(OSError, match="no room.*run the same again"):
            draw(conv, X, "nengo", checkpoint=tmp_path)
    assert 0 < len(parts(tmp_path)) < 16
    samples = draw(conv, X, "nengo", checkpoint=tmp_path)
    assert np.array_equal(samples.values, draw(conv, X, "nengo").values)


def test_killed_at_random_moments(tmp_path):
    """benchmarks/kill_and_resume.py does it 20 times."""
    folder, checkpoint = tmp_path / "log", tmp_path / "run"
    folder.mkdir()
    expected = LoggedNetwork(folder).sample().values
    code = (
        "import sys; from logged import LoggedNetwork; net = LoggedNetwork(sys.argv[1],"
        " seconds=0.02); values = net.sample(checkpoint=sys.argv[2]).values; "
        "values.tofile(sys.argv[3])"
    )
    command = [sys.executable, "-c", code, folder, checkpoint, tmp_path / "values"]
    path = os.pathsep.join([os.path.dirname(os.path.dirname(__file__)), *sys.path])
    rng = np.random.RandomState(0)
    done = 0
    for _ in range(3):
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
        until = done + rng.randint(1, 8)
        while process.poll() is None and done < until:
            time.sleep(0.002)
            done = len(list(checkpoint.glob("parts/[!.]*")))
        time.sleep(rng.uniform(0, 0.03))
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it ended before"
        done = len(list(checkpoint.glob("parts/[!.]*")))
    subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=True)
    assert (tmp_path / "values").read_bytes() == expected.tobytes()
    # 30 here and 30 there; a kill costs the chunk in work
    assert len(LoggedNetwork(folder).logged("chunk")) <= 60 + 3


@pytest.mark.parametrize(
    "name, change",
    [
        ("seed", dict(seed=1)),
        ("masks", dict(masks="draw")),
        ("settle", dict(settle=0.011)),
        ("dt", dict(dt=0.002)),
        ("presentation_time", dict(presentation_time=0.03)),
        ("first_observation", dict(first_observation=1)),
    ],
)
def test_another_run_is_refused(conv, X, tmp_path, name, change):
    draw(conv, X, "batched", checkpoint=tmp_path)
    with pytest.raises(ValidationError, match=rf"something else: {name} was [^,]*;"):
        draw(conv, X, "batched", checkpoint=tmp_path, **change)


def test_another_model_data_or_backend_is_refused(kmodel, conv, X, tmp_path):
    draw(conv, X, "batched", checkpoint=tmp_path)
    with pytest.raises(ValidationError, match="something else: X was"):
        draw(conv, X + 1e-9, "batched", checkpoint=tmp_path)
    with pytest.raises(ValidationError, match='something else: backend was "batched"'):
        draw(conv, X, "nengo", checkpoint=tmp_path)
    for other in (npd.Converter(mlp(seed=1)), npd.Converter(kmodel, redraw=0.01)):
        with pytest.raises(ValidationError, match="something else: model was"):
            draw(other, X, "batched", checkpoint=tmp_path)
    # its own masks don't matter to the samples, nor that it has been used
    with nengo.Network(seed=5):
        same = npd.Converter(kmodel, seed=8)
    draw(same, X, "batched")
    draw(same, X, "batched", checkpoint=tmp_path)
