import csv
import errno
import json
import os
import shutil

import h5py
import numpy as np
import pytest
from combo_helpers import SIZES
from nengo.exceptions import ValidationError

from nengo_permadrop import cli, combo, datasets
from nengo_permadrop.combo.data.generator import generate_files
from nengo_permadrop.combo.data.scaling import FeatureScaling, features_path
from nengo_permadrop.combo.saved import TrainingFiles, fingerprint, read_record
from nengo_permadrop.combo.training import plateau_rate
from nengo_permadrop.sources.keras.loading import load_model, load_weights
from nengo_permadrop.support.errors import DamagedFileError

pytest.importorskip("sklearn")

OPTIONS = dict(epochs=3, batch_size=16, seed=1, progress=False)
SUFFIXES = {
    ".model.h5",
    ".weights.h5",
    ".features.npz",
    ".log.csv",
    ".training.json",
    ".state.npz",
}


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("combo")
    generate_files(path, **SIZES)
    return path


@pytest.fixture(name="dataset", scope="module")
def _dataset(folder):
    return datasets.load("combo", data_dir=folder, n_test=10)


def network(dataset, seed=0, rate=0.2, **options):
    features = dataset.train.n_features
    options = {"dense": (6,), "dense_feature_layers": (5,), **options}
    return combo.model(
        features["cell"], features["drug1"], seed=seed, rate=rate, **options
    )


@pytest.fixture(name="whole", scope="module")
def _whole(dataset, tmp_path_factory):
    """A training that nothing interrupts: prefix, history and weights."""
    prefix = tmp_path_factory.mktemp("whole") / "save" / "combo.uq"
    kmodel = network(dataset)
    history = combo.train(
        kmodel, dataset, prefix, data_options={"n_test": 10}, **OPTIONS
    )
    return prefix, history, kmodel.get_weights()


def same(weights, others):
    return all(np.array_equal(one, other) for one, other in zip(weights, others))


def test_a_state_of_which_an_array_is_lost_is_damaged(tmp_path):
    """By one flipped byte in the directory of the archive; zipfile doesn't notice."""
    files = TrainingFiles(tmp_path / "saved")
    record = {"options": {}, "data": "rows", "architecture": "layers", "history": []}
    weights, optimizer = [np.zeros(2), np.ones(3)], [np.array(1)]
    files.save_state(record, weights, optimizer)
    found = files.load_state()
    assert found[0] == record and len(found[1]) == 2 and len(found[2]) == 1
    with np.load(files.state) as archive:
        arrays = dict(archive)
    for change in (
        {"weights_1": None},
        {"optimizer_0": None},
        {"weights_2": weights[0]},
    ):
        changed = {k: v for k, v in {**arrays, **change}.items() if v is not None}
        np.savez(files.state, **changed)
        with pytest.raises(DamagedFileError, match="saved.state.npz: is damaged"):
            files.load_state()


