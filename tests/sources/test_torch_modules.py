"""Modules of PyTorch, against PyTorch and against the same networks in Keras."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("keras")

import torch_models  # noqa: E402

import nengo_permadrop as npd  # noqa: E402

SHORT = {"presentation_time": 0.02, "settle": 0.015, "progress": False, "seed": 5}


def state(module):
    """All that a module has: weights, buffers, modes, and what is trained."""
    weights = {name: each.clone() for name, each in module.state_dict().items()}
    modes = {name: each.training for name, each in module.named_modules()}
    grads = [(each.requires_grad, each.grad) for each in module.parameters()]
    return weights, modes, grads


def same_state(a, b):
    return a[1:] == b[1:] and all(torch.equal(a[0][name], b[0][name]) for name in a[0])


@pytest.mark.filterwarnings("ignore::nengo_permadrop.AgreementWarning")
@pytest.mark.parametrize("name", torch_models.MODELS)
def test_modules_are_converted_as_their_twins(name):
    """In either mode, with the same masks and the same draws."""
    module, twin, shapes = torch_models.made(name)
    X = torch_models.rows(shapes)
    examples = [x[:1] for x in X]
    expected = npd.Converter(twin(*shapes), seed=3)
    for training in (True, False):
        module.train(training)
        next(module.children()).eval()  # its modes needn't be one
        before, drawn = state(module), torch.random.get_rng_state()
        conv = npd.Converter(module, example_inputs=examples, seed=3)
        assert same_state(before, state(module))
        assert torch.equal(drawn, torch.random.get_rng_state())
        assert conv.verify(X) < 1e-6
        assert same_state(before, state(module))
        assert len(conv.dropouts) == len(expected.dropouts) > 0
        for mine, other in zip(conv.dropouts, expected.dropouts):
            np.testing.assert_array_equal(mine.drawn(), other.drawn())
            assert (mine.rate, mine.kind) == (other.rate, other.kind)
    X = [x[:2] for x in X]
    for mine, other in zip(conv.outputs, expected.outputs, strict=True):
        mine, other = (
            npd.sample(each, dict(zip(each.inputs, X)), 2, output=output, **SHORT)
            for each, output in ((conv, mine), (expected, other))
        )
        np.testing.assert_array_equal(mine.values, other.values)


def test_sample_takes_examples_from_the_rows():
    """Spiking draws of a module; layers of ours are known by their operator."""
    from nengo_permadrop.torch_layers import PermanentDropout, SoftLIF

    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(5, 20), SoftLIF(), PermanentDropout(0.3), torch.nn.Linear(20, 2)
    )
    X = np.random.RandomState(0).randn(4, 5).astype(np.float32)
    options = dict(n_draws=6, seed=1, progress=False)
    times = dict(presentation_time=0.1, settle=0.05)
    conv = npd.Converter(module, example_inputs=X[:1])
    assert conv.verify(X) < 1e-6
    expected = npd.sample(conv, X, **options, **times).values
    for rows in (X, [X], {"input": X}, list(map(list, X))):
        made = npd.sample(module, rows, **options, **times).values
        np.testing.assert_array_equal(made, expected)
    classical = npd.sample(module, X, backend="torch", **options).values
    assert classical.shape == expected.shape and classical.std(axis=0).min() > 0
