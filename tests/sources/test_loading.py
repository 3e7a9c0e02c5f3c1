"""Loading models: what they may not do, and what becomes of damaged ones."""

import importlib
import json
import sys
import threading
import zipfile

import h5py
import numpy as np
import pytest
from kmodels import combo, mlp
from nengo.exceptions import ValidationError

from nengo_permadrop.sources.keras.layers import keras, softlif
from nengo_permadrop.sources.keras.loading import load_model, load_weights
from nengo_permadrop.support.errors import DamagedFileError

layers = keras.layers
KERAS2 = keras.__version__.startswith("2.")
FORMATS = ("h5", "keras")


def save(kmodel, path):
    """As .h5, or as the .keras file of today, which Keras 2 writes if asked to."""
    new = path.suffix == ".keras" and KERAS2
    kmodel.save(str(path), **({"save_format": "keras_v3"} if new else {}))
    return path


def edit(path, change):
    """Change the configuration of a saved model by a function from text to text."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = change(file.attrs["model_config"])
        return
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["config.json"] = change(parts["config.json"].decode())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def edit_layer(path, class_name, change):
    """Change the configuration of the first layer of a class, in place."""

    def changed(text):
        config = json.loads(text)
        change(
            next(
                layer
                for layer in config["config"]["layers"]
                if layer["class_name"].rpartition(">")[2] == class_name
            )
        )
        return json.dumps(config)

    edit(path, changed)


def same_weights(one, other):
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


@pytest.fixture(name="marker")
def _marker(tmp_path, monkeypatch):
    """A module that leaves a file when it is imported, and whose functions do."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "leaves_a_file.py").write_text(
        "from pathlib import Path\n"
        "FILE = Path(__file__).with_name('it ran')\n"
        "FILE.touch()\n"
        "def relu(x):\n    FILE.touch()\n    return x\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "code")
    importlib.invalidate_caches()
    yield tmp_path / "code" / "it ran"
    sys.modules.pop("leaves_a_file", None)


def lambda_model(marker):
    """A model whose Lambda layer leaves a file whenever it is called."""
    text = str(marker)
    layer = layers.Lambda(
        lambda x: (open(text, "a").close(), x)[1], output_shape=(2,), name="does"
    )
    kmodel = keras.Sequential([keras.Input((2,)), layer])
    marker.unlink(missing_ok=True)  # it was called to build the model, perhaps
    return kmodel


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_lambda_is_not_run(marker, suffix, tmp_path):
    path = save(lambda_model(marker), tmp_path / f"model.{suffix}")
    with pytest.raises(ValidationError, match="'does' has a Lambda layer.*trust=True"):
        load_model(path)
    assert not marker.exists()
    load_model(path, trust=True)(np.zeros((1, 2)))  # some versions call it here only
    assert marker.exists(), "the test can't notice that code ran"


@pytest.mark.skipif(not KERAS2, reason="Keras 3 has no SavedModel folders")
@pytest.mark.parametrize("spaces", [False, True])
def test_a_savedmodel_is_not_run(marker, spaces, tmp_path):
    path = tmp_path / "model"
    lambda_model(marker).save(str(path))
    if spaces:  # JSON that a search for '"class_name": "Lambda"' doesn't find
        metadata = path / "keras_metadata.pb"
        metadata.write_bytes(
            metadata.read_bytes().replace(b'": "Lambda', b'" :"Lambda')
        )
    marker.unlink()  # it was called to trace the model
    with pytest.raises(ValidationError, match="SavedModel folder is a program.*trust"):
        load_model(path)
    assert not marker.exists()
    load_model(path, trust=True)
    assert marker.exists(), "the test can't notice that code ran"


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "change",
    [
        {"module": "leaves_a_file", "registered_name": None},
        {"module": "leaves_a_file"},
        {"module": "builtins", "registered_name": None},
        {
            "class_name": "PermanentDropout",
            "module": "leaves_a_file",
            "registered_name": None,
        },
        {"module": "leaves_a_file", "registered_name": "leaves>Dense"},
        {"registered_name": "Custom>SGD"},
        {"module": ["leaves_a_file"]},
        {"class_name": "TFSMLayer"},
        {"class_name": "Lambda", "registered_name": "PermanentDropout"},
        {"class_name": "StringLookup"},
        {"class_name": {"module": "leaves_a_file"}},
        {"class_name": None},
    ],
    ids=str,
)
def test_layers_that_are_refused(marker, suffix, change, tmp_path):
    path = save(mlp(units=(3,)), tmp_path / f"model.{suffix}")
    edit_layer(path, "Dense", lambda layer: layer.update(change))
    with pytest.raises(ValidationError, match="'dense.*custom_objects.*trust"):
        load_model(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "key, value",
    [
        ("activation", "deserialize"),
        ("kernel_initializer", "eval"),
        ("bias_regularizer", {"class_name": "open", "config": {"file": "x"}}),
        ("kernel_constraint", {"class_name": "__lambda__", "config": {"value": ""}}),
        (
            "activation",
            {
                "class_name": "function",
                "config": "relu",
                "module": "leaves_a_file",
                "registered_name": None,
            },
        ),
        (
            "activation",
            {"class_name": "function", "config": "system", "module": "os"},
        ),
        ("units", {"class_name": "__numpy__", "config": {"value": 3, "dtype": "S9"}}),
        (
            "trainable",
            {
                "class_name": "__typespec__",
                "spec_name": "relu",
                "module": "leaves_a_file",
                "registered_name": None,
                "config": [],
            },
        ),
        ("function", "io.write_file"),
    ],
    ids=str,
)
def test_entries_that_are_refused(marker, key, value, tmp_path):
    path = save(mlp(units=(3,)), tmp_path / "model.keras")
    edit_layer(path, "Dense", lambda layer: layer["config"].update({key: value}))
    with pytest.raises(ValidationError, match="'dense.* has (the|an) .*trust"):
        load_model(path)
    assert not marker.exists()