def test_history(whole):
    prefix, history, _ = whole
    assert history["epoch"] == [0, 1, 2]
    assert history["lr"] == pytest.approx([0.001] * 3)
    assert history["val_loss"] == history["val_mse"]
    with open(f"{prefix}.log.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    for name, values in history.items():
        assert [float(line[name]) for line in lines] == values


def test_files(whole, dataset):
    prefix, history, weights = whole
    assert {path.name for path in prefix.parent.iterdir()} == {
        prefix.name + suffix for suffix in SUFFIXES
    }
    assert same(load_model(f"{prefix}.model.h5").get_weights(), weights)
    other = network(dataset, seed=9)
    load_weights(other, f"{prefix}.weights.h5")
    assert same(other.get_weights(), weights)
    other.load_weights(f"{prefix}.weights.h5")  # Keras reads it on its own
    with h5py.File(f"{prefix}.weights.h5") as file:
        assert "optimizer" not in file
    features = FeatureScaling.load(features_path(f"{prefix}.model.h5"))
    assert np.array_equal(features.drugs.fill, dataset.features.drugs.fill)

    record = read_record(f"{prefix}.model.h5")
    assert record["data"] == fingerprint(dataset)
    assert record["data_options"] == {"n_test": 10}
    assert record["best_epoch"] == int(np.argmin(history["val_loss"]))
    assert [row["loss"] for row in record["history"]] == history["loss"]


def test_training_learns(dataset):
    """A smooth function of few rows is learned by heart."""
    kmodel = network(dataset, rate=0.0, dense=(50,), dense_feature_layers=(50,))
    options = {**OPTIONS, "epochs": 4, "batch_size": 4, "learning_rate": 0.003}
    history = combo.train(kmodel, dataset, **options)
    assert history["loss"][-1] < history["loss"][0] / 3
    assert history["lr"] == pytest.approx([0.003] * 4)


def test_best_weights_are_kept(dataset, monkeypatch):
    from nengo_permadrop.combo import training

    losses = iter([3.0, 1.0, 2.0])
    after = []

    def fake(target, prediction):
        after.append(kmodel.get_weights())
        return dict.fromkeys(("mse", "mae", "r2", "corr"), next(losses))

    monkeypatch.setattr(training, "scores", fake)
    kmodel = network(dataset)
    history = combo.train(kmodel, dataset, **OPTIONS)
    assert history["val_loss"] == [3.0, 1.0, 2.0]
    assert same(kmodel.get_weights(), after[1])
    assert not same(after[1], after[2])


class Killed(BaseException):
    """What nothing catches, like a signal."""


@pytest.mark.parametrize("where", ["train_on_batch", "save_weights", "save_state"])
def test_killed_and_resumed_is_as_if_nothing_had_been(
    where, whole, dataset, tmp_path, monkeypatch
):
    prefix, history, weights = whole
    if where == "save_weights" and np.argmin(history["val_loss"]) == 0:
        pytest.skip("with this Keras's random numbers the first epoch stays the best")
    kmodel = network(dataset)
    owner = kmodel if where == "train_on_batch" else TrainingFiles
    done = getattr(owner, where)
    # in the second epoch: of 3 batches, 1 state, and weights where they got better
    calls = iter(
        range({"train_on_batch": 4, "save_weights": 1, "save_state": 1}[where])
    )

    def killed(*args, **kwargs):
        if next(calls, None) is None:
            raise Killed
        return done(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, where, killed)
        with pytest.raises(Killed):
            combo.train(kmodel, dataset, tmp_path / "combo.uq", **OPTIONS)
    names = {path.name for path in tmp_path.iterdir()}
    assert names <= {prefix.name + suffix for suffix in SUFFIXES}  # no half file

    kmodel = network(dataset)
    resumed = combo.train(
        kmodel, dataset, tmp_path / "combo.uq", resume=True, **OPTIONS
    )
    assert resumed == history
    assert same(kmodel.get_weights(), weights)
    log = (tmp_path / "combo.uq.log.csv").read_bytes()
    assert log == prefix.with_name(f"{prefix.name}.log.csv").read_bytes()


def test_finished_training_can_be_resumed_for_more_epochs(whole, dataset, tmp_path):
    prefix, history, _ = whole
    options = {**OPTIONS, "epochs": 2}
    combo.train(network(dataset), dataset, tmp_path / "combo", **options)
    options["epochs"] = 3
    resumed = combo.train(
        network(dataset), dataset, tmp_path / "combo", resume=True, **options
    )
    assert resumed == history


def test_seed_decides_order_and_masks(whole, dataset):
    _, history, _ = whole
    options = {**OPTIONS, "epochs": 1}
    again = combo.train(network(dataset), dataset, **options)
    assert again["loss"] == history["loss"][:1]
    other = combo.train(network(dataset), dataset, **{**options, "seed": 2})
    assert other["loss"] != again["loss"]


@pytest.mark.parametrize(
    "changed, found",
    [
        ({"batch_size": 8}, "batch_size 16 there, 8 here"),
        ({"seed": 2}, "seed 1 there, 2 here"),
        ({"learning_rate": 0.1}, "learning_rate None there, 0.1 here"),
    ],
)
def test_another_training_is_not_resumed(changed, found, whole, dataset):
    with pytest.raises(ValidationError, match=found):
        combo.train(
            network(dataset), dataset, whole[0], resume=True, **{**OPTIONS, **changed}
        )


def test_another_network_or_data_set_is_not_resumed(whole, dataset, folder):
    with pytest.raises(ValidationError, match="other architecture"):
        kmodel = network(dataset, residual=True, dense=(6, 6))
        combo.train(kmodel, dataset, whole[0], resume=True, **OPTIONS)
    other = datasets.load("combo", seed=1, data_dir=folder, n_test=10)
    with pytest.raises(ValidationError, match="other rows"):
        combo.train(network(dataset), other, whole[0], resume=True, **OPTIONS)


@pytest.mark.parametrize("what", ["weights", "optimizer"])
def test_a_state_of_another_keras_is_not_resumed(whole, dataset, tmp_path, what):
    """Its optimizers may have other variables; none is left out in silence."""
    record, weights, optimizer = TrainingFiles(whole[0]).load_state()
    changed = {"weights": weights, "optimizer": optimizer}
    changed[what] = changed[what][:-1]
    TrainingFiles(tmp_path / "combo").save_state(record, **changed)
    with pytest.raises(ValidationError, match=f"state.npz holds other {what}"):
        prefix = tmp_path / "combo"
        combo.train(network(dataset), dataset, prefix, resume=True, **OPTIONS)


def test_nothing_to_resume(dataset, tmp_path):
    options = {**OPTIONS, "prefix": tmp_path / "none", "resume": True}
    with pytest.raises(ValidationError, match="none.state.npz doesn't exist"):
        combo.train(network(dataset), dataset, **options)
    (tmp_path / "none.state.npz").write_bytes(b"PK damaged")
    with pytest.raises(DamagedFileError, match="none.state.npz: is damaged"):
        combo.train(network(dataset), dataset, **options)


@pytest.mark.parametrize(
    "options, found",
    [
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"loss": "huber"}, "mse, mae, got 'huber'"),
        ({"resume": True}, "prefix"),
    ],
)
def test_bad_options(options, found, dataset):
    with pytest.raises(ValidationError, match=found):
        combo.train(None, dataset, **{**OPTIONS, **options})


