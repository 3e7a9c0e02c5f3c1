import json
import re

import nengo
import numpy as np
import pandas as pd
import pytest
from combo_helpers import SIZES
from nengo.exceptions import ValidationError
from study_pictures import FILES as PICTURE_FILES
from study_pictures import NAMES as PICTURES

import nengo_permadrop as npd
from nengo_permadrop import cli, combo, datasets, models
from nengo_permadrop.combo.data.generator import generate_files
from nengo_permadrop.study.report import render, warnings_of
from nengo_permadrop.study.run import SEEDED, study
from nengo_permadrop.training import fit

for module in ("sklearn", "jinja2", "matplotlib"):
    pytest.importorskip(module)

TINY = dict(
    n_draws=8,
    observations=5,
    epochs=2,
    workers=1,
    model_options={"units": (12, 12)},
    progress=False,
)
FILES = {
    "report.html",
    "summary.tsv",
    "agreement.json",
    "preparation.json",
    "model.h5",
    *PICTURE_FILES,
    *(
        f"samples_{name}.npz"
        for name in ("spiking", "classical", "control", "validation")
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("study") / "new"


@pytest.fixture(scope="module")
def result(folder):
    return study("diabetes", output=folder, **TINY)


def test_writes_everything(result, folder):
    assert {path.name for path in folder.iterdir()} == FILES
    for name in PICTURES:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_samples_are_saved_in_the_targets_units(result, folder):
    for name in ("spiking", "classical", "control"):
        saved = npd.load_samples(folder / f"samples_{name}.npz")
        assert np.array_equal(saved.values, getattr(result, f"samples_{name}").values)
        assert saved.values.shape == (8, 5, 1)
        assert 0 < saved.mean().mean() < 350  # progression is 25 to 346
    assert result.samples_spiking.backend == "batched"
    assert result.samples_classical.backend == "keras"


def test_control_is_another_draw(result):
    classical, control = result.samples_classical, result.samples_control
    assert not np.isin(control.values, classical.values).any()
    assert result.control.n_draws == (8, 8)


def test_agreement_json(result, folder):
    found = json.loads((folder / "agreement.json").read_text())
    assert found["rejection_rate"]["spiking"] == result.agreement.rejection_rate()
    assert found["rejection_rate"]["control"] == result.control.rejection_rate()
    assert (
        found["uniformity"]["spiking"]["pvalue"] == result.agreement.uniformity.pvalue
    )
    assert found["agree"] == bool(result.verdict())
    assert found["counts"]["draws"] == 8 and found["counts"]["observations"] == 5
    assert found["versions"]["nengo"] == nengo.__version__
    assert set(found["times"]) >= {"training", "spiking", "classical"}
    assert found["seed"] == 0 and set(found["seeds"]) == set(SEEDED)


def test_energy_of_a_studys_folder(folder, capsys):
    """With the data set that it says, whichever is the default."""
    options = ["--draws", "2", "--observations", "2", "--devices", "loihi"]
    assert cli.main(["energy", str(folder), *options]) == 0
    found = capsys.readouterr().out
    assert cli.main(["energy", str(folder / "model.h5"), *options]) == 0
    assert found == capsys.readouterr().out


def test_recalibration_is_of_validation_rows_alone(result):
    validation = result.samples_validation
    rows = result.dataset.validation
    assert validation.observation_names == [
        str(label) for label in rows.labels["Observation"]
    ]
    y = rows.target * result.dataset.target_std + result.dataset.target_mean
    fitted = npd.metrics.recalibrate(validation, y)
    assert np.allclose(result.recalibration.scale, fitted.scale)
    assert not set(validation.observation_names) & set(
        result.samples_spiking.observation_names
    )


def test_scores_are_of_the_shown_test_rows(result, folder):
    (found,) = json.loads((folder / "agreement.json").read_text())["scores"]
    data = result.dataset
    y = data.test.target[:5] * data.target_std + data.target_mean
    for network in ("spiking", "classical"):
        samples = getattr(result, f"samples_{network}")
        for when, each in (
            ("before", samples),
            ("after", result.recalibration.apply(samples)),
        ):
            expected = npd.metrics.score(each, y).to_dict(orient="records")[0]
            assert found[network][when] == pytest.approx(expected)
    # 8 draws are too few for intervals of 80% or more
    assert "Coverage0.5" in expected and "Coverage0.8" not in expected
    page = (folder / "report.html").read_text()
    assert f"{found['spiking']['after']['CRPS']:.4g}" in page


def test_summary_tsv(result, folder):
    table = pd.read_csv(folder / "summary.tsv", sep="\t")
    assert list(table)[:6] == [
        "Observation",
        "N",
        *(f"PredProgression{stat}" for stat in ("Mean", "Std", "Min", "Max")),
    ]
    assert len(table) == 5 and (table["N"] == 8).all()
    spiking = result.samples_spiking
    assert np.allclose(table["PredProgressionMean"], spiking.mean()[:, 0], atol=5e-5)
    assert np.allclose(table["PredProgressionMax"], spiking.max()[:, 0], atol=5e-5)
    text = (folder / "summary.tsv").read_text()
    assert re.search(r"\t\d+\.\d{4}\t", text)


def test_report_stands_alone_and_says_the_answer(result, folder):
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= len(PICTURES)
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", page)
    assert "control" in page
    words = result.verdict().words.partition(":")[0]
    assert words in page


def test_same_seed_same_samples(result):
    again = study("diabetes", **TINY)
    assert np.array_equal(again.samples_spiking.values, result.samples_spiking.values)
    assert np.array_equal(
        again.samples_classical.values, result.samples_classical.values
    )
    other = study("diabetes", seed=1, **{**TINY, "epochs": 1})
    assert not np.array_equal(
        other.samples_spiking.values, result.samples_spiking.values
    )


def test_presentation_follows_the_networks_depth(result):
    # the synapses of two layers take 39 ms
    assert result.options["settle"] == 0.04
    assert result.options["presentation_time"] == 0.1


def test_annealed_and_calibrated(result, tmp_path):
    changed = study(
        "digits",
        output=tmp_path,
        anneal=0.002,
        calibrate=True,
        synapse=0.01,
        **{**TINY, "epochs": 1},
    )
    assert changed.options["settle"] == 0.05  # of two Lowpass synapses of 10 ms
    assert changed.calibration.n_observations == 75  # of 100 validation rows
    assert changed.network["epochs"] == 2
    assert result.calibration is None
    page = (tmp_path / "report.html").read_text()
    assert "Gains and biases fitted to" in page
    table = pd.read_csv(tmp_path / "summary.tsv", sep="\t")
    assert {"PredIs9Mean", "ClassicalIs0Std", "Is3", "KSIs0", "PValueIs9"} <= {*table}
    assert np.allclose(table["KSIs9"], changed.agreement.statistic[:, 9], atol=5e-5)


def test_too_few_validation_rows_to_tune_on(monkeypatch):
    monkeypatch.setattr(fit, "train", None)
    data = datasets.load("combo-small", n_cells=6, n_drugs=5, n_validation=5, n_test=9)
    with pytest.raises(ValidationError, match="tune: takes at least 20 validation row"):
        study(data, tune=True, **{**TINY, "model_options": {"units": 5}})


def test_shared_masks_are_told(recwarn):
    with pytest.warns(UserWarning, match="share their masks"):
        shared = study("diabetes", masks="draw", **{**TINY, "epochs": 1})
    assert any("mask" in text for text in warnings_of(shared))


def test_what_theory_says_is_a_note():
    times = {"presentation_time": 0.03, "settle": 0.001}
    with pytest.warns(npd.AgreementWarning, match="settle is 0.001 s") as record:
        early = study("diabetes", **{**TINY, **times, "epochs": 1})
    assert len([w for w in record if w.category is npd.AgreementWarning]) == 1
    assert any("settle is 0.001 s" in text for text in warnings_of(early))


def test_combo_small_network_has_combos_architecture():
    data = datasets.load("combo-small", n_cells=6, n_drugs=5, n_validation=5, n_test=9)
    kmodel = models.for_dataset(data, units=10)
    assert [tensor.name for tensor in kmodel.inputs] == ["cell", "drug1", "drug2"]
    conv = npd.Converter(kmodel)
    assert len(conv.all_ensembles) == len(conv.dropouts) == 12  # 3 + 2 * 3 + 3
    assert conv.verify(data.test.take(slice(3)).inputs) < 1e-5


@pytest.fixture(name="combo_folder", scope="module")
def _combo_folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("combo")
    generate_files(path, **SIZES)
    return path


COMBO = dict(n_draws=4, observations=3, workers=1, progress=False)


def test_combo_is_candles_network_with_candles_training(combo_folder, monkeypatch):
    calls = []

    def fake(model, dataset, **options):
        calls.append((model, options))
        return {"loss": [1.0] * 10}

    monkeypatch.setattr("nengo_permadrop.combo.dataset.train", fake)
    options = {"data_dir": combo_folder, "n_test": 10}
    small = {"dense": (6,), "dense_feature_layers": (5,)}
    result = study("combo", dataset_options=options, model_options=small, **COMBO)
    ((model, how),) = calls
    assert model is result.model and set(how) == {"seed", "progress"}
    assert result.network["epochs"] == 10
    assert result.samples_spiking.values.shape == (4, 3, 1)
    assert model.get_layer("hidden1_dropout").rate == pytest.approx(0.1)

    full = models.for_dataset(result.dataset)
    assert full.get_layer("hidden3").units == 1000


def same_weights(found, expected):
    """Raise unless two models have the same weights, bit by bit."""
    graphs = [npd.read_model(each) for each in (found, expected)]
    for one, other in zip(*(graph.operations for graph in graphs), strict=True):
        for a, b in zip(getattr(one, "matrices", ()), getattr(other, "matrices", ())):
            assert (a is b is None) or abs(a - b).max() == 0


def test_model_that_was_trained_before(combo_folder, tmp_path, monkeypatch):
    data_options = {"seed": 7, "n_test": 10}
    dataset = datasets.load("combo", data_dir=combo_folder, **data_options)
    features = dataset.train.n_features
    kmodel = combo.model(
        features["cell"], features["drug1"], dense=(6,), dense_feature_layers=(5,)
    )
    prefix = tmp_path / "saved"
    combo.train(
        kmodel, dataset, prefix, epochs=2, progress=False, data_options=data_options
    )

    monkeypatch.setattr(fit, "train_for_dataset", None)
    options = {"model": f"{prefix}.model.h5", **COMBO}
    folder = tmp_path / "study"
    data_dir = {"data_dir": combo_folder}
    result = study("combo", dataset_options=data_dir, output=folder, **options)
    same_weights(result.model, kmodel)
    assert np.array_equal(result.dataset.test.target, dataset.test.target)
    assert result.network["epochs"] == 2
    assert "trained for 2 epochs" in (folder / "report.html").read_text()

    # weights of another file, and a network that isn't from a file
    weights = [array + 0.01 for array in kmodel.get_weights()]
    kmodel.set_weights(weights)
    kmodel.save_weights(str(tmp_path / "other.weights.h5"))
    again = study(
        "combo",
        dataset_options=data_dir,
        weights=tmp_path / "other.weights.h5",
        **options,
    )
    same_weights(again.model, kmodel)
    given = study(dataset, **{**options, "model": kmodel})
    assert given.network["epochs"] is None
    assert "trained for" not in render(given, dict.fromkeys(PICTURE_FILES, b""))

    # rows that the model has seen in training may be among the test rows
    with pytest.warns(UserWarning, match="not trained on the training rows"):
        other_rows = {**data_dir, "seed": 8}
        study("combo", dataset_options=other_rows, **options)


@pytest.mark.parametrize(
    "kwargs, attr",
    [
        (dict(model="model.h5"), "model"),  # epochs are given
        (dict(weights="weights.h5"), "weights"),
        (
            dict(dataset_options={"data_dir": "here"}),
            "'diabetes' has no option 'data_dir'; it takes seed",
        ),
        (dict(n_draws=1), "n_draws"),
        (dict(observations=0), "observations"),
        (dict(observations=111), "110 test rows"),
        (dict(workers=0), "workers"),
        (dict(settle=0.2, presentation_time=0.1), "settle"),
        (dict(presentation_time=0.03), "settle"),
        (dict(masks="row"), "masks"),
        (dict(backend="keras"), "backend"),
        (dict(anneal=0), "anneal"),
        (dict(synapse=0), "synapse"),
        (dict(backend="abacus"), "abacus"),
        (dict(tune=True, calibrate=True), "tune: chooses calibrate itself"),
        (dict(tune=True, synapse=0.01, settle=0.0), "chooses settle and synapse"),
        (dict(tune=True, presentation_time=0.1), "chooses presentation_time"),
        (dict(tune=True, n_draws=3), "n_draws: no test of 3 draws rejects"),
    ],
)
def test_bad_arguments_before_anything_is_trained(kwargs, attr, monkeypatch):
    monkeypatch.setattr(fit, "train", None)
    with pytest.raises(ValidationError, match=attr):
        study("diabetes", **{**TINY, **kwargs})


def test_options_for_a_loaded_data_set_are_refused():
    with pytest.raises(ValidationError, match="dataset_options"):
        study(datasets.load("diabetes"), dataset_options={"seed": 1}, **TINY)


def test_folder_that_can_not_be_written_to_is_told_first(tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "train", None)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        study("diabetes", output=tmp_path / "file", **TINY)


def test_interrupted_report_leaves_no_half_file(result, tmp_path, monkeypatch):
    import os

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        result.write(tmp_path)
    assert list(tmp_path.iterdir()) == []