@pytest.mark.skipif(not KERAS2, reason="layers of Keras 2")
@pytest.mark.parametrize("class_name", ["TFOpLambda", "SlicingOpLambda"])
def test_functions_with_side_effects_are_refused(class_name, tmp_path):
    inp = keras.Input((2,))
    good = save(keras.Model(inp, inp * 2.0), tmp_path / "model.h5")
    load_model(good)
    edit_layer(
        good,
        "TFOpLambda",
        lambda layer: layer.update(
            class_name=class_name, config={"name": "w", "function": "io.write_file"}
        ),
    )
    with pytest.raises(ValidationError, match="'w' has the function 'io.write_file'"):
        load_model(good)


@pytest.mark.parametrize("suffix", FORMATS)
def test_training_is_never_loaded(marker, suffix, tmp_path):
    kmodel = mlp(units=(3,))
    kmodel.compile(loss="mse", optimizer="adam")
    path = save(kmodel, tmp_path / f"model.{suffix}")

    def changed(text):
        config = json.loads(text)
        nested = {"class_name": "relu", "module": "leaves_a_file", "config": {}}
        config["compile_config"] = {"loss": nested}
        return json.dumps(config)

    edit(path, changed)
    assert same_weights(load_model(path), kmodel)
    assert not marker.exists()


def test_the_users_own_classes_are_allowed(tmp_path):
    class Own(layers.Layer):
        def call(self, x):
            return x

    kmodel = keras.Sequential([keras.Input((2,)), layers.Dense(2), Own(name="mine")])
    path = save(kmodel, tmp_path / "model.h5")
    with pytest.raises(ValidationError, match="'mine' has the class 'Own'"):
        load_model(path)
    loaded = load_model(path, custom_objects={"Own": Own})
    assert type(loaded.layers[-1]) is Own and same_weights(loaded, kmodel)


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_keras_has_loads(suffix, tmp_path):
    """Layers, and what they are given, by their names and as objects."""
    inp = keras.Input((6, 4))
    x = layers.Conv1D(3, 2, kernel_initializer="orthogonal")(inp)
    x = layers.Bidirectional(layers.GRU(2, return_sequences=True))(x)
    x = layers.MultiHeadAttention(1, 2)(x, x)
    x = layers.LayerNormalization()(layers.TimeDistributed(layers.Dense(2))(x))
    x = layers.LSTM(3, kernel_constraint=keras.constraints.MaxNorm(2))(x)
    x = layers.Dense(3, activation=softlif, kernel_regularizer="l2")(x)
    x = layers.BatchNormalization()(layers.LeakyReLU()(x))
    x = layers.PReLU(alpha_regularizer=keras.regularizers.L1(0.1))(x)
    kmodel = keras.Model(inp, layers.Dense(2, activation="softmax")(x))
    path = save(kmodel, tmp_path / f"model.{suffix}")
    assert same_weights(load_model(path), kmodel)


