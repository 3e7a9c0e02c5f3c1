"""What of PyTorch's programs is read, and what is refused."""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nengo.exceptions import ValidationError  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import nengo_permadrop as npd  # noqa: E402
from nengo_permadrop.sources.forward import GraphForward  # noqa: E402


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


class Function(nn.Module):
    """A function of a module with some parts, and of its inputs."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *x):
        return self.function(self, *x)


class MCDropout(nn.Dropout):
    """Always on."""

    def forward(self, x):
        return functional.dropout(x, self.p)


def linear(function):
    return Function(function, linear=nn.Linear(4, 4))


def rows(*shape, n=3):
    return np.random.RandomState(0).normal(size=(n, *shape)).astype(np.float32)


def converted(module, *shapes, **options):
    """A converted module, verified."""
    X = [rows(*shape) for shape in shapes]
    options.setdefault("example_inputs", [x[:1] for x in X])
    conv = npd.Converter(module, neurons="rate", seed=1, **options)
    assert conv.verify(X) < 1e-5
    return conv


def refusal(module, *shapes, **options):
    """Why a module is refused."""
    with pytest.raises(npd.ConversionError) as caught:
        npd.read_model(
            module, example_inputs=[rows(*each) for each in shapes], **options
        )
    return str(caught.value)


def layers(*parts):
    return nn.Sequential(*parts)


def _in_place(self, x):
    h = self.linear(x)
    return functional.relu_(h) + h


def _multiplied(self, x):
    x = torch.cat([x.flip(1), torch.ones(len(x), 1)], 1)[:, 1:]
    return torch.relu(x @ self.linear.weight[:, :4].T) - 1.5


CONVERTED = {
    "prelu": (layers(nn.Linear(4, 5), nn.PReLU(5)), (4,)),
    "prelu of channels": (layers(nn.Conv2d(2, 3, 2), nn.PReLU(3)), (2, 3, 3)),
    "celu": (layers(nn.Linear(4, 5), nn.CELU(0.5)), (4,)),
    "log sigmoid": (layers(nn.Linear(4, 5), nn.LogSigmoid()), (4,)),
    "hardtanh": (layers(nn.Linear(4, 5), nn.Hardtanh(-0.5, 2)), (4,)),
    "rrelu": (layers(nn.Linear(4, 5), nn.RReLU()), (4,)),
    "softplus": (layers(nn.Linear(4, 5), nn.Softplus(beta=2), nn.Linear(5, 1)), (4,)),
    "tanh gelu": (layers(nn.Linear(4, 5), nn.GELU("tanh")), (4,)),
    "paddings": (
        layers(
            nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"),
            nn.ReLU(),
            nn.Conv2d(3, 2, 3, padding=(1, 2), padding_mode="circular"),
            nn.Conv2d(2, 2, 3, padding="same", dilation=2),
            nn.ConstantPad2d((1, -1, 0, 2), 0.5),
            nn.ReplicationPad2d(1),
        ),
        (2, 5, 5),
    ),
    "transposed in groups": (
        layers(
            nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2), nn.ReLU()
        ),
        (4, 3, 3),
    ),
    "pools": (
        layers(
            nn.AvgPool2d(3, 2, padding=1, ceil_mode=True),
            nn.AvgPool2d(2, 1, padding=1, count_include_pad=False),
            nn.AdaptiveAvgPool2d((2, 3)),
            nn.AvgPool2d(2, 1, divisor_override=3),
        ),
        (2, 8, 7),
    ),
    "upsampled": (layers(nn.Upsample(scale_factor=2), nn.ReLU()), (2, 2, 3)),
    "shuffled": (layers(nn.PixelShuffle(2), nn.ReLU()), (8, 2, 3)),
    "in place": (linear(_in_place), (4,)),
    "in turn": (
        linear(lambda self, x: self.linear(x).sigmoid_().mul_(2).add_(1)),
        (4,),
    ),
    "split": (
        linear(lambda self, x: torch.cat(x.split([1, 3], 1)[::-1], 1).relu()),
        (4,),
    ),
    "chunks": (linear(lambda self, x: torch.stack(x.chunk(2, 1), 1).sum(-1)), (4,)),
    "unbound": (
        linear(lambda self, x: sum(each.relu() for each in x.unbind(1))),
        (3, 4),
    ),
    "indexed": (linear(lambda self, x: x[:, [0, 2]] - x[..., None, 1]), (4,)),
    "reduced": (linear(lambda self, x: x - x.mean(1, keepdim=True)), (4,)),
    "bounds": (
        linear(lambda self, x: self.linear(x).clamp(max=0.1).clamp_min(-1)),
        (4,),
    ),
    "absolute": (linear(lambda self, x: self.linear(x).abs()), (4,)),
    "constants": (linear(_multiplied), (4,)),
    "from the left": (linear(lambda self, x: self.linear.weight @ x), (4, 2)),
    "weight norm": (
        layers(nn.utils.parametrizations.weight_norm(nn.Linear(4, 5)), nn.ReLU()),
        (4,),
    ),
    "double": (layers(nn.Linear(4, 5), nn.ReLU()).double(), (4,)),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_operators(name):
    """Against PyTorch's own answers."""
    module, *shapes = CONVERTED[name]
    converted(module, *shapes)


