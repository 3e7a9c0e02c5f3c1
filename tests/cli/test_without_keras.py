"""Commands that take a trained model's file, where no Keras is installed."""

from pathlib import Path

import numpy as np
import pytest
from process_helpers import command_without_keras

pytest.importorskip("h5py")

# saved by Keras 2.12, with a nested model that is called twice
MODEL = Path(__file__).parents[1] / "combo" / "candle" / "saved.uq.model.h5"
SIZES = {
    "input.cell.expression": 8,
    "input.drug1.descriptors": 10,
    "input.drug2.descriptors": 10,
}


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
def test_a_models_file_is_all_it_takes(tmp_path, command, found):
    rows = tmp_path / "rows.npz"
    rng = np.random.RandomState(0)
    np.savez(rows, **{name: rng.randn(3, size) for name, size in SIZES.items()})
    paths = {"MODEL": str(MODEL), "ROWS": str(rows)}
    result = command_without_keras([paths.get(each, each) for each in command])
    assert result.returncode == 0, result.stderr
    assert found in result.stdout
