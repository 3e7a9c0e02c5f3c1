"""
What new users want to do, done with the lines that README and docs give for it.

The lines are taken from the pages as they stand there, and run where the user's files
are. Each task is one command, or at most five lines.
"""

import contextlib
import io
import re
import shlex
from pathlib import Path

import nengo
import numpy as np
import pandas as pd
import pytest

import nengo_permadrop as npd
from nengo_permadrop.cli import main
from nengo_permadrop.keras_layers import keras

for module in ("sklearn", "jinja2", "matplotlib"):
    pytest.importorskip(module)
layers = keras.layers

pytestmark = pytest.mark.filterwarnings(
    "ignore::nengo_permadrop.converter.checks.AgreementWarning"
)

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(
    r"^\.\. code-block:: \w+\n   :name: (task-[\w-]+)\n\n((?:(?:   .*)?\n)+)", re.M
)


def blocks():
    """The lines of each task, by name."""
    found = {}
    for page in (ROOT / "README.rst", *sorted((ROOT / "docs").glob("*.rst"))):
        for name, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            assert name not in found, f"{name} stands twice"
            found[name] = [line[3:] for line in text.rstrip().splitlines() if line]
    return found


def dense(x, n_layers, units=30):
    for _ in range(n_layers):
        x = layers.Dropout(0.1)(layers.Dense(units, "relu")(x))
    return x


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory):
    """A user's files."""
    folder = tmp_path_factory.mktemp("mine")
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 5))
    y = 150 + 30 * np.sin(X[:, 0]) + 10 * X[:, 1]  # in the user's units
    frame = pd.DataFrame(X, columns=[*"abcde"])
    frame.insert(0, "name", [f"row {i}" for i in range(len(y))])
    frame.head(5).to_csv(folder / "new.csv", index=False)
    frame["growth"] = y
    frame.to_csv(folder / "rows.csv", index=False)
    np.savez(folder / "two.npz", left=X[:, :3], right=X[:, 3:], y=y)

    keras.utils.set_random_seed(0)
    inp = keras.Input((5,))
    deep = keras.Model(inp, layers.Dense(1)(dense(inp, 6)))
    left, right = keras.Input((3,), name="left"), keras.Input((2,), name="right")
    two = dense(layers.concatenate([left, right]), 1)
    two = keras.Model([left, right], layers.Dense(1)(two))
    classes = keras.Model(inp, layers.Dense(3, "softmax")(dense(inp, 1)))
    for kmodel, inputs, name in (
        (deep, X, "model.h5"),
        (two, [X[:, :3], X[:, 3:]], "two.h5"),
    ):
        kmodel.layers[-1].bias.assign([150.0])
        kmodel.compile(keras.optimizers.Adam(5e-3), "mse")
        kmodel.fit(inputs, y, epochs=40, verbose=0)
        kmodel.save(folder / name)
    classes.save(folder / "classifier.h5")
    return folder


@pytest.fixture(autouse=True)
def _in_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)


def run(name, **names):
    """Do a task as a page says; what its commands print, or its names."""
    lines = blocks()[name]
    if not lines[0].startswith("nengo-permadrop"):
        assert len(lines) <= 5
        names = {**names}
        exec("\n".join(lines), names)  # of our own pages
        return names
    (command,) = " ".join(line.rstrip("\\") for line in lines).splitlines()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(shlex.split(command)[1:])
    assert code == 0
    return out.getvalue()


def test_own_rows():
    out = run("task-csv")
    assert "report.html" in out
    found = pd.read_json("study-rows/agreement.json", typ="series")
    assert found["judgements"]["accuracy"]["state"] == "good"
    assert found["counts"]["draws"] == 100


def test_interval_of_a_row():
    if not Path("study-rows").exists():
        run("task-csv")
    table = pd.read_csv(io.StringIO(run("task-interval")))
    assert list(table["name"]) == [f"row {i}" for i in range(5)]
    assert (table["Lower"] < table["Upper"]).all()
    assert table["Mean"].between(100, 200).all()


def test_energy():
    if not Path("study-rows").exists():
        run("task-csv")
    out = run("task-energy")
    assert "Loihi" in out and "spikes" in out


def test_two_inputs():
    run("task-npz")
    assert Path("study-two/report.html").exists()


def test_classifier():
    X = np.random.RandomState(0).normal(size=(2, 5))
    names = run("task-classifier", X=X)
    samples = names["samples"]
    assert samples.values.shape == samples.logits.shape == (100, 2, 3)
    assert np.allclose(names["probabilities"].sum(axis=1), 1)
    assert names["classes"].shape == (2,)
    kmodel = keras.models.load_model("classifier.h5")
    classical = npd.sample(kmodel, X, backend="keras", progress=False)
    spread = classical.std() + 1e-3
    assert (abs(samples.mean() - classical.mean()) < 2 * spread).all()


def test_own_network_live():
    with nengo.Network(seed=0) as net:
        stimulus = nengo.Node([1.0])
        ens = nengo.Ensemble(50, 1)
        hidden = nengo.Node(size_in=50)
        nengo.Connection(stimulus, ens, synapse=None)
        nengo.Connection(ens.neurons, hidden, synapse=0.01)
        output = nengo.Node(size_in=1)
        weights = np.full((1, 50), 1e-4)
        dropout = npd.PermanentDropout((1, 50), init=weights, rate=0.3, redraw=0.1)
        nengo.Connection(hidden, output, transform=dropout, synapse=None)
    shown = run("task-live", net=net, stimulus=stimulus, output=output)["shown"]
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(1.0)
    assert "(10 draws)" in shown.view.output._nengo_html_


def test_combo_from_files():
    from combo_helpers import SIZES

    from nengo_permadrop.combo.data.generator import generate_files

    generate_files("data", **SIZES)
    train = "combo-train --data-dir data -o saved.uq -e 1 --n-test 8 --dense 8 8"
    assert main([*train.split(), "--dense_feature_layers", "8", "8"]) == 0
    out = run("task-combo")
    tables = [pd.read_csv(path, sep="\t") for path in out.split()]
    assert len(tables[0]) == 2 * 3 * 3 and (tables[0]["N"] == 100).all()


def test_what_to_do_without_agreement(folder, tmp_path, monkeypatch):
    """With a network that isn't deep, as tuning runs it dozens of times."""
    (tmp_path / "rows.csv").write_bytes((folder / "rows.csv").read_bytes())
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    inp = keras.Input((5,))
    keras.Model(inp, layers.Dense(1)(dense(inp, 2))).save("model.h5")
    out = run("task-disagrees")
    assert "tuned" in out
    found = pd.read_json("tuned/agreement.json", typ="series")
    assert found["judgements"]["agreement"]["state"] in ("good", "fair")
    assert found["tuning"] is not None


def test_errors_are_those_of_the_page(capsys):
    lines = blocks()["task-errors"]
    assert len(lines) == 8
    for command, expected in zip(lines[::2], lines[1::2]):
        assert command.startswith("$ nengo-permadrop ")
        with contextlib.suppress(SystemExit):
            assert main(shlex.split(command)[2:]) == 1
        assert capsys.readouterr().err.splitlines()[-1] == expected


def test_all_tasks_are_done_here():
    text = Path(__file__).read_text(encoding="utf-8")
    for name in blocks():
        assert f'"{name}"' in text
