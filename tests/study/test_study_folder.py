"""What a study leaves when it fails, and how it goes on."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from combo_helpers import SIZES
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop import cli, models
from nengo_permadrop.combo import training
from nengo_permadrop.combo.data.generator import generate_files
from nengo_permadrop.sampling import search
from nengo_permadrop.study import folder as study_folder
from nengo_permadrop.study import report
from nengo_permadrop.study import steps as study_run
from nengo_permadrop.study.run import study
from nengo_permadrop.training import fit

for module in ("sklearn", "jinja2", "matplotlib"):
    pytest.importorskip(module)

pytestmark = pytest.mark.filterwarnings(
    "ignore::nengo_permadrop.converter.checks.AgreementWarning"
)

TINY = dict(
    n_draws=8,
    observations=5,
    epochs=1,
    workers=1,
    model_options={"units": (6,)},
    progress=False,
)
NAMES = ("spiking", "classical", "control", "validation")


def contents(folder):
    """Of all files but those with times in them."""
    with_times = ("agreement.json", "report.html")
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".npz":
            found[path.name] = npd.load_samples(path).values.tobytes()
        elif path.name not in with_times:
            found[path.name] = path.read_bytes()
    return found


@pytest.fixture(name="whole", scope="module")
def _whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    study("diabetes", output=folder, **TINY)
    return folder


def test_finished_study_is_not_overwritten_unasked(whole, monkeypatch):
    before = {path.name: path.read_bytes() for path in whole.iterdir()}
    assert set(before) == set(report.file_names())
    monkeypatch.setattr(fit, "train", None)
    for options in (TINY, {**TINY, "seed": 1}):
        with pytest.raises(ValidationError, match="holds a study.*--overwrite"):
            study("diabetes", output=whole, **options)
    assert {path.name: path.read_bytes() for path in whole.iterdir()} == before


def test_another_study_replaces_it_if_asked(tmp_path):
    for name in report.file_names():
        (tmp_path / name).write_text("of another study")
    (tmp_path / "mine.txt").write_text("not of a study")
    study("diabetes", output=tmp_path, overwrite=True, **TINY)
    assert (tmp_path / "mine.txt").read_text() == "not of a study"
    assert json.loads((tmp_path / "agreement.json").read_text())["seed"] == 0


@pytest.mark.parametrize(
    "owner, name",
    [
        (study_run, "mean_predictions"),
        (report, "write_model"),
        (report, "render"),
    ],
)
def test_a_late_failure_loses_nothing(owner, name, whole, tmp_path, monkeypatch):
    """What is drawn is there, and the same study goes on without training."""

    def failing(*args, **kwargs):
        raise RuntimeError("late")

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, failing)
        with pytest.raises(RuntimeError, match="late"):
            study("diabetes", output=tmp_path, **TINY)
    drawn = [] if name == "mean_predictions" else NAMES
    for network in drawn:
        saved = npd.load_samples(tmp_path / f"samples_{network}.npz")
        expected = npd.load_samples(whole / f"samples_{network}.npz")
        assert np.array_equal(saved.values, expected.values)

    with monkeypatch.context() as patch:
        patch.setattr(fit, "train", None)  # nothing is trained again
        with pytest.raises(ValidationError, match="n_draws was 8 and is now 9.*overwr"):
            study("diabetes", output=tmp_path, **{**TINY, "n_draws": 9})
        study("diabetes", output=tmp_path, **TINY)
    assert contents(tmp_path) == contents(whole)


def test_unfinished_study_is_replaced_if_asked(tmp_path, monkeypatch):
    def failing(*args, **kwargs):
        raise RuntimeError("late")

    with monkeypatch.context() as patch:
        patch.setattr(report, "render", failing)
        with pytest.raises(RuntimeError):
            study("diabetes", output=tmp_path, **TINY)
    other = {**TINY, "n_draws": 9}
    result = study("diabetes", output=tmp_path, overwrite=True, **other)
    assert result.samples_spiking.n_draws == 9
    assert {path.name for path in tmp_path.iterdir()} == set(report.file_names())


def test_annealed_and_calibrated_study_goes_on(tmp_path, monkeypatch):
    options = {**TINY, "anneal": 0.01, "calibrate": True}
    expected = study("diabetes", **options)
    with monkeypatch.context() as patch:
        patch.setattr(study_run.StudyRun, "result", None)
        with pytest.raises(TypeError):
            study("diabetes", output=tmp_path, **options)
    monkeypatch.setattr(fit, "train", None)
    result = study("diabetes", output=tmp_path, **options)
    for name in NAMES:
        one, other = (getattr(each, f"samples_{name}") for each in (result, expected))
        assert np.array_equal(one.values, other.values)
    assert result.network["epochs"] == expected.network["epochs"] == 2


def test_tuned_study_goes_on(tmp_path, monkeypatch):
    """After it was ended in the middle of tuning, and after that."""
    few = {"_N_PAIRS": 40, "_MOST_ROWS": 10, "_MOST_FITTED": 10, "_N_FITTED": 160}
    for name, value in few.items():
        monkeypatch.setattr(search, name, value)
    options = {**TINY, "tune": True, "model_options": {"units": (12, 12)}}
    expected = study("diabetes", **options)
    tried = search.Search._tried

    def interrupted(self, combination):
        if self.trials:
            raise KeyboardInterrupt()
        return tried(self, combination)

    with monkeypatch.context() as patch:
        patch.setattr(search.Search, "_tried", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study("diabetes", output=tmp_path, **options)
    monkeypatch.setattr(fit, "train", None)
    with monkeypatch.context() as patch:
        patch.setattr(study_run.StudyRun, "result", None)
        with pytest.raises(TypeError):
            study("diabetes", output=tmp_path, **options)
    monkeypatch.setattr(search.Search, "_tried", None)
    result = study("diabetes", output=tmp_path, **options)
    for name in NAMES:
        one, other = (getattr(each, f"samples_{name}") for each in (result, expected))
        assert np.array_equal(one.values, other.values)
    assert result.tuning.table.equals(expected.tuning.table)

    names = {path.name for path in tmp_path.iterdir()}
    assert names == set(report.file_names(tuned=True))
    found = json.loads((tmp_path / "agreement.json").read_text())
    times = result.tuning.times
    assert {name: found["options"][name] for name in times} == times
    assert {name: result.samples_spiking.meta[name] for name in times} == times
    settings = found["tuning"]["settings"]
    assert settings["calibration"] == "currents" and settings["rates"] is None
    assert len(found["tuning"]["trials"]) == len(result.tuning.table)
    assert not any(place.startswith("tuning") for place in found["undefined"])
    page = (tmp_path / "report.html").read_text()
    assert "What it costs" in page and settings["synapse"] in page
    assert f"shown for {result.tuning.presentation_time} s" in page

    # an untuned one in its place leaves no picture of a tuning
    monkeypatch.undo()
    study("diabetes", output=tmp_path, overwrite=True, **{**options, "tune": False})
    assert not (tmp_path / "tuning.png").exists()


def test_training_on_combo_goes_on_after_its_last_epoch(tmp_path, monkeypatch):
    data, folder = tmp_path / "data", tmp_path / "study"
    generate_files(data, **SIZES)
    options = {
        **TINY,
        "epochs": 2,
        "n_draws": 4,
        "model_options": {"dense": (4,), "dense_feature_layers": (4,)},
        "dataset_options": {"data_dir": data, "n_test": 10},
    }
    expected = study("combo", **options)
    epochs = []
    epoch = training._Training.epoch

    def counted(self, number, *args):
        if epochs == [0]:
            epochs.append("killed")
            raise KeyboardInterrupt
        epochs.append(number)
        epoch(self, number, *args)

    monkeypatch.setattr(training._Training, "epoch", counted)
    with pytest.raises(KeyboardInterrupt):
        study("combo", output=folder, **options)
    result = study("combo", output=folder, **options)
    assert epochs == [0, "killed", 1]
    assert result.network["epochs"] == 2
    assert np.array_equal(
        result.samples_spiking.values, expected.samples_spiking.values
    )
    assert {path.name for path in folder.iterdir()} == {*report.file_names()} - {
        "preparation.json"
    }  # its features are made of tables that Combo knows


def test_model_that_does_not_fit_is_told_first(tmp_path, monkeypatch):
    monkeypatch.setattr(study_run, "mean_predictions", None)
    options = {"output": tmp_path, "n_draws": 8, "observations": 5, "progress": False}
    with pytest.raises(ValidationError, match=r"inputs of \[3\] features.*\[10\]"):
        study("diabetes", model=models.mlp(3, units=(5,)), **options)
    with pytest.raises(ValidationError, match="outputs of .2. elements"):
        study("diabetes", model=models.mlp(10, units=(5,), n_outputs=2), **options)


def test_failure_without_anything_to_go_on_from_is_in_nobodys_way(
    tmp_path, monkeypatch
):
    def failing(*args, **kwargs):
        raise RuntimeError("early")

    with monkeypatch.context() as patch:
        patch.setattr(fit, "train", failing)
        with pytest.raises(RuntimeError, match="early"):
            study("diabetes", output=tmp_path, **TINY)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from nengo_permadrop.study import folder as study_folder
from nengo_permadrop.study.run import study

save = study_folder.StudyFolder.save_samples

def save_and_die(self, name, samples):
    save(self, name, samples)
    if name == "classical":
        os.kill(os.getpid(), signal.SIGKILL)

study_folder.StudyFolder.save_samples = save_and_die
study("diabetes", output=sys.argv[1], **eval(sys.argv[2]))
"""


