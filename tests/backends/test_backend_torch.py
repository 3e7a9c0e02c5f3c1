"""The classical backend "torch": a module's own forward pass, dropout surely on."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from nengo.exceptions import ValidationError

torch = pytest.importorskip("torch")

import nengo_permadrop as npd  # noqa: E402
from nengo_permadrop.torch_layers import PermanentDropout, SoftLIF  # noqa: E402

nn, F = torch.nn, torch.nn.functional
X = np.random.RandomState(0).randn(5, 4)


def draw(module, X=X, n_draws=20, **kwargs):
    return npd.sample(module, X, n_draws, backend="torch", progress=False, **kwargs)


def mlp(*dropped, size=60):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, size),
        nn.BatchNorm1d(size),
        SoftLIF(),
        *dropped,
        nn.Linear(size, 2),
    )


class Functional(nn.Module):
    """Dropout by functions, as the module's mode says, or always."""

    def __init__(self, function, always=False, size=60):
        super().__init__()
        torch.manual_seed(0)
        self.function, self.always = function, always
        self.first, self.last = nn.Linear(4, size), nn.Linear(size, 2)

    def forward(self, x):
        hidden = torch.relu(self.first(x))
        return self.last(self.function(hidden, 0.4, self.always or self.training))


@pytest.mark.parametrize("training", [False, True])
def test_a_draw_depends_on_nothing_else(training):
    """Neither on mode, chunks, other observations, executor, nor PyTorch's seed."""
    module = mlp(nn.Dropout(0.3), PermanentDropout(0.2, seed=1)).train(training)
    torch.manual_seed(1)
    values = draw(module, seed=3).values
    assert values.std(axis=0).min() > 0
    near = dict(rtol=1e-5, atol=1e-6)
    torch.manual_seed(2)
    module.train(not training)
    assert np.allclose(draw(module, n_draws=7, seed=3).values, values[:7], **near)
    few = draw(module, X[:2], seed=3, max_memory=40_000).values
    assert np.allclose(few, values[:, :2], **near)
    rest = draw(module, X[3:], seed=3, first_observation=3).values
    assert np.allclose(rest, values[:, 3:], **near)
    with ThreadPoolExecutor(2) as pool:
        found = draw(module, seed=3, executor=pool, max_memory=40_000).values
    assert np.allclose(found, values, **near)
    assert not np.allclose(draw(module, seed=4).values, values)
    together = draw(module, np.repeat(X[:1], 3, axis=0), masks="draw").values
    assert np.allclose(together[:, 0], together[:, 1])
    apart = draw(module, np.repeat(X[:1], 3, axis=0)).values
    assert not np.allclose(apart[:, 0], apart[:, 1])


