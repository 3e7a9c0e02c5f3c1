"""npd.audit of functions: each fault is found, named, and nothing else is."""

import json

import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.cli import main

X = np.random.RandomState(0).randn(8, 5)
WEIGHTS = np.random.RandomState(1).randn(5, 40)


class Dropping:
    """Answers of a network with one dropout, alive or lost in some way."""

    def __init__(self, fault=None, rate=0.4, seed=0):
        self.fault, self.rate = fault, rate
        self.rng, self.seed, self.calls = np.random.RandomState(seed), seed, 0

    def __call__(self, x):
        self.calls += 1
        hidden = np.tanh(x @ WEIGHTS)
        if self.fault == "dead":
            return hidden.sum(axis=1)
        if self.fault == "periodic" and self.calls % 25 == 0:
            self.rng = np.random.RandomState(self.seed)
        shape = (1, 40) if self.fault == "shared" else hidden.shape
        times = 10 if self.fault == "averaged" else 1
        keep = np.mean([self.rng.rand(*shape) >= self.rate for _ in range(times)], 0)
        return (hidden * keep / (1 - self.rate)).sum(axis=1)


def found_by(audit):
    return [each.test for each in audit.findings]


def test_nothing_is_wrong_with_what_is_alive():
    audit = npd.audit(Dropping(), X, Dropping(seed=1))
    assert audit and audit.ok and not audit.findings
    assert set(audit.pvalues) == {"calls", "rows", "reference"}
    assert set(audit.not_tested) == {"sessions", "processes"}
    assert audit.level == pytest.approx(audit.alpha / 6)
    assert audit.samples.values.shape == (100, 8, 1)
    assert "its dropout is alive" in str(audit)
    assert "a probability of at most 0.001" in str(audit)


@pytest.mark.parametrize(
    "fault, found",
    [
        ("dead", ["differ"]),
        ("periodic", ["calls"]),
        ("shared", ["rows"]),
        ("averaged", ["reference"]),
    ],
)
def test_each_fault_is_found_and_no_other(fault, found):
    """The tests of the others have a false alarm in 1 of 1000 seeds."""
    audit = npd.audit(Dropping(fault), X, Dropping(seed=1))
    assert found_by(audit) == found and not audit
    (finding,) = audit.findings
    assert finding.what and finding.sure and finding.cause and finding.fix
    assert finding.fix in str(audit)
    plain = json.loads(json.dumps(audit.to_dict()))
    assert plain["ok"] is False and plain["findings"][0]["test"] == found[0]


def test_another_rate_is_found_by_the_reference():
    reference = npd.sample(
        Dropping(rate=0.2), X, 100, backend="function", progress=False
    )
    assert found_by(npd.audit(Dropping(), X, reference)) == ["reference"]
    assert found_by(npd.audit(Dropping(), X, reference.values)) == ["reference"]
    assert not npd.audit(Dropping(rate=0.2), X, reference.values).findings


def test_shared_masks_may_be_what_is_wanted():
    audit = npd.audit(Dropping("shared"), X, masks="draw")
    assert audit.ok and audit.not_tested["rows"] == "shared masks are what was expected"
    assert audit.samples.masks == "draw"


def test_rounding_is_no_sign_of_life():
    rng = np.random.RandomState(0)

    def rounding(x):
        eps = np.finfo(np.float32).eps
        return Dropping("dead")(x) * (1 + eps * rng.uniform(-1, 1, len(x)))

    assert found_by(npd.audit(rounding, X)) == ["differ"]


def test_a_function_may_take_one_batch_only():
    def fixed(n):
        function = Dropping()

        def answer(x):
            if len(x) != n:
                raise RuntimeError("of another size")
            return function(x)

        return answer

    for n, said in ((1, "one row at a time"), (8, "twice as many rows")):
        audit = npd.audit(fixed(n), X)
        assert audit.ok and said in audit.not_tested["rows"]
    with pytest.raises(RuntimeError, match="of another size"):
        npd.audit(fixed(3), X)


def test_inputs_keep_their_container():
    function = Dropping()
    assert npd.audit(lambda x: function(x["a"]), {"a": X, "b": X}).ok
    assert npd.audit(lambda x: function(x[1]), [X, X]).ok
    assert npd.audit(function, np.repeat(X, 10, axis=0)).samples.values.shape[1] == 50


@pytest.mark.parametrize(
    "arguments, said",
    [
        (dict(model=3), "must be a model of Keras or PyTorch"),
        (dict(X=X[0]), r"\(n_observations, ...\)"),
        (dict(X=X * np.nan), "must be finite"),
        (dict(X=[["a", "b"]]), "real numbers"),
        (dict(n_draws=19), "n_draws"),
        (dict(alpha=0), "alpha"),
        (dict(masks="none"), "masks"),
        (dict(reference=np.ones((5, 3, 1))), "reference"),
        (dict(reference=np.full((5, 8, 1), np.inf)), "finite draws"),
        (dict(reference=3), "must be a model"),
    ],
)
def test_wrong_arguments(arguments, said):
    with pytest.raises(ValidationError, match=said):
        npd.audit(**{"model": Dropping(), "X": X, **arguments})


def test_no_code_of_a_file_is_run_unasked(tmp_path):
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"not read")
    program = tmp_path / "m.pt2"
    program.write_bytes(b"not read")
    for path in (folder, program):
        with pytest.raises(ValidationError, match=f"{path} is not loaded.*trust=True"):
            npd.audit(path, X)
    with pytest.raises(FileNotFoundError):
        npd.audit(tmp_path / "none.onnx", X)
    other = tmp_path / "m.pkl"
    other.write_bytes(b"not read")
    with pytest.raises(ValidationError, match="'.pkl'; files of models that are known"):
        npd.audit(other, X)
    with pytest.raises(ValidationError, match="is a folder, and no SavedModel"):
        npd.audit(tmp_path, X)


def test_command_says_what_is_wrong_with_the_arguments(tmp_path, capsys):
    np.save(tmp_path / "rows.npy", X)
    rows = str(tmp_path / "rows.npy")
    assert main(["audit", str(tmp_path / "none.onnx"), "--data", rows]) == 1
    assert "no such model file" in capsys.readouterr().err
    assert main(["audit", "m.onnx", "--data", str(tmp_path / "none.csv")]) == 1
    assert "none.csv" in capsys.readouterr().err
    program = tmp_path / "m.pt2"
    program.write_bytes(b"not read")
    assert main(["audit", str(program), "--data", rows]) == 1
    assert "--trust" in capsys.readouterr().err
