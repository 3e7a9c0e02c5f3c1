"""Models that are named by their files."""

import numpy as np
import pytest
from kmodels import mlp, observations

import nengo_permadrop as npd
from nengo_permadrop.sources.registry import opened


@pytest.fixture(scope="module", name="kmodel")
def _kmodel():
    return mlp(units=(8,))


@pytest.mark.parametrize("name", ("m.h5", "m.keras", "m.H5"))
def test_files(kmodel, tmp_path, name):
    path = tmp_path / name
    kmodel.save(tmp_path / name.lower())
    (tmp_path / name.lower()).rename(path)
    (X,) = observations(kmodel, 3)
    for given in (path, str(path)):
        assert npd.read_model(given).input_shapes == npd.read_model(kmodel).input_shapes
    conv = npd.Converter(path, seed=0)
    assert conv.verify(X) < 1e-4
    for backend in ("batched", "keras"):
        options = dict(n_draws=3, backend=backend, progress=False)
        found, expected = (npd.sample(each, X, **options) for each in (path, kmodel))
        assert found.values == pytest.approx(expected.values, abs=1e-6)


def test_what_is_no_model_file(tmp_path):
    with pytest.raises(
        npd.ConversionError, match="'m.txt': ends in '.txt'.*.h5, .hdf5"
    ):
        npd.Converter("m.txt")
    with pytest.raises(npd.ConversionError, match="'folder': ends in ''"):
        npd.sample("folder", np.ones((1, 1)))
    with pytest.raises(FileNotFoundError, match="none.h5: no such model file"):
        npd.read_model(tmp_path / "none.h5")
    something = object()
    assert opened(something) is something