def nested_sequentials():
    """Of all ways to give the input, each used twice, and one with a state."""
    inp = keras.Input((3,))
    x = inp
    for inner in (
        keras.Sequential([keras.Input((3,)), layers.Dense(3)]),
        keras.Sequential([layers.Dense(3, input_shape=(3,))]),
        keras.Sequential([layers.Dense(3)]),
    ):
        x = inner(layers.add([inner(x), x]))
    sequence = layers.Reshape((3, 1))(x)
    x, *state = layers.LSTM(3, return_state=True)(sequence)
    x = layers.LSTM(3)(sequence, initial_state=state)
    return keras.Model(inp, x)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("build", [combo, nested_sequentials])
def test_nested_and_shared_models_load(build, suffix, tmp_path):
    kmodel = build()
    path = save(kmodel, tmp_path / f"model.{suffix}")
    assert same_weights(load_model(path), kmodel)


def test_a_file_that_is_two_at_once(marker, tmp_path):
    """The one is checked that Keras would read: HDF5 here, the archive there."""
    good = save(mlp(units=(3,)), tmp_path / "good.h5")
    bad = save(lambda_model(marker), tmp_path / "bad.keras")
    both = tmp_path / "both.h5"
    both.write_bytes(good.read_bytes() + bad.read_bytes())
    assert zipfile.is_zipfile(both) and h5py.is_hdf5(both)
    load_model(both)
    with pytest.raises(ValidationError, match="Lambda"):
        load_model(both.rename(tmp_path / "both.keras"))
    assert not marker.exists()


def test_keras_sees_nothing_of_the_file_but_what_was_checked(tmp_path, monkeypatch):
    kmodel = mlp(units=(3,))
    path = save(kmodel, tmp_path / "model.h5")
    load, seen = keras.models.load_model, []

    def noted(name, **options):
        seen.append(name)
        path.write_bytes(b"another file")  # swapped in between
        return load(name, **options)

    monkeypatch.setattr(keras.models, "load_model", noted)
    assert same_weights(load_model(path), kmodel)
    assert seen and str(path) not in seen


def moved_to(link):
    """A weight becomes a link to the same values elsewhere."""

    def change(path):
        other = path.with_name("other.h5")
        other.write_bytes(path.read_bytes())
        with h5py.File(path, "r+") as file:
            name = weight_name(file)
            del file[name]
            file[name] = link(str(other), name)

    return change


def weight_name(file):
    found = []
    file.visit(lambda name: found.append(name) if "kernel" in name else None)
    return found[-1]


def replaced(**options):
    """A weight is written in another way."""

    def change(path):
        with h5py.File(path, "r+") as file:
            name = weight_name(file)
            shape = file[name].shape
            del file[name]
            dataset = file.create_dataset(name, **{"shape": shape, **options})
            if "chunks" in options and "shape" not in options:
                dataset[:1] = 1.0

    return change


def external(path):
    values = path.with_name("values")
    values.write_bytes(bytes(1000))
    replaced(dtype="f4", external=[(str(values), 0, 1000)])(path)


def virtual(path):
    with h5py.File(path, "r+") as file:
        name = weight_name(file)
        layout = h5py.VirtualLayout(file[name].shape, "f4")
        layout[:] = h5py.VirtualSource(str(path), "/other", file[name].shape)
        del file[name]
        file.create_virtual_dataset(name, layout)


def a_group(path):
    with h5py.File(path, "r+") as file:
        name = weight_name(file)
        del file[name]
        file[name] = file["model_weights"]


def twice(path):
    with h5py.File(path, "r+") as file:
        names = file["model_weights"].attrs["layer_names"]
        file["model_weights"].attrs["layer_names"] = [*names, *names]


def not_finite(value):
    def change(path):
        with h5py.File(path, "r+") as file:
            file[weight_name(file)][0, 0] = value

    return change


@pytest.mark.parametrize(
    "change, words",
    [
        (moved_to(h5py.ExternalLink), "is a link"),
        (moved_to(lambda _, name: h5py.SoftLink(f"/{name}")), "is a link"),
        (external, "in other files"),
        (virtual, "in other files"),
        (twice, "is in it twice"),
        (a_group, "is not a dataset"),
        (replaced(dtype="f4"), "are absent"),
        (replaced(dtype="f4", shape=(10**5, 10**4)), "are absent"),
        (replaced(dtype="f4", chunks=(1, 1)), "are absent"),
        (replaced(dtype="S4", data=None), "not an array of numbers"),
        (replaced(dtype=h5py.string_dtype()), "not an array of numbers"),
        (not_finite(np.nan), "not finite"),
        (not_finite(-np.inf), "not finite"),
    ],
)
def test_weights_that_are_refused(change, words, tmp_path):
    kmodel = mlp(units=(3,))
    before = kmodel.get_weights()
    path = save(kmodel, tmp_path / "model.h5")
    change(path)
    for read in (load_model, lambda path: load_weights(kmodel, path)):
        with pytest.raises(DamagedFileError, match=words) as error:
            read(path)
        assert error.value.path == str(path) and str(path) in str(error.value)
    assert all(map(np.array_equal, before, kmodel.get_weights()))


