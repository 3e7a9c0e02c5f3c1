"""Loading weights, whatever version of Keras has saved them."""

import numpy as np
import pytest
from kmodels import mlp, save_weights

from nengo_permadrop.sources.keras.loading import load_weights


def weights(kmodel):
    return [array.tolist() for array in kmodel.get_weights()]


@pytest.fixture(name="saved")
def _saved():
    return mlp(units=(5, 4), seed=1)


@pytest.fixture(name="kmodel")
def _kmodel():
    return mlp(units=(5, 4), seed=2)


@pytest.mark.parametrize(
    "saved_as, loaded_as",
    [
        ("a.weights.h5", "a.weights.h5"),  # the newer format
        ("a.weights.h5", "b.h5"),
        ("a.h5", "a.h5"),  # the older one
        ("a.h5", "saved.uq.weights.h5"),  # CANDLE's
    ],
)
def test_the_content_decides(saved, kmodel, tmp_path, saved_as, loaded_as):
    save_weights(saved, tmp_path / saved_as)
    (tmp_path / saved_as).rename(tmp_path / loaded_as)
    assert weights(kmodel) != weights(saved)
    load_weights(kmodel, tmp_path / loaded_as)
    assert weights(kmodel) == weights(saved)


@pytest.mark.parametrize("name", ["a.weights.h5", "a.h5"])
def test_of_a_trained_model(saved, kmodel, tmp_path, name):
    """Which are beside the states of optimizer and metrics."""
    saved.compile(loss="mse", optimizer="adam", metrics=["mae"])
    saved.fit(np.ones((4, 6)), np.ones((4, 1)), verbose=0)
    save_weights(saved, tmp_path / name)
    load_weights(kmodel, tmp_path / name)
    assert weights(kmodel) == weights(saved)


def test_of_a_whole_model(saved, kmodel, tmp_path):
    saved.save(str(tmp_path / "model.h5"))
    load_weights(kmodel, tmp_path / "model.h5")
    assert weights(kmodel) == weights(saved)


@pytest.mark.parametrize("name", ["a.weights.h5", "a.h5"])
@pytest.mark.parametrize("units", [(5,), (5, 4, 4), (5, 3)])
def test_of_another_model(saved, tmp_path, name, units):
    save_weights(saved, tmp_path / name)
    with pytest.raises(ValueError, match=f"{name}: doesn't hold the weights of model"):
        load_weights(mlp(units=units), tmp_path / name)


def test_not_weights(kmodel, tmp_path):
    with pytest.raises(FileNotFoundError, match="no.h5: no such file"):
        load_weights(kmodel, tmp_path / "no.h5")
    with pytest.raises(ValueError, match="is no file"):
        load_weights(kmodel, tmp_path)
    (tmp_path / "text.h5").write_text("nonsense")
    with pytest.raises(ValueError, match="text.h5: not an HDF5 file"):
        load_weights(kmodel, tmp_path / "text.h5")
    before = weights(kmodel)
    import h5py

    with h5py.File(tmp_path / "empty.weights.h5", "w") as file:
        file["something"] = np.zeros(3)
    with pytest.raises(ValueError, match="1 arrays, and the model has 6"):
        load_weights(kmodel, tmp_path / "empty.weights.h5")
    assert weights(kmodel) == before