def test_killed_study_goes_on(whole, tmp_path, monkeypatch):
    command = [sys.executable, "-c", KILLED, str(tmp_path), repr(TINY)]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"unfinished", "samples_spiking.npz", "samples_classical.npz"}
    monkeypatch.setattr(fit, "train", None)
    study("diabetes", output=tmp_path, **TINY)
    assert contents(tmp_path) == contents(whole)


def test_killed_while_it_cleans_up(tmp_path, monkeypatch):
    """It is finished then, and the next one removes the rest."""

    def killed(unfinished):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(study_folder, "_remove", killed)
        with pytest.raises(KeyboardInterrupt):
            study("diabetes", output=tmp_path, **TINY)
    assert (tmp_path / "unfinished").exists()
    monkeypatch.setattr(fit, "train", None)
    with pytest.raises(ValidationError, match="holds a study"):
        study("diabetes", output=tmp_path, **TINY)
    assert {path.name for path in tmp_path.iterdir()} == set(report.file_names())


def test_folder_in_use(tmp_path, monkeypatch):
    caught = []
    score = study_run.StudyRun.score

    def again(self):
        for overwrite in (False, True):
            with pytest.raises(ValidationError, match="in use"):
                options = {**TINY, "n_draws": 9} if overwrite else TINY
                study("diabetes", output=tmp_path, overwrite=overwrite, **options)
            caught.append(overwrite)
        return score(self)

    with monkeypatch.context() as patch:
        patch.setattr(study_run.StudyRun, "score", again)
        study("diabetes", output=tmp_path, **TINY)
    assert caught == [False, True]


def test_no_room_is_told_before_anything_is_trained(tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(fit, "train", None)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="no room: about 1.* MB are needed"):
        study("diabetes", output=tmp_path, **TINY)
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_of_the_report_are_told_first(tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "train", None)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match="jinja2|Jinja2"):
        study("diabetes", output=tmp_path, **TINY)


def test_command_refuses_in_one_line(whole, monkeypatch, capsys):
    monkeypatch.setattr(fit, "train", None)
    assert cli.main(["study", "-o", str(whole)]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "--overwrite" in err
    path = os.path.join(whole, "report.html")
    assert cli.main(["study", "-o", path]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "is a file" in err
