"""Studies of one's own network and rows."""

import inspect
import json
import types
import warnings

import numpy as np
import pandas as pd
import pytest
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.datasets.own import own_dataset
from nengo_permadrop.keras_layers import keras
from nengo_permadrop.study.judgements import next_steps
from nengo_permadrop.study.steps import StudyRun

for module in ("sklearn", "jinja2", "matplotlib"):
    pytest.importorskip(module)
layers = keras.layers

TINY = dict(n_draws=10, observations=6, progress=False, workers=1)


@pytest.fixture(scope="module", name="rows")
def _rows():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(60, 3))
    return X, 40 + 5 * X[:, 0] - X[:, 1] * X[:, 2]


@pytest.fixture(scope="module", name="kmodel")
def _kmodel(rows):
    keras.utils.set_random_seed(0)
    kmodel = keras.Sequential(
        [
            keras.Input((3,), name="whatever"),
            layers.Dense(16, "relu"),
            layers.Dropout(0.1),
            layers.Dense(1),
        ]
    )
    kmodel.compile(keras.optimizers.Adam(0.05), "mse")
    kmodel.fit(*rows, epochs=100, verbose=0)
    return kmodel


@pytest.fixture(scope="module", name="csv")
def _csv(rows, tmp_path_factory):
    X, y = rows
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["name"] = [f"row {i}" for i in range(len(y))]
    frame["y"] = y
    path = tmp_path_factory.mktemp("rows") / "mine.csv"
    frame.to_csv(path, index=False)
    return path


def test_three_arguments(kmodel, rows):
    X, y = rows
    found = npd.study(kmodel, X, y, **TINY)
    assert found.options["observations"] == 6 and found.model is kmodel
    # rows and answers are as they were given
    test = found.dataset.test.take(slice(6))
    numbers = test.labels["Row"]
    assert test.inputs["whatever"] == pytest.approx(X[numbers], abs=1e-6)
    classical = found.samples_classical.mean()[:, 0]
    assert abs(classical - y[numbers]).max() < 10
    assert found.r2["test"] > 0.5
    again = npd.study(model=kmodel, X=X, y=y, **TINY)
    assert np.array_equal(again.samples_spiking.values, found.samples_spiking.values)


def test_files_and_names(kmodel, rows, csv, tmp_path):
    kmodel.save(tmp_path / "mine.h5")
    path = tmp_path / "study"
    found = npd.study(tmp_path / "mine.h5", csv, "y", ids=["name"], output=path, **TINY)
    same = npd.study(kmodel, *rows, **TINY)
    assert found.samples_spiking.values == pytest.approx(
        same.samples_spiking.values, abs=1e-4
    )
    numbers = same.dataset.test.labels["Row"][:6]
    assert found.samples_spiking.observation_names == [f"row {i}" for i in numbers]
    table = pd.read_csv(path / "summary.tsv", sep="\t")
    assert list(table["name"]) == found.samples_spiking.observation_names
    assert "mine.csv" in (path / "report.html").read_text()
    with pytest.raises(ValidationError, match="finished|overwrite"):
        npd.study(tmp_path / "mine.h5", csv, "y", ids=["name"], output=path, **TINY)
    # other rows are another study
    with pytest.raises(ValidationError, match="overwrite"):
        npd.study(kmodel, rows[0], rows[1] + 1, output=path, **TINY)


def test_all_test_rows_if_there_are_fewer(kmodel, rows):
    options = {**TINY, "observations": None}
    found = npd.study(kmodel, *rows, **options)
    assert found.samples_spiking.n_observations == 30


def test_several_inputs_and_targets(rows, tmp_path):
    X, y = rows
    keras.utils.set_random_seed(0)
    left, right = keras.Input((2,), name="left"), keras.Input((1,), name="right")
    x = layers.Dense(8, "relu")(layers.concatenate([left, right]))
    kmodel = keras.Model([left, right], layers.Dense(2)(layers.Dropout(0.2)(x)))
    targets = np.column_stack([y, -y])
    np.savez(tmp_path / "two.npz", right=X[:, 2:], left=X[:, :2], y=targets)
    found = npd.study(kmodel, tmp_path / "two.npz", **TINY)
    assert found.samples_spiking.output_names == ["y0", "y1"]
    frame = pd.DataFrame(np.hstack([X, targets]), columns=["a", "b", "c", "p", "q"])
    columns = {"left": ["a:b"], "right": ["c"]}
    same = npd.study(kmodel, frame, ["p", "q"], columns=columns, **TINY)
    assert same.samples_spiking.output_names == ["p", "q"]
    assert np.array_equal(found.samples_spiking.values, same.samples_spiking.values)


def test_a_network_is_trained_if_there_is_none(csv, tmp_path):
    found = npd.study(
        X=csv,
        y="y",
        ids=["name"],
        epochs=2,
        model_options={"units": (40,)},
        output=tmp_path / "study",
        **TINY,
    )
    assert len(found.dataset.train) == 36
    kept = json.loads((tmp_path / "study" / "preparation.json").read_text())
    assert kept["columns"] == {"input": ["a", "b", "c"]} and kept["ids"] == ["name"]
    assert len(kept["moments"]["input"]["mean"]) == 3
    assert abs(kept["target_mean"][0] - 40) < 3


