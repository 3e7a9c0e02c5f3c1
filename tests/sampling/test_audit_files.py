"""npd.audit of SavedModels, LiteRT files and OpenVINO's IR."""

import numpy as np
import pytest

import nengo_permadrop as npd

X = np.random.RandomState(0).randn(6, 4).astype(np.float32)


def found(path, **kwargs):
    audit = npd.audit(path, X, processes=False, **kwargs)
    assert all(each.cause and each.fix for each in audit.findings)
    return [each.test for each in audit.findings]


@pytest.fixture(name="tensorflow", scope="module")
def _tensorflow():
    return pytest.importorskip("tensorflow")


def exported(tensorflow, folder, seed):
    """A function that drops, as a SavedModel."""
    weights = tensorflow.constant(np.random.RandomState(1).randn(4, 64), "float32")

    class Module(tensorflow.Module):
        @tensorflow.function(
            input_signature=[tensorflow.TensorSpec((None, 4), "float32", "x")]
        )
        def __call__(self, x):
            hidden = tensorflow.nn.relu(x @ weights)
            if seed is not None:
                hidden = tensorflow.nn.dropout(hidden, 0.5, seed=seed)
            return {"y": tensorflow.reduce_sum(hidden, axis=1, keepdims=True)}

    module = Module()
    tensorflow.saved_model.save(
        module, str(folder), signatures={"serving_default": module.__call__}
    )
    return str(folder)


def test_saved_models(tensorflow, tmp_path):
    lost = exported(tensorflow, tmp_path / "lost", None)
    with pytest.raises(ValueError, match="--trust"):
        npd.audit(lost, X)
    assert found(lost, trust=True) == ["differ"]
    replayed = exported(tensorflow, tmp_path / "replayed", 3)
    assert found(replayed, trust=True) == ["sessions"]


def test_litert_loses_dropout_of_keras_3(tensorflow, tmp_path):
    keras = pytest.importorskip("keras")
    if keras.__version__.startswith("2.") or keras.backend.backend() != "tensorflow":
        pytest.skip("Keras 2, which keeps it, or another backend")
    inputs = keras.Input((4,), name="x")
    hidden = keras.layers.Dropout(0.5)(keras.layers.Dense(64)(inputs), training=True)
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    if not hasattr(tensorflow.lite, "Interpreter"):
        pytest.importorskip("ai_edge_litert")
    path = tmp_path / "m.tflite"
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
    path.write_bytes(converter.convert())
    assert found(path) == ["differ"]


def test_openvino_loses_dropout(tmp_path):
    openvino = pytest.importorskip("openvino")
    torch = pytest.importorskip("torch")

    class Functional(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(4, 64)

        def forward(self, x):
            return torch.nn.functional.dropout(self.linear(x), 0.5, training=True)

    module = Functional().train()
    made = openvino.convert_model(module, example_input=torch.zeros(2, 4))
    path = tmp_path / "m.xml"
    openvino.save_model(made, path)
    assert found(path) == ["differ"]
    audit = npd.audit(path, X, processes=False)
    assert "OpenVINO" in audit.subject and "OpenVINO" in audit.findings[0].cause
