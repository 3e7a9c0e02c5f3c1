"""npd.audit of PyTorch modules and programs: roads on which dropout is lost."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import nengo_permadrop as npd  # noqa: E402
from nengo_permadrop.torch_layers import PermanentDropout  # noqa: E402

nn, F = torch.nn, torch.nn.functional
X = np.random.RandomState(0).randn(6, 8).astype(np.float32)


def mlp(*dropouts):
    torch.manual_seed(0)
    layers = []
    for dropout in dropouts:
        layers += [nn.Linear(64 if layers else 8, 64), nn.ReLU(), dropout]
    return nn.Sequential(*layers, nn.Linear(64, 2))


class Functional(nn.Module):
    def __init__(self, training=None):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.told = nn.Linear(8, 64), nn.Linear(64, 2), training

    def forward(self, x):
        told = self.training if self.told is None else self.told
        return self.last(F.dropout(torch.relu(self.first(x)), 0.5, told))


def found(module, **kwargs):
    audit = npd.audit(module, X, **kwargs)
    assert all(each.cause and each.fix for each in audit.findings)
    return [each.test for each in audit.findings]


def test_what_is_alive():
    """A false alarm has a probability of 1 in 1000 each."""
    for module in (
        mlp(PermanentDropout(0.5)).eval(),
        mlp(nn.Dropout(0.5), nn.Dropout(0.3)).train(),
        Functional(True).eval(),
        Functional().train(),
    ):
        audit = npd.audit(module, X)
        assert audit.ok, str(audit)
        assert set(audit.pvalues) >= {"calls", "rows"}


def test_evaluation_mode():
    assert found(mlp(nn.Dropout(0.5)).eval()) == ["differ"]
    assert found(Functional().eval()) == ["differ"]


def test_the_fast_path_of_attention():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True).eval()
    for each in layer.modules():
        if isinstance(each, nn.Dropout):
            each.train()
    module = nn.Sequential(nn.Unflatten(1, (1, 8)), layer, nn.Flatten())
    module[0].eval(), module[2].eval()
    assert found(module) == ["differ"]


def test_dropouts_that_were_left_off():
    """As of tools that switch some kinds of modules back to training mode."""
    module = mlp(nn.Dropout(0.5), nn.AlphaDropout(0.5)).eval()
    module[2].train()
    assert found(module) == ["reference"]
    module[5].train()
    assert not found(module)


def test_masks_of_a_whole_batch():
    """Of torch.func.vmap, and of layers that hold their mask."""
    module = mlp(nn.Dropout(0.5)).train()
    shared = torch.func.vmap(module, randomness="same")
    own = torch.func.vmap(module, randomness="different")
    for function, expected in ((shared, ["rows"]), (own, [])):
        assert found(lambda x, f=function: f(torch.as_tensor(x))) == expected


def test_frozen_fused_and_quantised_modules():
    module = Functional(True).eval()
    scripted = torch.jit.script(mlp(nn.Dropout(0.5)).train())
    lost = torch.jit.optimize_for_inference(torch.jit.freeze(scripted.eval()))
    assert found(lambda x: lost(torch.as_tensor(x))) == ["differ"]
    traced = torch.jit.trace(module, torch.zeros(1, 8), check_trace=False)
    assert not found(lambda x: traced(torch.as_tensor(x)))


def test_exported_programs(tmp_path):
    """Which are loaded when they are trusted, and only then."""
    rows = {0: torch.export.Dim("rows")}
    for number, (module, expected) in enumerate(
        (
            (mlp(nn.Dropout(0.5)).eval(), ["differ"]),
            (mlp(PermanentDropout(0.5)).eval(), []),
        )
    ):
        path = tmp_path / f"{number}.pt2"
        example = (torch.zeros(2, 8),)
        program = torch.export.export(module, example, dynamic_shapes=(rows,))
        torch.export.save(program, path)
        with pytest.raises(ValueError, match="--trust"):
            npd.audit(path, X)
        audit = npd.audit(path, X, module, trust=True, processes=False)
        assert [each.test for each in audit.findings] == expected, str(audit)
    assert set(audit.pvalues) == {"calls", "sessions", "rows", "reference"}


def test_the_module_is_left_as_it_was():
    module = nn.Sequential(
        nn.Linear(8, 64), nn.BatchNorm1d(64), nn.Dropout(0.5)
    ).train()
    before = {name: x.clone() for name, x in module.state_dict().items()}
    npd.audit(module, X, n_draws=20)
    assert module.training and module[1].training
    for name, x in module.state_dict().items():
        assert torch.equal(x, before[name]), name
