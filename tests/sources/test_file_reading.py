"""Keras's files as plain data, against the model in memory that wrote them."""

import json
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest

pytest.importorskip("keras")
from file_models import MODELS, made, saved

import nengo_permadrop as npd
from nengo_permadrop.graph.graph import Affine
from nengo_permadrop.sources.keras.files import read_file
from nengo_permadrop.sources.masks import forward_masks
from nengo_permadrop.sources.registry import get_source, opened
from nengo_permadrop.support.errors import DamagedFileError


def same_graphs(found, expected):
    """Raise unless two graphs are the same, bit by bit."""
    assert found.shapes == expected.shapes
    assert list(found.inputs.values()) == list(expected.inputs.values())
    assert found.outputs.keys() == expected.outputs.keys()
    assert found.links == expected.links
    assert len(found.operations) == len(expected.operations)
    for a, b in zip(found.operations, expected.operations):
        assert type(a) is type(b)
        for name in ("path", "label", "inputs", "output", "rate", "when", "kind"):
            assert getattr(a, name, None) == getattr(b, name, None), (a, name)
        assert_same_parameters(
            getattr(a, "parameters", {}), getattr(b, "parameters", {})
        )
        if isinstance(a, Affine):
            assert np.array_equal(a.constant, b.constant)
            for x, y in zip(a.matrices, b.matrices, strict=True):
                assert (x is None) == (y is None)
                if x is not None:
                    assert x.dtype == y.dtype
                    assert (abs(x - y)).max() == 0


def assert_same_parameters(found, expected):
    assert found.keys() == expected.keys()
    for name in found:  # some are arrays
        assert np.array_equal(found[name], expected[name])


def rows(model, n=20):
    rng = np.random.RandomState(1)
    return [rng.normal(size=(n, *each.shape[1:])) for each in model.inputs]


@pytest.mark.parametrize("name", MODELS)
def test_every_file_is_the_model(name, tmp_path):
    model = made(name)
    expected = npd.read_model(model)
    for path, weights in saved(model, tmp_path):
        found = npd.read_model(path, weights=weights)
        same_graphs(found, expected)
        with pytest.raises(AssertionError):
            same_graphs(found, npd.read_model(made(name, seed=1)))


@pytest.mark.parametrize("name", MODELS)
def test_answers_and_draws_are_the_models(name, tmp_path):
    model = made(name)
    path, _ = saved(model, tmp_path)[0]
    X = rows(model)
    source = get_source("keras")
    file = source.load(path)
    own = source.forward(model, single=True)
    read = source.forward(file)
    assert read.dropouts == own.dropouts
    rng = np.random.RandomState(2)
    assert str(read.kinds) == str(own.kinds)
    keys = rng.randint(2**63, size=(len(own.dropouts), len(X[0])), dtype=np.uint64)
    masks = forward_masks(own, lambda number: keys[number])
    for given in (None, masks):
        for y, x in zip(own(X, given), read(X, given), strict=True):
            assert y.shape == x.shape
            assert np.abs(y - x).max() <= 1e-5 * max(1, np.abs(y).max())
    if name == "mixed_precision":
        return  # Keras rounds there, and NumPy doesn't
    options = dict(n_draws=3, backend="keras", progress=False)
    drawn = [npd.sample(each, X, **options).values for each in (model, path)]
    assert drawn[0] == pytest.approx(drawn[1], abs=1e-4)
    assert drawn[0].std(axis=0).mean() > 0.01


def test_spikes_are_the_same_whichever_way_a_model_is_read(tmp_path):
    model = made("shared_twice")
    X = rows(model, 2)
    drawn = []
    for each in (model, *(path for path, _ in saved(model, tmp_path)[::3])):
        conv = npd.Converter(each, seed=0)
        assert conv.verify(X) < 1e-5
        drawn.append(npd.sample(conv, X, n_draws=3, progress=False).values)
    assert all(np.array_equal(each, drawn[0]) for each in drawn)
    assert drawn[0].std() > 0


def test_no_keras_is_imported(tmp_path):
    model = made("nested")
    path, _ = saved(model, tmp_path)[-1]
    code = (
        "import sys\n"
        "for name in ('keras', 'tensorflow', 'jax', 'torch', 'h5py'):\n"
        "    sys.modules[name] = None\n"
        "import nengo_permadrop as npd\n"
        f"conv = npd.Converter({str(path)!r}, seed=0)\n"
        f"drawn = npd.sample({str(path)!r}, [[1, 2, 3, 4]], n_draws=2,\n"
        "    backend='keras', progress=False)\n"
        "print(len(conv.dropouts), drawn.meta['backend_version'])\n"
    )
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["2", "NumPy", np.__version__]


