"""Studies of images, of models that pool, and of models with dropout of one's own."""

import json

import numpy as np
import pytest

pytest.importorskip("keras")
from file_models import drawn_weights
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.cli import main
from nengo_permadrop.keras_layers import keras
from nengo_permadrop.study.errors import Errors, errors_of
from nengo_permadrop.training.evaluation import accuracy

for module in ("sklearn", "jinja2", "matplotlib"):
    pytest.importorskip(module)

L = keras.layers
pytestmark = pytest.mark.filterwarnings(
    "ignore::nengo_permadrop.converter.checks.AgreementWarning"
)
FEW = dict(n_draws=6, observations=5, workers=1, progress=False)
SMALL = {"filters": (4,), "units": (12,)}


class Zap(L.Dropout):
    """Dropout that is always on, whose name doesn't say so."""

    def call(self, inputs, training=None):
        return super().call(inputs, training=True)


def images(n=30):
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(n, 6, 6, 1)).astype(np.float32)
    return X, np.eye(3)[rng.randint(3, size=n)]


def pooled(dropout=L.Dropout):
    layers = [
        L.Conv2D(4, 3, activation="relu"),
        L.MaxPooling2D(2, name="pool"),
        dropout(0.3),
        L.Flatten(),
        L.Dense(3),
    ]
    return drawn_weights(keras.Sequential([keras.Input((6, 6, 1)), *layers]))