def test_divergence_is_an_error(dataset, tmp_path):
    options = {**OPTIONS, "learning_rate": 1e30, "epochs": 4}
    with pytest.raises(ValidationError, match="smaller learning rate than 1e\\+30"):
        combo.train(network(dataset), dataset, tmp_path / "combo", **options)


def test_plateau_rate():
    falling = [1.0, 0.9, 0.8]
    assert plateau_rate(falling, 0.1) == 0.1
    assert plateau_rate(falling + [0.8] * 4, 0.1) == 0.1
    assert plateau_rate(falling + [0.79995] * 5, 0.1) == 0.05
    assert plateau_rate(falling + [0.8] * 10, 0.1) == 0.025
    assert plateau_rate(falling + [0.8] * 9 + [0.7], 0.1) == 0.05
    assert plateau_rate([1.0] * 100, 0.001) == 1e-5


def test_learning_rate_is_reduced_across_a_resume(dataset, tmp_path, monkeypatch):
    from nengo_permadrop.combo import training

    # no epoch is better than the first, and none takes time
    monkeypatch.setattr(training, "predict", lambda kmodel, rows: rows.target + 1)
    monkeypatch.setattr(training._Training, "steps", lambda *args: 1.0)
    options = {**OPTIONS, "learning_rate": 0.01, "reduce_lr": True}
    for resume, epochs in ((False, 4), (True, 12)):
        options.update(epochs=epochs, resume=resume)
        history = combo.train(network(dataset), dataset, tmp_path / "combo", **options)
    assert history["lr"] == pytest.approx([0.01] * 6 + [0.005] * 5 + [0.0025])


def test_command(folder, tmp_path, capsys):
    prefix = str(tmp_path / "saved.uq")
    argv = ["combo-train", "--data-dir", str(folder), "-o", prefix, "--n-test", "10"]
    argv += ["--dense", "6", "6", "--dense_feature_layers", "5", "-z", "16"]
    argv += ["--residual", "--drop", "0.3", "--activation", "relu", "--seed", "3"]
    assert cli.main([*argv, "--epochs", "1"]) == 0
    assert cli.main([*argv, "--epochs", "2", "--resume"]) == 0
    captured = capsys.readouterr()
    assert f"Model: {prefix}.model.h5" in captured.out
    assert captured.err.count("val_r2") == 2

    kmodel = load_model(f"{prefix}.model.h5")
    assert kmodel.get_layer("hidden2_dropout").rate == pytest.approx(0.3)
    assert kmodel.get_layer("hidden2_residual") is not None
    record = json.loads((tmp_path / "saved.uq.training.json").read_text())
    options = record["data_options"]
    assert options["n_test"] == 10
    dataset = datasets.load("combo", data_dir=folder, **options)
    assert fingerprint(dataset) == record["data"]

    # trained on, with another curve
    again = argv.copy()
    again[again.index(prefix)] = str(tmp_path / "sharp")
    again[again.index("relu")] = "softlif"
    again += ["--gamma", "0.002", "-w", f"{prefix}.weights.h5", "--epochs", "1"]
    assert cli.main([*again, "--learning_rate", "1e-9"]) == 0
    sharp = load_model(tmp_path / "sharp.model.h5")
    assert sharp.get_layer("hidden1_softlif").gamma == 0.002
    for one, other in zip(sharp.get_weights(), kmodel.get_weights()):
        assert np.allclose(one, other, atol=1e-6)
    capsys.readouterr()

    assert cli.main([*argv, "--batch_size", "8", "--resume"]) == 1
    assert "batch_size 16 there, 8 here" in capsys.readouterr().err