REFUSED = {
    "product": (linear(lambda self, x: x * self.linear(x)), "mul.*both depend"),
    "quotient": (linear(lambda self, x: 1 / self.linear(x)), "reciprocal.*divides"),
    "largest": (linear(lambda self, x: torch.maximum(x, -x)), "maximum.*largest"),
    "compared": (linear(lambda self, x: torch.where(x > 0, x, 0)), "gt.*compares"),
    "rows": (linear(lambda self, x: x - x.mean(0)), "mean.*observations"),
    "merged": (linear(lambda self, x: x.view(-1, 2)), "view.*observations"),
    "random": (linear(lambda self, x: x + torch.rand(4)), "rand.*random numbers"),
    "norm": (layers(nn.LayerNorm(4)), "'0' .LayerNorm.*batch normalisation"),
    "batch": (
        layers(nn.BatchNorm1d(4, track_running_stats=False)),
        "'0'.*by the batch",
    ),
    "log": (layers(nn.LogSoftmax(-1)), "'0' .LogSoftmax.*Return a softmax"),
    "softmax": (layers(nn.Softmax(-1), nn.ReLU()), "'0'.*Only an output"),
    "jump": (layers(nn.Hardshrink()), "'0' .Hardshrink.*no function that neurons"),
    "foreign": (linear(lambda self, x: torch.cumsum(x, 1)), "cumsum.*aten.cumsum"),
    "constant": (linear(lambda self, x: torch.ones(3)), "output 'ones'"),
    "whole": (linear(lambda self, x: x.long().float()), "to.*converts to int64"),
    "rate": (layers(nn.Dropout(1.0)), "'0' .Dropout.*rate 1"),
    "half": (layers(nn.Linear(4, 2).half()), r"weight.*float16.*deepcopy\(module\)"),
    "condition": (
        linear(lambda self, x: x if x.sum() > 0 else -x),
        "Function: can't be followed by torch.export",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_the_nodes_name(name):
    module, match = REFUSED[name]
    with pytest.raises(npd.ConversionError, match=f"(?s){match}"):
        npd.read_model(module, example_inputs=rows(4))


def test_layers_over_time_and_with_attention_are_refused():
    lstm = Function(
        lambda self, x: self.lstm(x)[0], lstm=nn.LSTM(4, 3, batch_first=True)
    )
    assert "state of its own" in refusal(lstm, (5, 4))
    pool = layers(nn.Conv1d(4, 2, 3), nn.MaxPool1d(2))
    assert "node '1' (MaxPool1d, max_pool1d)" in refusal(pool, (4, 8))


def test_averages_in_place_of_the_largest():
    module = layers(
        nn.Conv2d(1, 2, 3), nn.MaxPool2d(3, 2, padding=1), nn.AdaptiveMaxPool2d(1)
    )
    with pytest.warns(UserWarning, match="max_to_avg_pool"):
        conv = converted(module, (1, 8, 8), max_to_avg_pool=True)
    assert set(conv.approximations) == {"1", "2"}


def test_in_place_where_it_can_be_seen_elsewhere_is_refused():
    def viewed(self, x):
        h = self.linear(x)
        functional.relu_(h.view(-1, 2, 2))
        return h

    assert "changes in place what is used elsewhere" in refusal(linear(viewed), (4,))


def test_paths_are_those_of_modules():
    """Uses are numbered, as of Keras's layers; operators have their module's path."""
    encoder = layers(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.1))
    module = Function(
        lambda self, a, b: functional.dropout(
            torch.tanh(self.encoder(a) - self.encoder(b)), 0.2, self.training
        ),
        encoder=encoder,
    )
    conv = converted(module, (4,), (4,))
    assert [dropout.path for dropout in conv.dropouts] == [
        "encoder[0].2",
        "encoder[1].2",
        "dropout",
    ]
    assert {"encoder[0].1", "tanh"} <= set(conv.layers)
    conv = converted(module, (4,), (4,), dropout={"encoder.2": "off"})
    assert [dropout.path for dropout in conv.dropouts] == ["dropout"]


def test_flags_of_dropout():
    """Constant ones do what they say; the module's flag is what ``dropout=`` says."""

    def forward(self, x):
        x = functional.dropout(self.linear(x), 0.1, True)
        x = functional.dropout(x.relu(), 0.2, False)
        return functional.dropout(x.tanh(), 0.3, self.training)

    for training in (True, False):
        module = linear(forward).train(training)
        assert [each.rate for each in converted(module, (4,)).dropouts] == [0.1, 0.3]
        conv = converted(module, (4,), dropout="off")
        assert [each.rate for each in conv.dropouts] == [0.1]
        assert not converted(module, (4,), dropout="all-off").dropouts


def test_dropout_in_training_alone_is_refused():
    def forward(self, x):
        x = self.linear(x)
        return functional.dropout(x, 0.3) if self.training else x

    assert "drops units in training mode" in refusal(linear(forward), (4,))


def exported(module, *shapes, rows=None):
    examples = tuple(torch.zeros(rows or 2, *shape) for shape in shapes)
    dim = None if rows else {0: torch.export.Dim.AUTO}
    return torch.export.export(
        module, examples, dynamic_shapes=None if rows else (dim,) * len(shapes)
    )


def dropped():
    module = layers(
        nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.2), nn.Linear(5, 2)
    )
    module[1].running_mean.normal_()
    return module


