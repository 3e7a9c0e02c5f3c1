"""ONNX files: data beside them, damage, and what PyTorch exports."""

import logging
import os
import subprocess
import sys

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from nengo.exceptions import ValidationError  # noqa: E402
from onnx_models import Graph, rows  # noqa: E402

import nengo_permadrop as npd  # noqa: E402
from nengo_permadrop.sources.forward import GraphForward  # noqa: E402


def model():
    graph = Graph(4).linear(4, 6).add("Relu")
    return graph.add("Dropout", graph.constant(0.2)).linear(6, 2).model()


def with_data_beside(folder, location="model.data"):
    """A file whose tensors are in another one."""
    path = folder / "model.onnx"
    proto = model()
    onnx.save(
        proto,
        path,
        save_as_external_data=True,
        location="model.data",
        size_threshold=0,
    )
    if location != "model.data":
        proto = onnx.load(path, load_external_data=False)
        for tensor in proto.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location
        path.write_bytes(proto.SerializeToString())
    return path


def same_answers(first, second):
    X = rows(4)
    a, b = (GraphForward(npd.read_model(each))([X])[0] for each in (first, second))
    np.testing.assert_array_equal(a, b)


def test_a_file_is_as_the_model_in_memory(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(model(), path)
    same_answers(model(), path)
    same_answers(model(), str(path))
    assert npd.Converter(path, neurons="rate").verify(rows(4)) < 1e-6


def test_data_beside_a_file_are_read(tmp_path, monkeypatch):
    path = with_data_beside(tmp_path)
    same_answers(model(), path)
    monkeypatch.chdir(tmp_path)
    same_answers(model(), "model.onnx")
    below = tmp_path / "below"
    below.mkdir()
    os.rename(tmp_path / "model.data", below / "some.data")
    same_answers(model(), with_moved(path, "below/some.data"))


def with_moved(path, location):
    proto = onnx.load(path, load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.mark.parametrize("location", ["../outside.data", "/tmp/outside.data", ""])
def test_data_out_of_the_folder_are_refused(tmp_path, location):
    folder = tmp_path / "model"
    folder.mkdir()
    path = with_data_beside(folder)
    os.rename(folder / "model.data", tmp_path / "outside.data")
    with pytest.raises(ValidationError, match="isn't a path in the model's folder"):
        npd.read_model(with_moved(path, location))


def test_links_out_of_the_folder_are_refused(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    path = with_data_beside(folder)
    os.rename(folder / "model.data", tmp_path / "outside.data")
    (folder / "model.data").symlink_to(tmp_path / "outside.data")
    with pytest.raises(ValidationError, match="is a link out of"):
        npd.read_model(path)


def test_missing_and_short_data_are_told_of(tmp_path):
    path = with_data_beside(tmp_path)
    data = (tmp_path / "model.data").read_bytes()
    (tmp_path / "model.data").write_bytes(data[:8])
    with pytest.raises(ValidationError, match="is too short"):
        npd.read_model(path)
    os.remove(tmp_path / "model.data")
    with pytest.raises(ValidationError, match="can't be read"):
        npd.read_model(path)
    (tmp_path / "model.data").mkdir()
    with pytest.raises(ValidationError, match="is no file"):
        npd.read_model(path)


def test_a_model_in_memory_without_its_data_is_refused(tmp_path):
    proto = onnx.load(with_data_beside(tmp_path), load_external_data=False)
    with pytest.raises(npd.ConversionError, match="another file.*path"):
        npd.read_model(proto)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.onnx"):
        npd.read_model(tmp_path / "none.onnx")
    folder = tmp_path / "folder.onnx"
    folder.mkdir()
    with pytest.raises(ValidationError, match=r"folder\.onnx' is no file"):
        npd.read_model(folder)
    for content in (b"", b"no model", bytes(range(256))):
        path = tmp_path / "damaged.onnx"
        path.write_bytes(content)
        with pytest.raises(ValidationError, match=r"damaged\.onnx' is damaged"):
            npd.read_model(path)


def test_damaged_files_raise_errors_of_ours(tmp_path):
    """Cut short, or with bytes of their header changed."""
    content, path = model().SerializeToString(), tmp_path / "model.onnx"
    rng, seen = np.random.RandomState(0), 0
    for number in range(60):
        damaged = bytearray(content)
        if number % 2:
            damaged = damaged[: rng.randint(len(damaged))]
        else:
            damaged[rng.randint(len(damaged))] = rng.randint(256)
        path.write_bytes(damaged)
        try:
            npd.read_model(path)
        except (ValidationError, npd.ConversionError):
            seen += 1
    assert seen > 20


def test_weights_and_examples_are_for_other_models(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(model(), path)
    with pytest.raises(ValidationError, match="weights.*an ONNX file has its weights"):
        npd.Converter(path, weights="other.h5")
    with pytest.raises(ValidationError, match="example_inputs.*ONNX"):
        npd.Converter(path, example_inputs=rows(4))


def test_onnx_is_not_imported_before_it_is_needed():
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "import nengo_permadrop as npd\n"
        "try: npd.Converter(__file__ if False else 'x.onnx')\n"
        "except ImportError as error: assert 'nengo-permadrop[onnx]' in str(error)\n"
        "else: raise SystemExit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["conv2d", "alpha"])
def test_exported_modules_draw_as_themselves(name, tmp_path):
    """By PyTorch's newer exporter; with dropout that is written as random numbers."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    pytest.importorskip("keras")
    import torch_models

    logging.getLogger("torch").setLevel(logging.ERROR)
    module, _, shapes = torch_models.made(name)
    X = torch_models.rows(shapes)
    own = npd.Converter(module, example_inputs=[x[:1] for x in X], seed=3)
    module.train()
    for part in module.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.eval()
    path = str(tmp_path / "model.onnx")
    torch.onnx.export(
        module,
        tuple(torch.from_numpy(x[:2]) for x in X),
        path,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim.AUTO},) * len(X),
        verbose=False,
    )
    conv = npd.Converter(path, seed=3)
    assert conv.verify(X) < 1e-5
    assert len(conv.dropouts) == len(own.dropouts) > 0
    for mine, other in zip(conv.dropouts, own.dropouts):
        np.testing.assert_array_equal(mine.drawn(), other.drawn())
        assert (mine.rate, mine.kind) == (other.rate, other.kind)


@pytest.mark.parametrize("opset", [9, 13, 17])
def test_the_older_exporter(opset, tmp_path):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.GELU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Dropout(0.3), nn.Linear(8, 3), nn.Mish(), nn.Linear(3, 1),
    )  # fmt: skip
    module.train()[1].eval()
    path = str(tmp_path / "model.onnx")
    torch.onnx.export(
        module,
        (torch.zeros(1, 1, 6, 6),),
        path,
        dynamo=False,
        opset_version=opset,
        training=torch.onnx.TrainingMode.PRESERVE,
    )
    conv = npd.Converter(path, seed=3)
    assert conv.verify(rows(1, 6, 6)) < 1e-5
    (dropout,) = conv.dropouts
    assert dropout.rate == 0.3