def test_module_and_generators_are_left_as_they_were():
    module = mlp(nn.Dropout(0.3))
    module.train()
    module[1].eval()
    modes = [each.training for each in module.modules()]
    state = {name: x.clone() for name, x in module.state_dict().items()}
    generator = torch.get_rng_state()
    fast = torch.backends.mha.get_fastpath_enabled()
    draw(module)
    assert [each.training for each in module.modules()] == modes
    assert all(torch.equal(x, state[name]) for name, x in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.backends.mha.get_fastpath_enabled() == fast
    module[4].weight.requires_grad_(True)

    class Fails(nn.Module):
        def forward(self, x):
            raise RuntimeError("no")

    module = nn.Sequential(nn.Dropout(0.5), Fails()).train()
    with pytest.raises(RuntimeError, match="no"):
        draw(module)
    assert all(each.training for each in module.modules())


DROPOUTS = {
    "Dropout": nn.Dropout(0.4),
    "Dropout1d": nn.Sequential(
        nn.Unflatten(1, (20, 3)), nn.Dropout1d(0.4), nn.Flatten()
    ),
    "Dropout2d": nn.Sequential(
        nn.Unflatten(1, (15, 2, 2)), nn.Dropout2d(0.4), nn.Flatten()
    ),
    "Dropout3d": nn.Sequential(
        nn.Unflatten(1, (15, 2, 2, 1)), nn.Dropout3d(0.4), nn.Flatten()
    ),
    "AlphaDropout": nn.AlphaDropout(0.4),
    "FeatureAlphaDropout": nn.Sequential(
        nn.Unflatten(1, (20, 3)), nn.FeatureAlphaDropout(0.4), nn.Flatten()
    ),
    "noise_shape": nn.Sequential(
        nn.Unflatten(1, (20, 3)), PermanentDropout(0.4, (None, 20, 1)), nn.Flatten()
    ),
    "inplace": nn.Dropout(0.4, inplace=True),
}


@pytest.mark.parametrize("name", DROPOUTS)
def test_draws_are_those_of_pytorchs_own_dropout(name):
    """5 observations of 2 outputs; they are said to differ in at most 2% of cases."""
    module = mlp(DROPOUTS[name])
    found = draw(module, n_draws=150, seed=1)
    for each in module.modules():
        each.training = not isinstance(each, nn.BatchNorm1d)
    torch.manual_seed(5)
    with torch.no_grad():
        x = torch.tensor(X, dtype=torch.float32)
        own = np.stack([module(x).numpy() for _ in range(150)])
    assert npd.ks_agreement(found, own).verdict()


@pytest.mark.parametrize(
    "function",
    [F.dropout, torch.dropout, torch.dropout_, F.alpha_dropout, torch.alpha_dropout],
)
@pytest.mark.parametrize("always", [False, True])
def test_functional_dropout(function, always):
    module = Functional(function, always).eval()
    values = draw(module).values
    assert values.std(axis=0).min() > 0
    if always:
        assert np.array_equal(draw(module, dropout="off").values, values)
    else:  # as evaluation mode has it
        with pytest.raises(
            ValidationError, match="Functional has no permanent dropout"
        ):
            draw(module, dropout="off")
    with pytest.raises(ValidationError, match="no permanent dropout"):
        draw(module, dropout="all-off")


def test_attention_drops_in_evaluation_mode():
    """Which by itself takes a shortcut that passes dropout by."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True).eval()
    rows = np.random.RandomState(1).randn(3, 6, 8)
    samples = draw(layer, rows, n_draws=60)
    assert samples.std().min() > 0
    assert np.allclose(draw(layer, rows[:1], n_draws=9).values, samples.values[:9, :1])
    # only the attention's weights are dropped
    heads = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True).eval()

    class Attention(nn.Module):
        def __init__(self, weights):
            super().__init__()
            self.heads, self.weights = heads, weights

        def forward(self, x):
            return self.heads(x, x, x, need_weights=self.weights)[0]

    ways = [draw(Attention(weights), rows, 40).values for weights in (False, True)]
    assert np.allclose(*ways, atol=1e-5)
    assert ways[0].std(axis=0).min() > 0


def test_rows_that_are_not_the_first_axis():
    """Dropped values of another layout: a row at a time, each with its own masks."""

    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.linear, self.drop = nn.Linear(3, 20), nn.Dropout(0.5)

        def forward(self, x):
            steps = self.drop(torch.relu(self.linear(x.transpose(0, 1))))
            return steps.mean(dim=(0, 2))[:, None]

    rows = np.random.RandomState(0).randn(4, 2, 3)
    values = draw(Steps(), rows).values
    assert np.allclose(draw(Steps(), rows[:3], n_draws=5).values, values[:5, :3])
    assert values.std(axis=0).min() > 0


@pytest.mark.parametrize("batch", [1, None])
def test_exported_programs(batch):
    module = mlp(nn.Dropout(0.3), PermanentDropout(0.1)).eval()
    example = torch.zeros(batch or 2, 4)
    shapes = None if batch else {"input": {0: torch.export.Dim("rows")}}
    program = torch.export.export(module, (example,), dynamic_shapes=shapes)
    assert np.allclose(draw(program).values, draw(module).values, atol=1e-5)


def test_several_inputs_and_outputs():
    class Two(nn.Module):
        def forward(self, a, b, shift=0.0):
            hidden = F.dropout(a @ b.transpose(1, 2), 0.5)
            return {"sum": hidden.sum(dim=(1, 2)) + shift, "all": hidden}

    a, b = np.ones((2, 3, 4)), np.ones((2, 5, 4))
    total = draw(Two(), [a, b]).values
    every = draw(Two(), {"b": b, "a": a}, output="all").values
    assert total.shape == (20, 2, 1) and every.shape == (20, 2, 15)
    assert np.allclose(every.sum(axis=2), total[..., 0])
    with pytest.raises(ValidationError, match="unknown output 'mean'.*sum, all"):
        draw(Two(), [a, b], output="mean")
    with pytest.raises(ValidationError, match="c; the model's inputs are a, b"):
        draw(Two(), {"c": a})


def test_indices_are_integers():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Embedding(5, 8), nn.Flatten(), nn.Dropout(0.5))
    assert draw(module, np.array([[1, 2], [0, 4]])).values.shape == (20, 2, 16)


def test_what_can_not_be_given_masks_is_refused_by_name():
    scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)))
    with pytest.raises(ValidationError, match="'1'.*TorchScript.*'function'"):
        draw(nn.Sequential(nn.Dropout(0.1), scripted))
    with pytest.raises(ValidationError, match="'0' .LSTM. drops between its layers"):
        draw(nn.Sequential(nn.LSTM(4, 4, 2, dropout=0.2)))
    with pytest.raises(ValidationError, match="takes a torch.nn.Module.*got int"):
        draw(3)
    with pytest.raises(
        ValidationError, match="PyTorch called none with a rate above 0"
    ):
        draw(mlp(nn.Dropout(0.0)))

    class Noisy(nn.Module):
        def forward(self, x):
            return F.dropout(x + torch.randn_like(x), 0.5)

    state = torch.get_rng_state()
    with pytest.raises(ValidationError, match="Noisy draws random numbers in another"):
        draw(Noisy())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    module = mlp(nn.Dropout(0.3))
    kwargs = dict(checkpoint=tmp_path / "run", seed=2)
    few = draw(module, n_draws=4, **kwargs)
    assert np.array_equal(draw(module, n_draws=8, **kwargs).values[:4], few.values)
    with torch.no_grad():
        module[0].weight.mul_(1.1)
    with pytest.raises(ValidationError, match="model"):
        draw(module, n_draws=8, **kwargs)