@pytest.fixture(scope="module", name="studied")
def _studied(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "study"
    options = {**FEW, "observations": 20, "model_options": SMALL, "epochs": 8}
    return npd.study("digits-images", output=folder, **options), folder


def test_accuracy_is_told_where_targets_are_classes(studied):
    found, folder = studied
    data = found.dataset
    target = data.in_units(data.test.take(slice(20)).target)
    assert set(found.accuracy) == {"spiking", "classical", "validation", "test"}
    for name in ("spiking", "classical"):
        mean = getattr(found, f"samples_{name}").mean()
        assert found.accuracy[name] == accuracy(target, mean)
    # a few epochs are enough for more than chance, of 400 images
    assert 0.3 < found.accuracy["test"] < 1
    written = json.loads((folder / "agreement.json").read_text())
    assert written["accuracy"] == found.accuracy
    percent = f"{100 * found.accuracy['test']:.3g}%"
    assert f"for {percent} of all test rows" in found.judgements()["accuracy"].words
    assert any("The targets are classes" in each for each in written["warnings"])
    page = " ".join((folder / "report.html").read_text().split())
    assert f"{found.accuracy['test']:.1%} of the test rows" in page


def test_a_class_that_few_rows_lack_leaves_the_others(studied):
    found, _ = studied
    errors = errors_of(found)
    there = errors.spread > 0
    assert 2 < there.sum() < 10
    assert errors.r2 == pytest.approx(
        Errors(errors.mean[:, there], errors.y[:, there]).r2
    )
    same = Errors(errors.mean[:, ~there], errors.y[:, ~there])
    assert np.isnan(same.r2) and not same.better_than_mean


def test_a_study_of_images_predicts_images(studied, tmp_path):
    found, folder = studied
    raw = (found.dataset.test.inputs["input"][:3] + 1) * 8
    np.savez(tmp_path / "new.npz", input=raw)
    table = npd.predict(folder, tmp_path / "new.npz", n_draws=20, progress=False)
    assert len(table) == 30 and set(table["Output"]) == {f"Is{i}" for i in range(10)}
    mean = table["Mean"].to_numpy().reshape(3, 10)
    # of the same images, with other masks: what masks do is small beside the images
    assert np.corrcoef(mean.ravel(), found.samples_spiking.mean()[:3].ravel())[0, 1] > (
        0.5
    )


def test_regressions_have_no_accuracy():
    found = npd.study("diabetes", model_options={"units": (30,)}, epochs=1, **FEW)
    assert found.accuracy is None
    assert "class for" not in found.judgements()["accuracy"].words


def test_pools_of_the_largest_are_compared_with_what_takes_averages(tmp_path):
    X, y = images()
    kmodel = pooled()
    with pytest.raises(npd.ConversionError, match="--max-to-avg-pool"):
        npd.study(kmodel, X, y, **FEW)
    with pytest.warns(UserWarning, match="averages what the model takes"):
        found = npd.study(kmodel, X, y, max_to_avg_pool=True, **FEW)
    # the classical answers are the model's own
    expected = npd.sample(
        kmodel,
        found.dataset.test.inputs,
        6,
        backend="keras",
        seed=found.seeds["classical"],
        progress=False,
    )
    classical = found.samples_classical.values
    assert np.allclose(classical, expected.values[:, :5], atol=1e-5)
    (said,) = found.network["replaced"]
    assert "'pool' averages" in said
    assert found.options["max_to_avg_pool"] is True

    # a file is the same, and its study's folder knows how it is read
    kmodel.save(tmp_path / "pool.h5")
    np.savez(tmp_path / "rows.npz", input=X, y=y)
    folder = tmp_path / "study"
    options = dict(FEW, max_to_avg_pool=True, output=folder)
    with pytest.warns(UserWarning, match="averages what the model takes"):
        of_file = npd.study(tmp_path / "pool.h5", X, y, **options)
    assert np.allclose(of_file.samples_classical.values, classical, atol=1e-5)
    assert np.array_equal(of_file.samples_spiking.values, found.samples_spiking.values)
    assert "In the spiking network" in (folder / "report.html").read_text()
    options = dict(n_draws=3, progress=False)
    with pytest.warns(UserWarning, match="averages what the model takes"):
        table = npd.predict(folder, X[:2], **options)
        again = npd.predict(
            tmp_path / "pool.h5", X[:2], max_to_avg_pool=True, **options
        )
    assert len(table) == 6
    assert np.allclose(table["Mean"], again["Mean"], rtol=1e-12)


@pytest.mark.filterwarnings("default:.*averages what the model takes")
def test_commands_take_averages_if_asked(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y = images()
    pooled().save("pool.h5")
    np.savez("rows.npz", input=X)
    for command in ("convert pool.h5", "energy pool.h5 --data rows.npz -n 2"):
        assert main(command.split()) == 1
        assert "--max-to-avg-pool" in capsys.readouterr().err
        assert main([*command.split(), "--max-to-avg-pool"]) == 0
        assert "averages what the model takes" in capsys.readouterr().err


def test_dropout_of_ones_own_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    X, y = images()
    layers = [L.Flatten(), L.Dense(8, activation="relu"), Zap(0.3), L.Dense(3)]
    kmodel = drawn_weights(keras.Sequential([keras.Input((6, 6, 1)), *layers]))
    kmodel.save("zap.h5")
    np.savez("rows.npz", input=X)
    np.savez("targets.npz", input=X, y=y)
    study = "study --model zap.h5 --data targets.npz -n 4 --observations 3 -o found"
    for command in (
        "convert zap.h5",
        "predict zap.h5 rows.npz -n 2",
        "energy zap.h5 --data rows.npz -n 2 --observations 2",
        f"{study} --workers 1",
    ):
        assert main(command.split()) == 1
        assert "Zap" in capsys.readouterr().err
        assert (
            main([*command.split(), "--dropout-class", "Zap"]) == 0
        ), capsys.readouterr().err
        capsys.readouterr()
    # the study's folder knows it
    for command in ("convert found", "predict found rows.npz -n 2"):
        assert main(command.split()) == 0
    found = json.loads((tmp_path / "found" / "agreement.json").read_text())
    assert found["options"]["dropout_classes"] == ["Zap"]
    # Keras, which trains it on or pools by the largest, gets our class by that name
    of_keras = npd.study(
        "zap.h5", X, y, dropout_classes="Zap", max_to_avg_pool=True, **FEW
    )
    assert of_keras.network["dropouts"] == 1 and not of_keras.network["replaced"]


@pytest.mark.parametrize(
    "options, attr",
    [
        ({"dropout_classes": ("Zap",)}, "dropout_classes"),
        ({"max_to_avg_pool": True}, "max_to_avg_pool"),
    ],
)
def test_options_of_a_model_that_is_not_there(options, attr):
    with pytest.raises(ValidationError, match=f"{attr}: is said of a trained model"):
        npd.study("digits-images", **options, **FEW)


@pytest.mark.parametrize("names", [1, ("Zap", 2), [""], {"Zap": 1}])
def test_names_of_dropout_are_names(names):
    with pytest.raises(ValidationError, match="dropout_classes: must be names"):
        npd.study(pooled(), *images(), dropout_classes=names, **FEW)


def test_classical_draws_of_pools_are_kept(tmp_path):
    kmodel = pooled()
    options = dict(backend="keras", seed=0, progress=False)
    X = images(2)[0]
    one = npd.sample(kmodel, X, 4, checkpoint=tmp_path / "draws", **options)
    other = npd.sample(kmodel, X, 4, checkpoint=tmp_path / "draws", **options)
    assert np.array_equal(one.values, other.values)


def test_images_of_ones_own_train_a_lenet(tmp_path):
    rng = np.random.RandomState(0)
    kind = rng.randint(3, size=60)
    X = rng.normal(100, 20, size=(60, 8, 8, 2))  # as they are: not scaled
    X[np.arange(60), kind] += 60
    y = np.eye(3)[kind]
    found = npd.study(
        X=X,
        y=y,
        model_options=SMALL,
        epochs=3,
        output=tmp_path / "study",
        **{**FEW, "observations": 12},
    )
    assert found.model.name == "lenet" and set(found.accuracy)
    train = found.dataset.train.inputs["input"]
    assert train.shape == (36, 8, 8, 2)  # each channel has moments of its own
    assert np.allclose(train.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    assert np.allclose(train.std(axis=(0, 1, 2)), 1, atol=1e-5)
    rows = found.dataset.test.labels["Row"][:12]
    prepared = found.dataset.preparation.inputs({"input": X[rows]})["input"]
    shown = found.dataset.test.inputs["input"][:12]
    assert np.allclose(prepared, shown, atol=1e-6)
    table = npd.predict(tmp_path / "study", X[rows], n_draws=40, progress=False)
    mean = table["Mean"].to_numpy().reshape(12, 3)
    assert np.corrcoef(mean.ravel(), found.samples_spiking.mean().ravel())[0, 1] > 0.5
