"""The classical backend "onnx": ONNX Runtime, dropout surely on."""

import numpy as np
import pytest
from nengo.exceptions import ValidationError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_models import RATE, WEIGHTS, model  # noqa: E402

import nengo_permadrop as npd  # noqa: E402

X = np.random.RandomState(0).randn(5, 4)


def draw(model, X=X, n_draws=20, **kwargs):
    return npd.sample(model, X, n_draws, backend="onnx", progress=False, **kwargs)


def own_draws(n_draws, seed):
    """The same distribution, by NumPy."""
    rng = np.random.RandomState(seed)
    hidden = np.maximum(X @ WEIGHTS[0], 0)
    keep = rng.rand(n_draws, *hidden.shape) >= RATE
    return (hidden * keep / (1 - RATE)) @ WEIGHTS[1]


@pytest.mark.parametrize(
    "options",
    [
        dict(training="initializer"),
        dict(training="constant"),
        dict(training="input"),
        dict(training=None),
        dict(opset=9),
        dict(opset=13, mask=True),
        dict(kind=np.float64),
        dict(rows=1),
    ],
    ids=str,
)
def test_dropout_is_on_however_the_file_says_it(options):
    """10 p-values a case; samples are said to differ in at most 2% of cases."""
    made = model(**options)
    samples = draw(made, n_draws=150, seed=1)
    assert npd.ks_agreement(samples, own_draws(150, seed=9)).verdict()
    if options.get("training"):
        on = draw(made, dropout="off", seed=1).values
        assert np.allclose(on, samples.values[:20], rtol=1e-5, atol=1e-5)
    elif options.get("training", True) is None or options.get("opset") == 9:
        with pytest.raises(ValidationError, match="no Dropout node.*that is on"):
            draw(made, dropout="off")


def test_a_draw_depends_on_nothing_else():
    made = model()
    values = draw(made, seed=3).values
    near = dict(rtol=1e-5, atol=1e-5)
    assert np.allclose(draw(made, n_draws=7, seed=3).values, values[:7], **near)
    few = draw(made, X[:2], seed=3, max_memory=30_000).values
    assert np.allclose(few, values[:, :2], **near)
    assert np.allclose(draw(model(rows=1), seed=3).values, values, **near)
    assert not np.allclose(draw(made, seed=4).values, values)
    same = draw(made, np.repeat(X[:1], 3, axis=0)).values
    assert not np.allclose(same[:, 0], same[:, 1])


def test_files_bytes_and_models(tmp_path):
    made = model()
    path = tmp_path / "m.onnx"
    onnx.save_model(
        made, path, save_as_external_data=True, location="m.data", size_threshold=0
    )
    made = model()
    values = draw(made).values
    assert np.array_equal(draw(path).values, values)
    assert np.array_equal(draw(made.SerializeToString()).values, values)
    assert made == model()  # as it was
    with pytest.raises(FileNotFoundError):
        draw(tmp_path / "none.onnx")
    (tmp_path / "other.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(ValidationError, match="other.onnx"):
        draw(tmp_path / "other.onnx")
    with pytest.raises(ValidationError, match="takes the path of an ONNX file"):
        draw(3)


def test_what_can_not_be_given_masks_is_refused_by_name():
    made = model()
    made.graph.node.append(
        onnx.helper.make_node("RandomUniform", [], ["u"], name="noise", shape=[3])
    )
    with pytest.raises(ValidationError, match="'noise' .RandomUniform.*'function'"):
        draw(made)
    made = model()
    (node,) = (each for each in made.graph.node if each.op_type == "Dropout")
    node.input[1] = "training"
    with pytest.raises(ValidationError, match="'drop' .Dropout. has a ratio"):
        draw(made)
    made = model()
    made.graph.node[-1].input[0] = "r"  # nothing comes of what is dropped
    with pytest.raises(ValidationError, match="ONNX Runtime gives the same answers"):
        draw(made)
    made = model()
    made.graph.node[1].op_type = "Unheard"
    with pytest.raises(ValidationError, match="ONNX Runtime can't run 'tiny'"):
        draw(made)
