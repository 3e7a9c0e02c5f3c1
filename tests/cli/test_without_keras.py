"""Commands that take a trained model's file, where no Keras is installed."""

import numpy as np
import pytest
from combo_helpers import write_candle_folder
from process_helpers import command_without_keras

pytest.importorskip("keras")  # which writes the model

SIZES = {
    "input.cell.expression": 8,
    "input.drug1.descriptors": 10,
    "input.drug2.descriptors": 10,
}


@pytest.fixture(name="model", scope="module")
def _model(tmp_path_factory):
    """A file, with a nested model that is called twice."""
    return write_candle_folder(tmp_path_factory.mktemp("candle"))[0]


@pytest.mark.filterwarnings("ignore:.* may not agree")
@pytest.mark.parametrize(
    "command, found",
    [
        (["convert", "MODEL"], "verified: without spikes"),
        (["predict", "MODEL", "ROWS", "-n", "2"], "Mean"),
        (["predict", "MODEL", "ROWS", "-n", "2", "--backend", "keras"], "Mean"),
        (["energy", "MODEL", "--data", "ROWS", "-n", "2"], "spikes"),
    ],
)
def test_a_models_file_is_all_it_takes(tmp_path, model, command, found):
    rows = tmp_path / "rows.npz"
    rng = np.random.RandomState(0)
    np.savez(rows, **{name: rng.randn(3, size) for name, size in SIZES.items()})
    paths = {"MODEL": str(model), "ROWS": str(rows)}
    result = command_without_keras([paths.get(each, each) for each in command])
    assert result.returncode == 0, result.stderr
    assert found in result.stdout