@pytest.mark.parametrize("count", [None, 1, 2, 4])
def test_exported_programs(count):
    """For any rows, or for as many as they are."""
    program = exported(dropped().eval(), (4,), rows=count)
    conv = npd.Converter(program, neurons="rate", seed=1)
    assert conv.verify(rows(4, n=5)) < 1e-6
    assert [each.path for each in conv.dropouts] == ["3"]
    assert not npd.Converter(program, dropout="off").dropouts
    with pytest.raises(ValidationError, match="example_inputs"):
        npd.Converter(program, example_inputs=rows(4))


def test_exported_in_training_mode():
    module = dropped().train()
    with pytest.raises(npd.ConversionError, match="'1' .BatchNorm1d.*by the batch"):
        npd.read_model(exported(module, (4,)))
    module[1].eval()
    program = exported(module, (4,))
    for each in (program, program.run_decompositions()):
        conv = npd.Converter(each, neurons="rate", seed=1)
        assert conv.verify(rows(4)) < 1e-6
        assert [dropout.path for dropout in conv.dropouts] == ["3"]


def test_decompositions_that_lost_dropout_are_refused():
    program = exported(dropped().eval(), (4,)).run_decompositions()
    if any("clone" in str(node.target) for node in program.graph.nodes):
        lost = "'3' .Dropout.*run_decompositions"
        with pytest.raises(npd.ConversionError, match=lost):
            npd.read_model(program)
    else:  # from PyTorch 2.14 on, nothing of it is left to be told by
        conv = npd.Converter(program)
        assert conv.dropouts == []
        with pytest.raises(ValidationError, match="no permanent dropout"):
            npd.sample(conv, rows(4), 2, progress=False)