def edited(path, target, change):
    """A copy of a .keras file whose configuration was changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config["config"]["layers"])
                content = json.dumps(config)
            new.writestr(name, content)
    return target


def marker(monkeypatch, folder):
    """A module that Python would find, and leaves a file if it is imported."""
    (folder / "npd_marker.py").write_text(
        f"open({str(folder / 'ran')!r}, 'w').close()\n"
    )
    monkeypatch.syspath_prepend(folder)
    return folder / "ran"


def names(module, class_name, config=None):
    """A change of the second dense layer's class."""

    def change(layers):
        layer = [each for each in layers if each["class_name"] == "Dense"][1]
        layer.update(module=module, class_name=class_name, registered_name=class_name)
        layer["config"].update(config or {})

    return change


@pytest.mark.parametrize(
    "change, found",
    [
        (names("keras.layers", "Lambda"), "Lambda.*Python code"),
        (names("npd_marker", "Boom"), "Boom.*without a converter"),
        (names("npd_marker", "Dense"), "class of npd_marker, not Keras's"),
        (names("npd_marker", "Dropout"), "class of npd_marker.*dropout_classes"),
        (names("keras.layers", "TFSMLayer"), "TFSMLayer.*without a converter"),
        (
            names(
                "keras.layers",
                "Dense",
                {
                    "activation": {
                        "module": "npd_marker",
                        "class_name": "function",
                        "config": "relu",
                    }
                },
            ),
            "function of yours",
        ),
    ],
)
def test_what_would_run_is_refused_and_not_run(change, found, tmp_path, monkeypatch):
    ran = marker(monkeypatch, tmp_path)
    model = made("flat")
    path = edited(saved(model, tmp_path)[-1][0], tmp_path / "edited.keras", change)
    with pytest.raises(npd.ConversionError, match=found) as info:
        npd.Converter(path)
    assert "\n" not in str(info.value)
    assert not ran.exists() and "npd_marker" not in sys.modules


def test_dropout_classes_are_known_by_name(tmp_path):
    model = made("mc_dropout")
    path = saved(model, tmp_path)[-1][0]

    def rename(class_name):
        def change(layers):
            for layer in layers:
                if layer["class_name"].endswith("Dropout"):
                    layer["class_name"] = layer["registered_name"] = class_name

        return change

    for class_name in ("BayesianDropout", "package>MyDropout"):
        path = edited(path, tmp_path / "ending.keras", rename(class_name))
        assert len(npd.Converter(path).dropouts) == 2
        path = tmp_path / "model.keras"
    path = edited(path, tmp_path / "drops.keras", rename("Drops"))
    with pytest.raises(npd.ConversionError, match="Drops.*without a converter"):
        npd.Converter(path)
    conv = npd.Converter(path, dropout_classes=("Drops",))
    assert [each.rate for each in conv.dropouts] == [0.2, 0.3]
    assert {each.layer for each in conv.report().dropouts} == {"Drops"}
    said = " ".join(str(conv.report()).split())
    assert "is on in the model itself" in said
    assert len(npd.read_model(path, dropout_classes="Drops").dropout_paths) == 2


@pytest.fixture(name="files", scope="module")
def _files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    saved(made("flat"), folder)
    return folder


def with_members(files, target, members):
    with zipfile.ZipFile(files / "model.keras") as old:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                new.writestr(name, members.pop(name, old.read(name)))
            for name, content in members.items():
                new.writestr(name, content)


@pytest.mark.parametrize(
    "members, found",
    [
        ({"../outside.py": "x"}, "has the members.*outside.py"),
        ({"assets/words.txt": "x"}, "has the members.*words.txt"),
        ({"config.json": "{"}, "configuration is damaged"),
        ({"config.json": "[]"}, "describes no model"),
        ({"config.json": " " * (2**23 + 1)}, "config.json would unpack to"),
        ({"model.weights.h5": bytes(10**7)}, "model.weights.h5 would unpack to"),
        ({"model.weights.h5": b"no HDF5"}, "not an HDF5 file"),
    ],
)
def test_archives_of_others_are_refused(members, found, files, tmp_path):
    with_members(files, tmp_path / "model.keras", dict(members))
    with pytest.raises(DamagedFileError, match=found) as info:
        npd.read_model(tmp_path / "model.keras")
    assert "\n" not in str(info.value)


def test_names_that_are_there_twice_are_refused(files, tmp_path):
    with_members(files, tmp_path / "model.keras", {})
    with pytest.warns(UserWarning, match="Duplicate name"):
        with zipfile.ZipFile(tmp_path / "model.keras", "a") as archive:
            archive.writestr("config.json", "{}")
    with pytest.raises(DamagedFileError, match="each once"):
        npd.read_model(tmp_path / "model.keras")


