"""On a full disk nothing is lost, the error is one line, and a rerun goes on."""

import os

import nengo
import numpy as np
import pytest
from full_disk import PAGE, can_mount, small_disk

import nengo_permadrop as npd
from nengo_permadrop.backends.base import get_backend
from nengo_permadrop.support.files import NoRoomError, atomic_stream, write_text

N_CHUNKS = 5
# what the test below writes: a lock, a manifest, parts and samples, in whole pages
WRITTEN = PAGE * (2 + N_CHUNKS * 2 + 10)
SIZES = [WRITTEN * i // 10 for i in range(10)]
OLD = npd.PredictiveSamples(np.zeros((1, 1, 1)))


@pytest.fixture(name="network", scope="module")
def _network():
    with nengo.Network(seed=0) as net:
        node = nengo.Node([0.5])
        out = nengo.Node(size_in=100)
        transform = npd.PermanentDropout((100, 1), np.ones((100, 1)), rate=0.5)
        nengo.Connection(node, out, transform=transform, synapse=None)
    return net, node, out


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    engine = get_backend("nengo")
    monkeypatch.setattr(engine, "chunk_size", lambda *args: 10)


def draw(network, folder, drawn=None):
    net, node, out = network
    samples = npd.sample(
        net,
        {node: [[0.5]]},
        n_draws=10 * N_CHUNKS,
        output=out,
        backend="nengo",
        presentation_time=0.01,
        settle=0.005,
        checkpoint=folder / "run",
        progress=False,
    )
    samples.save(folder / "samples.npz")
    return samples


@pytest.mark.parametrize("n_bytes", SIZES)
def test_sample_and_save(network, tmp_path, n_bytes):
    folder = tmp_path / "disk"
    folder.mkdir()
    OLD.save(folder / "samples.npz")
    if not can_mount():  # the limit is then for each file, and this the largest one
        n_bytes = n_bytes * 40_000 // WRITTEN
    with small_disk(folder, n_bytes), pytest.raises(NoRoomError) as caught:
        draw(network, folder)
    message = str(caught.value)
    assert "no room to" in message and "run the same again" in message
    assert "\n" not in message and str(folder) in message
    # whole, or not there
    assert np.array_equal(npd.load_samples(folder / "samples").values, OLD.values)
    parts = {path.name: path.read_bytes() for path in folder.glob("run/parts/*")}
    if can_mount():  # two pages each, beside those of the lock and the manifest
        n_parts = max(0, -(-n_bytes // PAGE) - 2) // 2
        assert len(parts) == min(N_CHUNKS, n_parts)
    hidden = [path for path in folder.rglob(".*") if path.is_file()]
    assert hidden == []

    samples = draw(network, folder)
    for name, content in parts.items():  # nothing was computed twice
        assert (folder / "run" / "parts" / name).read_bytes() == content
    expected = draw(network, tmp_path)
    assert np.array_equal(samples.values, expected.values)
    loaded = npd.load_samples(folder / "samples")
    assert np.array_equal(loaded.values, expected.values)


@pytest.mark.parametrize("n_bytes", SIZES[:3])
def test_tables(tmp_path, n_bytes):
    folder = tmp_path / "disk"
    folder.mkdir()
    path = folder / "table.tsv"
    write_text(path, "old\n")
    with small_disk(folder, n_bytes):
        with pytest.raises(NoRoomError, match="no room to write it.*table.tsv"):
            write_text(path, 10_000 * "new\n")
        with pytest.raises(NoRoomError, match="no room to write it.*table.tsv"):
            with atomic_stream(path) as stream:
                for _ in range(10_000):
                    stream.write("new\n")
        assert path.read_text() == "old\n" and os.listdir(folder) == [path.name]
    write_text(path, "new\n")
    assert path.read_text() == "new\n" and os.listdir(folder) == [path.name]
