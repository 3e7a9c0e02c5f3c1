"""infer where no Keras is installed, with a model that Keras 2.12 has saved."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from process_helpers import command_without_keras

from nengo_permadrop.combo.infer import infer

pytest.importorskip("h5py")
pytest.importorskip("sklearn")

# a folder with a model as CANDLE's, and the data files that its infer.py reads
CANDLE = Path(__file__).with_name("candle")
MODEL, WEIGHTS = CANDLE / "saved.uq.model.h5", CANDLE / "saved.uq.weights.h5"
OPTIONS = ["-s", "GDSC", "-d", "NCI_IOA_AOA", "-n", "4", "--ns", "2", "--nd", "3"]
TABLES = ["comb_pred_GDSC_NCI_IOA_AOA.tsv", "comb_pred_GDSC_NCI_IOA_AOA.all.tsv"]


def run(output, *more, **options):
    """The command in a process of its own; its result."""
    arguments = ["infer", *OPTIONS, "-m", str(MODEL), "-w", str(WEIGHTS)]
    arguments += ["--data-dir", str(CANDLE), "-o", str(output), "--candle-scaling"]
    return command_without_keras([*arguments, *more], **options)


def predictions(path):
    """Labels, and numbers, of the table of all predictions."""
    table = pd.read_csv(path, sep="\t")
    growth = table.pop("PredGrowth").to_numpy()
    return table.to_numpy().tolist(), growth


@pytest.fixture(name="written", scope="module", params=["batched", "keras"])
def _written(request, tmp_path_factory):
    """The backend, and the tables that the command has written without Keras."""
    output = tmp_path_factory.mktemp("without")
    result = run(output, "--backend", request.param)
    assert result.returncode == 0, result.stderr
    return request.param, output


def test_same_draws_as_on_the_machine_of_the_training(written):
    """Against tables from Python 3.11, Keras 2.12 and NumPy 1.24, all in this folder.

    On another CPU sums may be rounded otherwise, and a spike then come one step later,
    which changes single predictions by a little; other masks change all by 1 or so.
    """
    backend, output = written
    labels, growth = predictions(output / TABLES[1])
    expected_labels, expected = predictions(CANDLE / f"expected.{backend}.tsv")
    assert labels == expected_labels
    difference = np.abs(growth - expected)
    assert np.std(expected) > 0.5
    assert np.quantile(difference, 0.9) <= 1.1e-4 and difference.max() < 0.3


def test_same_as_with_keras_there(written, tmp_path):
    """The same bytes, and nothing imports it, as all is in the file."""
    backend, output = written
    result = run(tmp_path, "--backend", backend, hidden=())
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == "imported:"
    for name in TABLES:
        assert (tmp_path / name).read_bytes() == (output / name).read_bytes()


@pytest.mark.filterwarnings("ignore:.* genes without a value in GDSC")
def test_same_as_of_the_model_that_keras_loads(written, tmp_path):
    """Draw by draw, whichever way the file was read."""
    keras = pytest.importorskip("keras")
    if not keras.__version__.startswith("2."):
        pytest.skip(
            "Keras 3 can't load a model of Keras 2 that calls another one twice"
        )
    backend, output = written
    result = infer(
        "GDSC",
        "NCI_IOA_AOA",
        n_pred=4,
        ns=2,
        nd=3,
        model_file=MODEL,
        weights_file=WEIGHTS,
        data_dir=CANDLE,
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