def changed(files, target, change):
    target.write_bytes((files / "model.h5").read_bytes())
    with h5py.File(target, "a") as file:
        found = []
        file.visit(lambda name: found.append(name) if "/kernel" in name else None)
        group, _, kernel = found[0].rpartition("/")
        change(file[group], kernel)
    return target


def oversized(group, kernel):
    del group[kernel]
    group.create_dataset(kernel, (4, 10**9), "f4", chunks=(4, 10**6))


def packed(group, kernel):
    del group[kernel]
    zeros = np.zeros((4, 5 * 10**6), "f4")
    group.create_dataset(kernel, data=zeros, chunks=(4, 10**5), compression="gzip")


def of_another_shape(group, kernel):
    del group[kernel]
    group[kernel] = np.ones((5, 8), "f4")


def not_finite(group, kernel):
    group[kernel][0, 0] = np.nan


def absent(group, kernel):
    del group[kernel]


@pytest.mark.parametrize(
    "change, found",
    [
        (oversized, "values of .*kernel.* are absent"),
        (packed, "would take 80000000 bytes of memory"),
        (of_another_shape, r"doesn't hold the weights.*kernel of shape \(5, 8\) inst"),
        (not_finite, "not finite"),
        (absent, "has no '.*kernel"),
    ],
)
def test_weights_of_others_are_refused(change, found, files, tmp_path):
    path = changed(files, tmp_path / "model.h5", change)
    with pytest.raises(ValueError, match=found) as info:
        npd.read_model(path)
    assert "\n" not in str(info.value)


