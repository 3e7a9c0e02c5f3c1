"""npd.audit of ONNX files, as ONNX Runtime's defaults run them."""

import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx_models import WEIGHTS, model  # noqa: E402

import nengo_permadrop as npd  # noqa: E402
from nengo_permadrop.cli import main  # noqa: E402

X = np.random.RandomState(0).randn(6, 4).astype(np.float32)


@pytest.fixture(autouse=True)
def _seeded():
    """Seed what has no seed of its own, so that tests are the same each time."""
    onnxruntime.set_seed(0)


def with_seed(made, seed):
    """A model whose Dropout stays on, with a seed or none."""
    (node,) = (each for each in made.graph.node if each.op_type == "Dropout")
    del node.attribute[:]
    if seed is not None:
        node.attribute.append(onnx.helper.make_attribute("seed", seed))
    return made


def audited(tmp_path, made, **kwargs):
    path = str(tmp_path / "m.onnx")
    onnx.save(made, path)
    return npd.audit(path, X, **kwargs)


def found(audit):
    return [each.test for each in audit.findings]


@pytest.mark.parametrize("training", ["initializer", "constant", "input"])
def test_training_mode_is_lost(tmp_path, training):
    audit = audited(tmp_path, model(training))
    assert found(audit) == ["differ"]
    assert "EliminateDropout" in audit.findings[0].fix


def test_files_without_dropout_are_told_from_those_that_lose_it(tmp_path):
    for made in (model(None), model(opset=9)):
        audit = audited(tmp_path, made)
        assert found(audit) == ["differ"]
        assert "no Dropout node that is on" in audit.findings[0].cause


def test_what_stays_on(tmp_path):
    """ONNX Runtime keeps a Dropout whose mask is used. 1 in 1000 false alarms."""
    audit = audited(tmp_path, with_seed(model(mask=True), None))
    assert audit.ok, str(audit)
    tested = {"calls", "sessions", "processes", "rows", "reference"}
    assert set(audit.pvalues) == tested


def test_seeds_replay(tmp_path):
    audit = audited(tmp_path, with_seed(model(mask=True), 42))
    assert {"sessions", "processes"} <= set(found(audit))
    audit = audited(tmp_path, with_seed(model(mask=True), 0), processes=False)
    assert "calls" in found(audit)
    assert "such as the draws 1 and 2" in audit.findings[0].what


def test_another_rate_than_the_model_it_came_from(tmp_path):
    made = with_seed(model(mask=True), None)
    rng = np.random.RandomState(3)

    def origin(x, rate=0.2):
        hidden = np.maximum(x @ WEIGHTS[0], 0)
        return (hidden * (rng.rand(*hidden.shape) >= rate) / (1 - rate)) @ WEIGHTS[1]

    audit = audited(tmp_path, made, reference=origin, processes=False)
    assert found(audit) == ["reference"]


def test_a_file_that_takes_a_row_at_a_time(tmp_path):
    made = with_seed(model(mask=True, rows=1), None)
    audit = audited(tmp_path, made, processes=False)
    assert audit.ok and audit.not_tested["rows"] == "it takes one row at a time"


def test_command(tmp_path, capsys):
    path, rows = str(tmp_path / "m.onnx"), str(tmp_path / "rows.npy")
    np.save(rows, X)
    onnx.save(model(), path)
    assert main(["audit", path, "--data", rows]) == 1
    text = capsys.readouterr().out
    assert "1 fault found" in text and "likely cause: ONNX Runtime's" in text
    assert main(["audit", path, "--data", rows, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["test"] == "differ"
    onnx.save(with_seed(model(mask=True), None), path)
    arguments = ["audit", path, "--data", rows, "--no-processes", "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["ok"]
    np.savetxt(tmp_path / "rows.csv", X, delimiter=",", header="a,b,c,d", comments="")
    arguments[3] = str(tmp_path / "rows.csv")
    assert main(arguments) == 0
    capsys.readouterr()
    np.savez(tmp_path / "rows.npz", x=X)
    np.save(tmp_path / "other.npy", np.random.RandomState(0).randn(50, 6, 2))
    arguments[3] = str(tmp_path / "rows.npz")
    arguments += ["--reference", str(tmp_path / "other.npy")]
    assert main(arguments) == 1
    assert json.loads(capsys.readouterr().out)["tests"]["reference"]["found"]