def test_weights_that_unpack_to_too_much_are_refused(tmp_path):
    path = save(mlp(units=(3,)), tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        name = weight_name(file)
        del file[name]
        zeros = file.create_dataset(name, (5000, 5000), "f4", compression="gzip")
        zeros[:] = 0
    assert path.stat().st_size < 1e6
    with pytest.raises(DamagedFileError, match="far more than its"):
        load_model(path)


def test_compressed_weights_load(tmp_path):
    kmodel = mlp(units=(30,))
    path = save(kmodel, tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        name = weight_name(file)
        values = file[name][()]
        del file[name]
        file.create_dataset(name, data=values, chunks=(4, 1), compression="gzip")
    assert same_weights(load_model(path), kmodel)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_configuration_that_needs_more_weights(suffix, tmp_path):
    """10**11 bytes, which no layer may be built with."""
    path = save(mlp(units=(3,)), tmp_path / f"model.{suffix}")

    def larger(layer):
        layer["config"]["units"] = 10**10

    edit_layer(path, "Dense", larger)
    words = "need more weights than its 25" if KERAS2 else "Keras can't make its model"
    with pytest.raises(DamagedFileError, match=words):
        load_model(path)


@pytest.mark.parametrize(
    "inbound",
    [
        [[["soft_lif", 0, 0, {}]]],  # a loop
        [[["x", 0, 0, {}], ["dense", 1, 0, {}]]],
        [[["nobody", 0, 0, {}]]],
        [[["x", 0, 0, {"mask": ["x", 0, 1]}]]],
        [[["x", None, 0, {}]]],
        7,
    ],
)
@pytest.mark.skipif(not KERAS2, reason="nodes as Keras 2 writes them")
def test_layers_that_cant_be_connected(inbound, tmp_path):
    """Keras 2 would try for ever."""
    keras.backend.clear_session()
    path = save(mlp(units=(3,)), tmp_path / "model.h5")
    edit_layer(path, "Dense", lambda layer: layer.update(inbound_nodes=inbound))
    with pytest.raises(DamagedFileError, match="can't be connected"):
        load_model(path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '{"config": 1}', "[" * 10**5, "{}" + " " * 2**23],
    ids=lambda text: text[:9],
)
@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_configurations(suffix, text, tmp_path):
    path = save(mlp(units=(3,)), tmp_path / f"model.{suffix}")
    edit(path, lambda _: text)
    with pytest.raises(DamagedFileError, match="configuration"):
        load_model(path)


def test_archives_without_what_belongs_there(tmp_path):
    path = save(mlp(units=(3,)), tmp_path / "model.keras")
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    for parts in ({}, {"config.json": config}, {"model.weights.npz": b"pickles"}):
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
        with pytest.raises(DamagedFileError, match="no item named"):
            load_model(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", bytes(10**8))
    with pytest.raises(DamagedFileError, match="would unpack to 100000000 bytes"):
        load_model(path)


def test_files_of_another_kind(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.h5"):
        load_model(tmp_path / "nowhere.h5")
    for name in ("text.h5", "text.keras"):
        (tmp_path / name).write_text("no model")
        with pytest.raises(DamagedFileError, match="not an HDF5 file"):
            load_model(tmp_path / name)
    mlp(units=(3,)).save_weights(str(tmp_path / "model.weights.h5"))
    with pytest.raises(DamagedFileError, match="only weights.*use load_weights"):
        load_model(tmp_path / "model.weights.h5")
    with pytest.raises(DamagedFileError, match="Keras can't make its model"):
        load_model(tmp_path / "text.h5", trust=True)


def test_loading_leaves_no_trace_in_random(tmp_path):
    """Beyond what Keras itself takes for the one model that is made."""
    import random

    path = save(mlp(units=(3,)), tmp_path / "model.h5")
    states = []
    for read in (load_model, lambda name: keras.models.load_model(name, compile=False)):
        random.seed(0)
        read(str(path))
        states.append(random.getstate())
    assert states[0] == states[1]


def test_models_load_in_threads(tmp_path):
    kmodel = combo()
    path = save(kmodel, tmp_path / "model.h5")
    loaded = []
    threads = [
        threading.Thread(target=lambda: loaded.append(load_model(path)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 4 and all(same_weights(one, kmodel) for one in loaded)