def test_cut_off_files_and_others(files, tmp_path):
    for name in ("model.h5", "model.keras"):
        content = (files / name).read_bytes()
        for length in (len(content) // 2, 30, 0):
            (tmp_path / name).write_bytes(content[:length])
            with pytest.raises(DamagedFileError, match=name):
                npd.read_model(tmp_path / name)
    with pytest.raises(DamagedFileError, match="holds no weights.*weights="):
        npd.read_model(files / "model.json")
    with pytest.raises(DamagedFileError, match="holds no model.*weights="):
        npd.read_model(files / "apart.weights.h5")
    with pytest.raises(ValueError, match="SavedModel folder is a program.*trust=True"):
        npd.read_model(files)
    with pytest.raises(FileNotFoundError, match="no such file of weights"):
        npd.read_model(files / "model.json", weights=files / "none.h5")
    with pytest.raises(ValueError, match="weights: are for models that are given as"):
        npd.Converter(opened(files / "model.h5"), weights=files / "model.h5")


def test_weights_of_another_model_are_refused(files, tmp_path):
    for path, weights in saved(made("nested"), tmp_path)[1:3]:
        with pytest.raises(DamagedFileError, match="doesn't hold the weights"):
            npd.read_model(files / path.name, weights=weights)
    with pytest.raises(DamagedFileError, match="doesn't hold the weights"):
        npd.read_model(files / "model.json", weights=tmp_path / "model.h5")
    units = json.loads((files / "model.json").read_text())
    for layer in units["config"]["layers"]:  # the same arrays, of other sizes
        if layer["config"].get("units") == 8:
            layer["config"]["units"] = 9
    (tmp_path / "wider.json").write_text(json.dumps(units))
    with pytest.raises(DamagedFileError, match=r"\(4, 8\) instead of \(4, 9\)"):
        npd.read_model(tmp_path / "wider.json", weights=files / "apart.weights.h5")


def test_a_sequential_model_without_an_input(files, tmp_path):
    config = json.loads((files / "model.json").read_text())
    config["config"].pop("build_input_shape", None)
    config["config"]["layers"] = [
        layer
        for layer in config["config"]["layers"]
        if layer["class_name"] != "InputLayer"
    ]
    for layer in config["config"]["layers"]:
        layer["config"].pop("batch_input_shape", None)
    (tmp_path / "model.json").write_text(json.dumps(config))
    with pytest.raises(npd.ConversionError, match="what shape its input has"):
        read_file(tmp_path / "model.json", weights=files / "apart.weights.h5")


def nested_twice(depth):
    """JSON of a model that calls a model twice, which calls one twice, and so on."""
    config = {"name": "x", "batch_input_shape": [None, 2]}
    head = {"name": "x", "class_name": "InputLayer", "config": config}
    text = '{"class_name": "Activation", "config": {"activation": "relu"}'
    for level in range(depth + 1):
        uses = 1 if level == 0 else 2
        nodes = [[["x", 0, 0, {}]], [["f", 1, 0, {}]]][:uses]
        inner = f'{text}, "name": "f", "inbound_nodes": {json.dumps(nodes)}}}'
        last = f'["f", {uses // 2 * 2}, 0]'
        ends = f'"input_layers": [["x", 0, 0]], "output_layers": [{last}]'
        layers = f'[{json.dumps({**head, "inbound_nodes": []})}, {inner}]'
        text = (
            f'{{"class_name": "Functional", "config": {{"name": "m{level}", '
            f'"layers": {layers}, {ends}}}'
        )
    return text + "}"


@pytest.mark.parametrize(
    "depth, found",
    [(3, None), (25, "more than 20000 uses of layers"), (900, "too deeply|damaged")],
)
def test_models_that_would_be_endless_are_refused(depth, found, files, tmp_path):
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.attrs["layer_names"] = [b"x"]
        file.create_group("x").attrs["weight_names"] = np.array([], "S1")
    (tmp_path / "model.json").write_text(nested_twice(depth))
    given = dict(weights=tmp_path / "empty.h5")
    if found is None:
        graph = npd.read_model(tmp_path / "model.json", **given)
        assert sum(each.label == "Activation" for each in graph.operations) == 16
    else:
        with pytest.raises(ValueError, match=found):
            npd.read_model(tmp_path / "model.json", **given)


def test_values_of_a_size_that_is_only_claimed_are_refused(files, tmp_path):
    config = json.loads((files / "model.json").read_text())
    layers = config["config"]["layers"]
    head = layers[0]["config"]
    shape = "batch_shape" if "batch_shape" in head else "batch_input_shape"
    head[shape] = [None, 10**9]
    (tmp_path / "model.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="more than 16777216 elements") as info:
        npd.read_model(tmp_path / "model.json", weights=files / "apart.weights.h5")
    assert "input" in str(info.value)


@pytest.fixture(name="keras1")
def _keras1(tmp_path):
    """A file as Keras 1.2.2 writes it."""
    rng = np.random.RandomState(0)
    kernel, bias, last = rng.normal(size=(4, 3)), rng.normal(size=3), np.eye(6, 1)
    dense = {"name": "d1", "output_dim": 3, "activation": "relu", "bias": True}
    encoder = {
        "name": "encoder",
        "class_name": "Sequential",
        "config": [
            {
                "class_name": "Dense",
                "config": {**dense, "batch_input_shape": [None, 4]},
            },
            {"class_name": "Dropout", "config": {"name": "drop", "p": 0.25}},
        ],
        "inbound_nodes": [[["a", 0, 0]], [["b", 0, 0]]],
    }
    inputs = [
        {
            "name": name,
            "class_name": "InputLayer",
            "config": {"name": name, "batch_input_shape": [None, 4]},
            "inbound_nodes": [],
        }
        for name in "ab"
    ]
    merge = {
        "name": "merge",
        "class_name": "Merge",
        "config": {"name": "merge", "mode": "concat", "concat_axis": -1},
        "inbound_nodes": [[["encoder", 1, 0], ["encoder", 2, 0]]],
    }
    output = {
        "name": "y",
        "class_name": "Dense",
        "config": {"name": "y", "output_dim": 1, "activation": "linear", "bias": False},
        "inbound_nodes": [[["merge", 0, 0]]],
    }
    config = {
        "class_name": "Model",
        "config": {
            "name": "old",
            "layers": [*inputs, encoder, merge, output],
            "input_layers": [["a", 0, 0], ["b", 0, 0]],
            "output_layers": [["y", 0, 0]],
        },
    }
    path = tmp_path / "old.h5"
    weights = {"encoder": {"d1_W": kernel, "d1_b": bias}, "y": {"y_W": last}}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs["keras_version"] = b"1.2.2"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"a", b"b", b"encoder", b"merge", b"y"]
        for layer in ("a", "b", "encoder", "merge", "y"):
            arrays = weights.get(layer, {})
            part = group.create_group(layer)
            part.attrs["weight_names"] = [name.encode() for name in arrays]
            for name, values in arrays.items():
                part[name] = values.astype("f4")
    return path, kernel, bias


def test_files_of_keras_1(keras1):
    path, kernel, bias = keras1
    conv = npd.Converter(path, seed=0)
    assert [(each.path, each.rate) for each in conv.dropouts] == [
        ("encoder[0]/drop", 0.25),
        ("encoder[1]/drop", 0.25),
    ]
    rng = np.random.RandomState(1)
    X = [rng.normal(size=(5, 4)) for _ in range(2)]
    (found,) = get_source("keras").forward(conv.model)(X)
    expected = np.maximum(0, X[0] @ kernel + bias)[:, :1]
    assert found == pytest.approx(expected, abs=1e-5)
    assert conv.verify(X) < 1e-5
