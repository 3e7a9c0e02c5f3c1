"""Predictions for rows without targets."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.cli import main
from nengo_permadrop.keras_layers import keras

for module in ("sklearn", "jinja2", "matplotlib"):
    pytest.importorskip(module)
layers = keras.layers

QUIET = dict(progress=False)


def rows(n):
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    frame["name"] = [f"row {i}" for i in range(n)]
    frame["y"] = 40 + 5 * frame["a"] - frame["b"]
    return frame


@pytest.fixture(scope="module", name="frame")
def _frame():
    return rows(60)


@pytest.fixture(scope="module", name="kmodel")
def _kmodel(frame):
    keras.utils.set_random_seed(0)
    kmodel = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(16, "relu"),
            layers.Dropout(0.2),
            layers.Dense(1),
        ]
    )
    kmodel.compile(keras.optimizers.Adam(0.05), "mse")
    kmodel.fit(frame[["a", "b", "c"]], frame["y"], epochs=30, verbose=0)
    return kmodel


@pytest.fixture(scope="module", name="folder")
def _folder(kmodel, frame, tmp_path_factory):
    """Of a study of the network, given with its rows."""
    folder = tmp_path_factory.mktemp("study") / "s"
    options = dict(n_draws=10, observations=5, workers=1, output=folder, **QUIET)
    npd.study(kmodel, frame, "y", ids=["name"], **options)
    return folder


def test_the_table_is_that_of_the_draws(kmodel, frame):
    X = frame[["a", "b", "c"]].to_numpy()[:4]
    found = npd.predict(
        kmodel, X, 40, backend="keras", quantiles=(0.5,), level=0.8, **QUIET
    )
    columns = ["Row", "N", "Mean", "Std", "Lower", "Upper", "Q0.5"]
    assert list(found) == columns and list(found["Row"]) == [0, 1, 2, 3]
    assert found.attrs == {"level": 0.8, "recalibration": None}
    seed = npd.predict.__globals__["derive_seed"](0, 1)
    draws = npd.sample(kmodel, X, 40, backend="keras", seed=seed, **QUIET)
    for name, expected in (
        ("Mean", draws.mean()),
        ("Std", draws.std()),
        ("Lower", draws.quantile(0.1)),
        ("Upper", draws.quantile(0.9)),
        ("Q0.5", draws.quantile(0.5)),
    ):
        assert found[name].to_numpy() == pytest.approx(expected.ravel())
    assert (found["N"] == 40).all()


def test_spiking_and_classical_agree_and_a_seed_is_a_seed(kmodel, frame):
    X = frame[["a", "b", "c"]].head(6)
    spiking, again, other, classical = (
        npd.predict(kmodel, X, 100, seed=seed, backend=backend, **QUIET)
        for seed, backend in (
            (0, "batched"),
            (0, "batched"),
            (1, "batched"),
            (0, "keras"),
        )
    )
    assert spiking.equals(again) and not spiking.equals(other)
    # standard errors of a mean of 100 draws; six rows, two networks
    error = np.hypot(spiking["Std"], classical["Std"]) / 10
    assert (abs(spiking["Mean"] - classical["Mean"]) < 4 * error).all()


def test_a_converter_is_taken_as_it_is(kmodel, frame):
    X = frame[["a", "b", "c"]].head(3)
    conv = npd.Converter(kmodel, seed=3)
    found = npd.predict(conv, X, 10, **QUIET)
    assert list(found["Row"]) == [0, 1, 2]


def test_all_outputs_are_there(frame, tmp_path):
    keras.utils.set_random_seed(0)
    inp = keras.Input((3,))
    x = layers.Dropout(0.2)(layers.Dense(9, "relu")(inp))
    outputs = [layers.Dense(1, name="p")(x), layers.Dense(2, name="q")(x)]
    kmodel = keras.Model(inp, outputs)
    X = frame[["a", "b", "c"]].to_numpy()[:2]
    found = npd.predict(kmodel, X, 20, checkpoint=tmp_path / "kept", **QUIET)
    names = list(found["Output"])
    assert len(names) == 6 and names[:3] == names[3:] and names[0] == "p"
    assert all(name.startswith("q ") for name in names[1:3])
    classical = npd.predict(kmodel, X, 200, backend="keras", **QUIET)
    error = np.hypot(found["Std"] / 20**0.5, classical["Std"] / 200**0.5)
    assert (abs(found["Mean"] - classical["Mean"]) < 5 * error + 0.02).all()


def test_a_study_knows_columns_names_and_the_factor(folder, frame):
    new = frame[["c", "name", "y", "a", "b"]].head(7)
    found = npd.predict(folder, new, 20, **QUIET)
    assert list(found["name"]) == list(new["name"])
    kept = json.loads((folder / "agreement.json").read_text())["recalibration"]
    assert found.attrs["recalibration"] == kept and kept[0] != 1
    plain = npd.predict(
        folder / "model.h5", frame[["a", "b", "c"]].head(7), 20, **QUIET
    )
    assert found["Mean"].to_numpy() == pytest.approx(plain["Mean"].to_numpy())
    assert found["Std"].to_numpy() == pytest.approx(kept[0] * plain["Std"].to_numpy())
    arrays = npd.predict(folder, frame[["a", "b", "c"]].to_numpy()[:7], 20, **QUIET)
    assert arrays["Lower"].to_numpy() == pytest.approx(found["Lower"].to_numpy())


@pytest.mark.filterwarnings("ignore:.* may not agree")  # hardly trained
def test_a_network_that_a_study_trained_gets_its_scaling(tmp_path):
    frame = rows(400)
    folder = tmp_path / "s"
    npd.study(
        X=frame,
        y="y",
        ids=["name"],
        n_draws=10,
        observations=5,
        epochs=60,
        model_options={"units": (20,)},
        output=folder,
        workers=1,
        **QUIET,
    )
    found = npd.predict(folder, frame.drop(columns="y").head(30), 20, **QUIET)
    assert np.corrcoef(found["Mean"], frame["y"].head(30))[0, 1] > 0.8
    assert abs(found["Mean"].mean() - 40) < 5


@pytest.mark.parametrize("ending", (".csv", ".tsv", ".parquet"))
def test_files(kmodel, frame, tmp_path, ending):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"new folder/out{ending}"
    X = frame[["a", "b", "c"]].head(3)
    found = npd.predict(kmodel, X, 10, output=path, **QUIET)
    if ending == ".parquet":
        read = pd.read_parquet(path)
    else:
        read = pd.read_csv(path, sep="," if ending == ".csv" else "\t")
    assert list(read) == list(found)
    assert read.to_numpy() == pytest.approx(found.to_numpy(), rel=1e-5)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_goes_on_from_a_checkpoint(kmodel, frame, tmp_path):
    X = frame[["a", "b", "c"]].head(3)
    first, second = (
        npd.predict(kmodel, X, 10, checkpoint=tmp_path / "kept", **QUIET)
        for _ in range(2)
    )
    assert first.equals(second)


@pytest.mark.parametrize(
    "options, words",
    (
        ({"n_draws": 1}, "n_draws"),
        ({"level": 1.5}, "level"),
        ({"level": 0}, "level"),
        ({"quantiles": [2]}, "quantiles"),
        ({"backend": "batchd"}, "backend"),
        ({"output": "out.xls"}, "ends in none of .csv, .tsv, .parquet"),
        ({"seed": -1}, "seed"),
    ),
)
def test_options_are_checked_before_anything_is_read(options, words):
    with pytest.raises(ValidationError, match=words):
        npd.predict("no-such-model.h5", "no-such-rows.csv", **options)


def test_folders_that_do_not_say_how_rows_are_prepared(folder, frame, tmp_path):
    other = tmp_path / "s"
    other.mkdir()
    for name in ("model.h5", "agreement.json"):
        (other / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(ValidationError, match="doesn't say how rows become.*model.h5"):
        npd.predict(other, frame)
    (other / "preparation.json").write_text("[1]")
    with pytest.raises(ValidationError, match="isn't what a study wrote"):
        npd.predict(other, frame)
    (other / "preparation.json").write_text("{}")
    with pytest.raises(ValidationError, match="doesn't say how rows are prepared"):
        npd.predict(other, frame)


def test_command(folder, frame, tmp_path, capsys):
    new = tmp_path / "new.csv"
    frame.drop(columns="y").head(4).to_csv(new, index=False)
    command = ["predict", str(folder), str(new), "-n", "10"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "name,N,Mean,Std,Lower,Upper" and len(lines) == 5
    assert "after recalibration: their spread times" in err
    assert main([*command, "-o", str(tmp_path / "out.csv")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == lines
    assert main([*command, "-o", str(tmp_path / "out.csv")]) == 0
    assert "out.csv was there, and has been replaced" in capsys.readouterr().err
    assert main([*command, "--json", "--level", "0.5", "--quantiles", "0.5"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["level"] == 0.5 and len(found["rows"]) == 4
    assert found["rows"][0]["name"] == "row 0" and "Q0.5" in found["rows"][0]
    plain = ["predict", str(folder / "model.h5"), str(new), "-n", "10", "--id", "name"]
    assert main(plain) == 0
    assert "needn't be 90% of the targets" in capsys.readouterr().err


def test_a_single_row(kmodel, frame, tmp_path):
    X = frame.drop(columns=["name", "y"]).to_numpy()
    with pytest.raises(ValidationError, match=r"is a single row; .* of shape \(1, 3\)"):
        npd.predict(kmodel, X[0], 4, progress=False)
    one = npd.predict(kmodel, X[:1], 4, progress=False)
    assert len(one) == 1
    frame.drop(columns="y").head(1).to_csv(tmp_path / "one.csv", index=False)
    same = npd.predict(kmodel, tmp_path / "one.csv", 4, ids=["name"], progress=False)
    assert same["Mean"][0] == pytest.approx(one["Mean"][0], abs=1e-5)


def test_rows_are_not_replaced_by_their_predictions(kmodel, frame, tmp_path):
    path = tmp_path / "rows.csv"
    frame.drop(columns=["name", "y"]).to_csv(path, index=False)
    before = path.read_text()
    with pytest.raises(ValidationError, match="holds the rows, which it would replace"):
        npd.predict(kmodel, path, 4, output=tmp_path / "." / "rows.csv", progress=False)
    assert path.read_text() == before


def test_study_of_own_rows_as_a_command(kmodel, frame, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kmodel.save("mine.h5")
    frame.to_csv("rows.csv", index=False)
    options = ["--target", "y", "--id", "name", "-n", "10", "--observations", "5"]
    command = ["study", "--model", "mine.h5", "--data", "rows.csv", *options]
    assert main([*command, "--input", "dense=a:c", "--json"]) in (0, 1)
    out, err = capsys.readouterr()
    if "inputs are" in err:  # which has the name that Keras gave it
        assert main([*command, "--json"]) == 0
        out, err = capsys.readouterr()
    assert json.loads(out)["report"].startswith("study-rows")
    for wrong, words in (
        (
            ["study", "--target", "y"],
            "--target: is said of rows of your own.*--data FILE",
        ),
        ([*command, "--dataset", "digits"], "--dataset says other data than --data"),
        ([*command, "--data-dir", "x"], "--data-dir says other data"),
    ):
        assert main(wrong) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert re.search(words, line)