def test_interrupted_command_says_how_to_go_on(folder, tmp_path, capsys, monkeypatch):
    def interrupted(*args, prefix, **kwargs):
        TrainingFiles(prefix).state.touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(combo, "train", interrupted)
    argv = ["combo-train", "--data-dir", str(folder), "-o", str(tmp_path / "saved")]
    argv += ["--dense", "6", "--dense_feature_layers", "5", "--n-test", "10"]
    assert cli.main(argv) == 130
    assert "--resume" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["state", "model", "record"])
def test_a_training_is_not_overwritten_unasked(name, whole, dataset, tmp_path):
    """Killed and run again by the same command, or finished before."""
    prefix = tmp_path / "combo"
    path = getattr(TrainingFiles(prefix), name)
    path.write_bytes(b"of another training")
    found = "--resume.*--overwrite" if name == "state" else "--overwrite"
    with pytest.raises(ValidationError, match=found):
        combo.train(network(dataset), dataset, prefix, **OPTIONS)
    assert path.read_bytes() == b"of another training"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_overwrite_begins_anew(whole, dataset, tmp_path):
    prefix, history, _ = whole
    for path in prefix.parent.iterdir():
        shutil.copy(path, tmp_path / path.name)
    prefix = tmp_path / prefix.name
    options = {**OPTIONS, "epochs": 1}
    found = combo.train(network(dataset), dataset, prefix, overwrite=True, **options)
    assert found["loss"] == history["loss"][:1]
    assert len(read_record(f"{prefix}.model.h5")["history"]) == 1
    with pytest.raises(ValidationError, match="not both"):
        both = {"resume": True, "overwrite": True}
        combo.train(network(dataset), dataset, prefix, **both, **OPTIONS)


def test_scores_that_are_not_defined_are_null(dataset, tmp_path, monkeypatch):
    """And not a number again when the training goes on."""
    from nengo_permadrop.combo import training

    def constant(target, prediction):
        return {"mse": 1.0, "mae": 1.0, "r2": 0.0, "corr": float("nan")}

    monkeypatch.setattr(training, "scores", constant)
    prefix = tmp_path / "combo"
    combo.train(network(dataset), dataset, prefix, **{**OPTIONS, "epochs": 1})
    text = (tmp_path / "combo.training.json").read_text()
    assert "NaN" not in text and '"val_corr": null' in text
    options = {**OPTIONS, "epochs": 2}
    history = combo.train(network(dataset), dataset, prefix, resume=True, **options)
    assert np.isnan(history["val_corr"]).all()


@pytest.mark.parametrize(
    "when, words", [(0, "nothing is left.*same again"), (4, "every whole.*--resume")]
)
def test_full_disk(when, words, dataset, tmp_path, monkeypatch):
    """Files are made in memory: what can't be written is an error that is told."""
    from nengo_permadrop.support import files

    prefix = tmp_path / "combo"
    done = []
    replace = os.replace

    def full(*args):
        done.append(args)
        if len(done) > 1 + when:  # features, weights, log and state of an epoch
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(files.NoRoomError, match=words):
            combo.train(network(dataset), dataset, prefix, **OPTIONS)
    assert not [path.name for path in tmp_path.iterdir() if path.name[0] == "."]
    resume = bool(when)
    combo.train(network(dataset), dataset, prefix, resume=resume, **OPTIONS)


def test_no_room_is_told_before_the_first_epoch(dataset, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="no room: about"):
        combo.train(network(dataset), dataset, tmp_path / "combo", **OPTIONS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options, found",
    [
        (["--optimizer", "abacus"], "no optimizer called 'abacus'"),
        (["-w", "nowhere.h5"], "nowhere.h5: no such file of weights"),
    ],
)
def test_options_are_checked_before_data_are_read(
    options, found, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(datasets, "load", None)
    argv = ["combo-train", "--data-dir", "nowhere", "-o", str(tmp_path / "saved")]
    assert cli.main([*argv, *options]) == 1
    err = capsys.readouterr().err
    assert found in err and err.count("\n") == 1
    (tmp_path / "saved.state.npz").touch()
    assert cli.main(argv) == 1
    err = capsys.readouterr().err
    assert "--resume" in err and "--overwrite" in err and err.count("\n") == 1


def test_data_options_that_json_can_not_hold(dataset, tmp_path):
    with pytest.raises(ValidationError, match="data_options"):
        options = {**OPTIONS, "data_options": {"data_dir": tmp_path}}
        combo.train(network(dataset), dataset, tmp_path / "combo", **options)
