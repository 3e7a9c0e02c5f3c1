"""Keras's files, made in memory."""

import os
import subprocess
import sys

import numpy as np
import pytest
from full_disk import run_with_room, small_disk
from kmodels import mlp

from nengo_permadrop.sources.keras.loading import load_model, load_weights
from nengo_permadrop.sources.keras.saving import save_model, save_weights
from nengo_permadrop.support.files import NoRoomError


def same(kmodel, other):
    return all(
        np.array_equal(one, two)
        for one, two in zip(kmodel.get_weights(), other.get_weights(), strict=True)
    )


@pytest.fixture(name="kmodel")
def _kmodel():
    """Trained, so that there is an optimizer with a state."""
    kmodel = mlp(units=(40, 30), rate=0.3)
    kmodel.compile(optimizer="adam", loss="mse")
    n_inputs, n_outputs = kmodel.inputs[0].shape[1], kmodel.outputs[0].shape[1]
    kmodel.fit(np.ones((4, n_inputs)), np.ones((4, n_outputs)), verbose=0)
    return kmodel


def test_keras_reads_them(kmodel, tmp_path):
    import h5py

    save_model(kmodel, tmp_path / "a.h5")
    save_weights(kmodel, tmp_path / "a.weights.h5")
    assert same(load_model(tmp_path / "a.h5"), kmodel)
    for load in (load_weights, lambda model, path: model.load_weights(str(path))):
        other = mlp(units=(40, 30), rate=0.3, seed=5)
        load(other, tmp_path / "a.weights.h5")
        assert same(other, kmodel)
    for name in ("a.h5", "a.weights.h5"):
        with h5py.File(tmp_path / name) as file:
            assert not {"optimizer", "optimizer_weights"} & set(file)


@pytest.mark.parametrize("save", [save_model, save_weights])
@pytest.mark.parametrize("n_bytes", [0, 5000, 12000])
def test_full_disk_is_an_error_and_not_the_end(save, n_bytes, kmodel, tmp_path):
    path = tmp_path / "a.weights.h5"
    save(kmodel, path)
    before = path.read_bytes()
    with small_disk(tmp_path, n_bytes):
        with pytest.raises(NoRoomError, match="no room"):
            save(kmodel, path)
        assert os.listdir(tmp_path) == ["a.weights.h5"]
    assert path.read_bytes() == before
    save(kmodel, path)


def test_command_on_a_full_disk(tmp_path):
    """A short study; benchmarks/full_disk.py has more of them, and of others."""
    command = [sys.executable, "-m", "nengo_permadrop", "study", "--epochs", "1"]
    command += ["--draws", "4", "--observations", "4", "-o", str(tmp_path / "study")]
    done = run_with_room(command, 8192, tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("nengo-permadrop: ") and "no room" in last
    assert "Traceback" not in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "study" / "report.html").exists()