def test_always_on_in_an_exported_program():
    module = layers(nn.Linear(4, 4), MCDropout(0.4))
    program = exported(module.eval(), (4,))
    (dropout,) = npd.Converter(program, dropout="off").dropouts
    assert dropout.rate == 0.4


def test_weights_of_now_are_verified():
    module = layers(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    conv = npd.Converter(module, example_inputs=rows(4), neurons="rate")
    conv.verify(rows(4))
    with torch.no_grad():
        module[0].weight.mul_(2)
    with pytest.raises(npd.ConversionError, match="convert it again"):
        conv.verify(rows(4))


@pytest.mark.parametrize(
    "examples",
    [
        rows(4)[:1],
        torch.zeros(1, 4),
        [rows(4)],
        {"input": rows(4)},
        [[1.0, 2.0, 3.0, 4.0]],
    ],
)
def test_example_inputs(examples):
    converted(layers(nn.Linear(4, 2)), (4,), example_inputs=examples)


@pytest.mark.parametrize(
    "examples, match",
    [
        ("abc", "must be numbers"),
        (3.0, "must have rows"),
        (np.zeros((0, 4)), "must have rows"),
        ([rows(4), rows(4)], "don't fit forward"),
        ({"other": rows(4)}, "don't fit forward"),
    ],
)
def test_wrong_example_inputs(examples, match):
    with pytest.raises(ValidationError, match=match):
        npd.Converter(layers(nn.Linear(4, 2)), example_inputs=examples)


def test_modules_need_examples():
    with pytest.raises(npd.ConversionError, match=r"example_inputs=X\[:1\]"):
        npd.Converter(layers(nn.Linear(4, 2)))
    with pytest.raises(npd.ConversionError, match="TorchScript"):
        scripted = torch.jit.script(layers(nn.Linear(4, 2)))
        npd.Converter(scripted, example_inputs=rows(4))


class Marker:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("ending", [".pt", ".pth", ".ckpt"])
def test_pickles_are_never_loaded(ending, tmp_path):
    marker, path = tmp_path / "marker", tmp_path / f"module{ending}"
    torch.save(Marker(str(marker)), path)
    with pytest.raises(npd.ConversionError, match="pickle.*load_state_dict"):
        npd.Converter(path)
    assert not marker.exists()
    with pytest.raises(FileNotFoundError):
        npd.Converter(tmp_path / f"none{ending}")


def saved(tmp_path, module=None):
    path = tmp_path / "module.pt2"
    module = dropped().eval() if module is None else module
    torch.export.save(exported(module, (4,)), path)
    return module, path


def test_programs_in_files_are_as_in_memory(tmp_path):
    """Read as data: also where PyTorch isn't, and with dropout as `dropout=` says."""
    module, path = saved(tmp_path)
    own, read = npd.read_model(exported(module, (4,))), npd.read_model(path)
    assert own.shapes == read.shapes and own.outputs == read.outputs
    X = rows(4)
    a, b = (GraphForward(graph)([X])[0] for graph in (own, read))
    np.testing.assert_array_equal(a, b)
    conv = npd.Converter(path, neurons="rate", seed=1)
    assert conv.verify(X) < 1e-6
    assert [each.path for each in conv.dropouts] == ["3"]
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import nengo_permadrop as npd\n"
        f"assert npd.read_model({str(path)!r}).dropout_paths == ['3']"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def rewritten(path, change):
    """A file with some of its members changed: ``change(name, content)``."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            content = change(name, content)
            if content is not None:
                archive.writestr(name, content)
    return path


def test_pickles_in_a_file_are_not_opened(tmp_path):
    """Its example inputs are one, whatever it holds. Weights that are, are refused."""
    _, path = saved(tmp_path)
    rewritten(path, lambda name, x: b"no pickle" if "sample_inputs" in name else x)
    npd.read_model(path)

    def pickled(name, content):
        return content.replace(b'"use_pickle": false', b'"use_pickle": true')

    with pytest.raises(npd.ConversionError, match="is a pickle.*torch.export.load"):
        npd.read_model(rewritten(path, pickled))


def test_damaged_files_of_programs(tmp_path):
    _, path = saved(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValidationError, match="is damaged"):
        npd.read_model(path)
    for change, match in (
        (lambda name, x: None if name.endswith("weight_0") else x, "is damaged"),
        (lambda name, x: x[:8] if name.endswith("weight_0") else x, "fewer than"),
        (lambda name, x: b"{}" if name.endswith("model.json") else x, "is damaged"),
        (lambda name, x: None if name.endswith("model.json") else x, "older PyTorch"),
        (lambda name, x: b"big" if name.endswith("byteorder") else x, "big-endian"),
    ):
        path.write_bytes(content)
        with pytest.raises((ValidationError, npd.ConversionError), match=match):
            npd.read_model(rewritten(path, change))


def test_other_versions_of_files_are_refused(tmp_path):
    _, path = saved(tmp_path)

    def newer(name, content):
        if not name.endswith("model.json"):
            return content
        document = json.loads(content)
        document["schema_version"]["major"] += 1
        return json.dumps(document)

    with pytest.raises(npd.ConversionError, match="version 9 of its format"):
        npd.read_model(rewritten(path, newer))


def test_weights_that_are_no_parameters(tmp_path):
    """Buffers that aren't saved, and tensors as constants; and a layer used twice."""

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.drop = nn.Linear(4, 4), nn.Dropout(0.2)
            self.register_buffer("scale", torch.linspace(1, 2, 4), persistent=False)
            self.shift = torch.tensor([1.0, 2.0, 3.0, 4.0])

        def forward(self, x):
            x = self.drop(self.first(x + self.shift).relu()) * self.scale
            return self.drop(x) * torch.tensor(0.5)

    module, path = saved(tmp_path, Scaled().eval())
    for model in (module, path):
        examples = {} if model is path else {"example_inputs": rows(4)}
        conv = npd.Converter(model, neurons="rate", seed=1, **examples)
        assert conv.verify(rows(4)) < 1e-6
        assert [each.path for each in conv.dropouts] == ["drop[0]", "drop[1]"]


def test_operators_of_modules_with_parts_have_their_own_names():
    def forward(self, x):
        return self.linear(x) + x

    graph = npd.read_model(layers(linear(forward)), example_inputs=rows(4))
    assert [each.path for each in graph.operations] == ["0.linear", "0.add"]


def test_inputs_without_an_axis_beside_rows_are_refused():
    module = Function(lambda self, x: x[:, None].relu())
    with pytest.raises(npd.ConversionError, match="has the shape .*Give it rows"):
        npd.read_model(module, example_inputs=np.zeros(2))


def test_nothing_else_is_needed():
    """Modules convert, verify and are sampled without Keras and ONNX."""
    code = (
        "import sys\n"
        "for name in ('keras', 'tensorflow', 'jax', 'onnx'): sys.modules[name] = None\n"
        "import numpy as np, torch, nengo_permadrop as npd\n"
        "nn = torch.nn\n"
        "module = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Dropout(0.2))\n"
        "conv = npd.Converter(module, example_inputs=np.zeros((1, 4)))\n"
        "assert conv.verify(np.ones((2, 4))) < 1e-6\n"
        "npd.sample(conv, np.ones((2, 4)), 2, progress=False)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_modules_that_torch_can_follow_in_evaluation_mode_alone():
    """It is said that dropout of the other mode isn't seen."""

    def forward(self, x):
        x = functional.dropout(self.linear(x), 0.3, self.training)
        return x if not self.training or x.sum() > 0 else -x

    with pytest.warns(UserWarning, match="in training mode: dropout") as caught:
        conv = npd.Converter(linear(forward), example_inputs=rows(4))
    assert caught[0].filename == __file__
    assert [each.rate for each in conv.dropouts] == [0.3]
