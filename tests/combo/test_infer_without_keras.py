"""infer where no Keras is installed, with a model as CANDLE's training leaves it.

That another Python writes the same bytes is measured by benchmarks/infer_elsewhere.py.
"""

import numpy as np
import pandas as pd
import pytest
from combo_helpers import write_candle_folder
from process_helpers import command_without_keras

from nengo_permadrop.combo.infer import infer

pytest.importorskip("keras")  # which writes the model
pytest.importorskip("sklearn")

OPTIONS = ["-s", "GDSC", "-d", "NCI_IOA_AOA", "-n", "4", "--ns", "2", "--nd", "3"]
TABLES = ["comb_pred_GDSC_NCI_IOA_AOA.tsv", "comb_pred_GDSC_NCI_IOA_AOA.all.tsv"]


@pytest.fixture(name="candle", scope="module")
def _candle(tmp_path_factory):
    """A model as CANDLE's training leaves it, and the files that its infer.py reads."""
    folder = tmp_path_factory.mktemp("candle")
    write_candle_folder(folder)
    return folder


def run(candle, output, *more, **options):
    """The command in a process of its own; its result."""
    files = [candle / "saved.uq.model.h5", candle / "saved.uq.weights.h5"]
    arguments = ["infer", *OPTIONS, "-m", str(files[0]), "-w", str(files[1])]
    arguments += ["--data-dir", str(candle), "-o", str(output), "--candle-scaling"]
    return command_without_keras([*arguments, *more], **options)


def predictions(path):
    """Labels, and numbers, of the table of all predictions."""
    table = pd.read_csv(path, sep="\t")
    growth = table.pop("PredGrowth").to_numpy()
    return table.to_numpy().tolist(), growth


@pytest.fixture(name="written", scope="module", params=["batched", "keras"])
def _written(request, candle, tmp_path_factory):
    """The backend, and the tables that the command has written without Keras."""
    output = tmp_path_factory.mktemp("without")
    result = run(candle, output, "--backend", request.param)
    assert result.returncode == 0, result.stderr
    return request.param, output


def test_same_as_with_keras_there(written, candle, tmp_path):
    """The same bytes, and nothing imports it, as all is in the file."""
    backend, output = written
    result = run(candle, tmp_path, "--backend", backend, hidden=())
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == "imported:"
    for name in TABLES:
        assert (tmp_path / name).read_bytes() == (output / name).read_bytes()


@pytest.mark.filterwarnings("ignore:.* genes without a value in GDSC")
def test_same_as_of_the_model_that_keras_loads(written, candle, tmp_path):
    """Draw by draw, whichever way the file was read."""
    backend, output = written
    result = infer(
        "GDSC",
        "NCI_IOA_AOA",
        n_pred=4,
        ns=2,
        nd=3,
        model_file=candle / "saved.uq.model.h5",
        weights_file=candle / "saved.uq.weights.h5",
        data_dir=candle,
        output=tmp_path,
        backend=backend,
        candle_scaling=True,
        trust=True,  # or it isn't loaded by Keras
        progress=False,
    )
    labels, growth = predictions(output / TABLES[1])
    loaded_labels, loaded = predictions(result.paths[1])
    assert labels == loaded_labels
    assert np.allclose(growth, loaded, rtol=0, atol=1.1e-4)