@pytest.mark.parametrize(
    "args, options, words",
    (
        (("model", "X", None), {}, "say which|targets"),
        (("model",), {}, r"is a network, which needs rows: study\(model, X, y\)"),
        ((), {"y": [1.0]}, "y: is said of rows of one's own; give X"),
        ((), {"ids": ["a"]}, "ids: is said of rows"),
        ((), {"columns": {"x": "a"}}, "columns: is said of rows"),
        (("model", "X", "y"), {"model": "model"}, "is given twice"),
        (("model", "X", "y"), {"dataset_options": {"a": 1}}, "dataset_options: are"),
        (("model", "X", "y"), {"epochs": 3}, "is given trained"),
        (("data", "X", "y"), {}, "'diabetes' has rows already"),
        (("conv", "X", "y"), {}, "has been converted already"),
        (("model", "few", "y"), {}, "takes 3 features, and X has 2"),
        (("model", "X", "y"), {"observations": 31}, "30 test rows, fewer than the 31"),
        (("model", "X", "y"), {"n_draws": 1}, "n_draws"),
    ),
)
def test_what_does_not_go_together(kmodel, rows, args, options, words):
    known = {
        "model": kmodel,
        "X": rows[0],
        "y": rows[1],
        "few": rows[0][:, :2],
        "data": npd.datasets.load("diabetes"),
        "conv": npd.Converter(kmodel),
    }
    args = [known.get(each) for each in args]
    options = {k: known.get(v, v) if k == "model" else v for k, v in options.items()}
    with pytest.raises(ValidationError, match=words):
        npd.study(*args, **{**TINY, **options})


@pytest.mark.parametrize("as_table", (False, True))
def test_targets_of_other_rows_are_refused(kmodel, rows, as_table):
    """Targets with labels aren't taken by their place where labels say otherwise."""
    X, y = pd.DataFrame(rows[0], columns=[*"abc"]), pd.Series(rows[1], name="y")
    y = y.to_frame() if as_table else y
    for other, fix in (
        (y.sample(frac=1, random_state=0), r"give y.loc\[X.index\]"),
        (y.set_axis(np.arange(60) + 100), r"give y.to_numpy\(\)"),
    ):
        with pytest.raises(ValidationError, match=fix):
            npd.study(kmodel, X, other, **TINY)
    found = npd.study(kmodel, X, y, **TINY)
    # rows in another order, with their targets
    order = np.random.RandomState(0).permutation(60)
    moved = own_dataset(X.iloc[order], y.iloc[order], shapes={"x": (3,)})
    assert found.dataset.test.target.shape == moved.test.target.shape


@pytest.mark.parametrize("by", ("argument", "model", "options", "interrupt"))
def test_a_refused_study_leaves_nothing(kmodel, rows, tmp_path, monkeypatch, by):
    output = tmp_path / "new" / "study"
    model, options, error = kmodel, {}, ValidationError
    if by == "argument":
        options = {"observations": 31}
    elif by == "model":
        model, error = tmp_path / "none.h5", FileNotFoundError
    elif by == "options":
        options = {"tune": True, "settle": 0.1}
    else:
        monkeypatch.setattr(StudyRun, "score", interrupted)
        error = KeyboardInterrupt
    with pytest.raises(error):
        npd.study(model, *rows, output=output, **{**TINY, **options})
    assert list(tmp_path.iterdir()) == []


def interrupted(self):
    raise KeyboardInterrupt


def test_a_folder_that_was_there_stays(kmodel, rows, tmp_path):
    with pytest.raises(ValidationError):
        npd.study(kmodel, *rows, output=tmp_path, **{**TINY, "observations": 31})
    assert tmp_path.is_dir()


def test_targets_that_look_like_labels_are_told_once(kmodel, rows, tmp_path, recwarn):
    y = (rows[1] > 40).astype(float)
    warnings.simplefilter("always")
    npd.study(kmodel, rows[0], y, output=tmp_path / "s", **{**TINY, "n_draws": 30})
    told = [str(each.message) for each in recwarn]
    assert len([text for text in told if "every target is 0 or 1" in text]) == 1


def test_constant_targets_are_told(kmodel, rows):
    y = np.full(60, 5.0)
    with pytest.warns(UserWarning, match="every target 'y' of X is 5: there is nothi"):
        found = npd.study(kmodel, rows[0], y, **TINY)
    judged = found.judgements()["accuracy"]
    assert judged.state == "unknown" and "are all the same" in judged.words
    assert "Give test rows whose targets differ." in next_steps(found.judgements())


def test_it_is_still_a_package_and_a_function():
    from nengo_permadrop.study import Study, study

    assert isinstance(npd.study, types.ModuleType)
    assert npd.study.study is study and npd.study.Study is Study
    assert inspect.signature(npd.study) == inspect.signature(study)
    assert callable(npd.study)
