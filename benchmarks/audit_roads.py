"""
The roads on which dropout is lost, and whether an audit finds it out.

Each road is gone with a tiny network whose dropout is on, by the package that is named;
what isn't installed is left out. Prints for each what was found, and how long it took;
fails if something is missed::

    python benchmarks/audit_roads.py
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

import nengo_permadrop as npd

X = np.random.RandomState(0).randn(8, 8).astype(np.float32)
ROADS = {}


def road(*found, **options):
    """Register a road, with what of an audit's tests finds the loss."""

    def register(function):
        ROADS[function.__name__] = function, set(found), options
        return function

    return register


def torch_module(kind="module"):
    import torch

    torch.manual_seed(0)
    nn = torch.nn

    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(8, 64), nn.Linear(64, 2)

        def forward(self, x):
            hidden = torch.relu(self.first(x))
            return self.last(nn.functional.dropout(hidden, 0.5, training=True))

    if kind == "functional":
        return Functional()
    return nn.Sequential(
        nn.Linear(8, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 2)
    ).train()


def of_tensors(module):
    import torch

    def answer(x):
        with torch.no_grad():
            return module(torch.as_tensor(x))

    return answer


def keras_model(**options):
    from nengo_permadrop.support.optional import require

    keras = require("keras")
    x = keras.Input((8,), name="x")
    hidden = keras.layers.Dense(64, activation="relu")(x)
    hidden = keras.layers.Dropout(0.5, **options)(hidden, training=True)
    return keras.Model(x, keras.layers.Dense(2)(hidden))


def onnx_file(folder, seed=None, name="m.onnx"):
    """A Dropout in training mode, as PyTorch's newer exporter writes it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.RandomState(0)
    constants = [
        numpy_helper.from_array(weights.randn(8, 64).astype(np.float32), "a"),
        numpy_helper.from_array(weights.randn(64, 2).astype(np.float32), "b"),
        numpy_helper.from_array(np.array(0.5, np.float32), "ratio"),
        numpy_helper.from_array(np.array(True), "training"),
    ]
    # with a seed it is to stay on, as it does where the mask is used
    outputs, more = ["d"], []
    if seed is not None:
        outputs, more = ["d", "mask"], [
            helper.make_node("Cast", ["mask"], ["m"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["d", "m"], ["e"]),
        ]
    attributes = {} if seed is None else {"seed": seed}
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "a"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node(
                "Dropout", ["r", "ratio", "training"], outputs, **attributes
            ),
            *more,
            helper.make_node("MatMul", ["e" if more else "d", "b"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        constants,
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    path = str(Path(folder, name))
    onnx.save(made, path)
    return path


@road("differ")
def keras_3_predict(folder):
    model = keras_model()
    import keras

    if keras.__version__.startswith("2."):
        raise ImportError("Keras 2 keeps it")
    return model


@road("sessions")
def keras_file_with_a_seed(folder):
    path = str(Path(folder, "m.keras"))
    import keras

    from nengo_permadrop.keras_layers import PermanentDropout

    x = keras.Input((8,), name="x")
    hidden = PermanentDropout(0.5, seed=3)(keras.layers.Dense(64)(x))
    keras.Model(x, keras.layers.Dense(2)(hidden)).save(path)
    return path


@road("sessions", "processes", trust=True, processes=True)
def keras_3_saved_model(folder):
    from nengo_permadrop.keras_layers import PermanentDropout, keras

    if keras.backend.backend() != "tensorflow" or keras.__version__.startswith("2."):
        raise ImportError("needs Keras 3 on TensorFlow")
    x = keras.Input((8,), name="x")
    hidden = PermanentDropout(0.5)(keras.layers.Dense(64)(x))
    path = str(Path(folder, "saved"))
    model = keras.Model(x, keras.layers.Dense(2)(hidden))
    model.export(path, format="tf_saved_model", verbose=False)
    return path


@road("differ")
def keras_3_to_litert(folder):
    model = keras_3_predict(folder)
    import tensorflow

    path = Path(folder, "m.tflite")
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
    path.write_bytes(converter.convert())
    return str(path)


@road("differ")
def torch_evaluation_mode(folder):
    return torch_module().eval()


@road("differ")
def torch_attention_fast_path(folder):
    import torch

    layer = torch.nn.TransformerEncoderLayer(8, 2, 32, 0.5, batch_first=True).eval()
    for each in layer.modules():
        if isinstance(each, torch.nn.Dropout):
            each.train()
    return lambda x: of_tensors(layer)(x[:, None])


@road("differ")
def torch_optimize_for_inference(folder):
    import torch

    scripted = torch.jit.script(torch_module())
    return of_tensors(torch.jit.optimize_for_inference(scripted))


@road("differ")
def torch_mode_baked_in(folder):
    import torch

    module = torch_module().eval()
    return of_tensors(torch.jit.trace(module, torch.zeros(1, 8)))


@road("differ", trust=True)
def torch_export_of_evaluation_mode(folder):
    import torch

    rows = {0: torch.export.Dim("rows")}
    example = (torch.zeros(2, 8),)
    module = torch_module().eval()
    path = str(Path(folder, "m.pt2"))
    torch.export.save(
        torch.export.export(module, example, dynamic_shapes=(rows,)), path
    )
    return path


@road("rows")
def torch_vmap_same(folder):
    import torch

    return of_tensors(torch.func.vmap(torch_module(), randomness="same"))


@road("reference")
def some_dropouts_switched_on(folder):
    """As baal's patch_module and others that know some classes."""
    import torch

    module = torch.nn.Sequential(
        *(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Dropout(0.5)),
        *(torch.nn.AlphaDropout(0.5), torch.nn.Linear(64, 2)),
    ).eval()
    module[2].train()
    return module


@road("differ")
def openvino_from_torch(folder):
    import openvino
    import torch

    module = torch_module("functional")
    made = openvino.convert_model(module, example_input=torch.zeros(2, 8))
    path = str(Path(folder, "m.xml"))
    openvino.save_model(made, path)
    return path


@road("differ")
def onnxruntime_training_mode(folder):
    return onnx_file(folder)


@road("sessions")
def onnxruntime_seed_42(folder):
    return onnx_file(folder, seed=42)


@road("calls", "sessions")
def onnxruntime_seed_0(folder):
    return onnx_file(folder, seed=0)


@road("differ")
def torch_older_onnx_exporter(folder):
    import torch

    path = str(Path(folder, "m.onnx"))
    torch.onnx.export(torch_module(), (torch.zeros(1, 8),), path, dynamo=False)
    return path


@road("differ")
def onnxslim_slim(folder):
    import onnx
    import onnxslim

    path = str(Path(folder, "slim.onnx"))
    onnx.save(onnxslim.slim(onnx_file(folder)), path)
    return path


@road("differ")
def onnxruntime_quant_pre_process(folder):
    from onnxruntime.quantization.shape_inference import quant_pre_process

    path = str(Path(folder, "prepared.onnx"))
    quant_pre_process(onnx_file(folder), path)
    return path


@road("differ")
def onnx2torch_in_evaluation_mode(folder):
    import onnx2torch

    return of_tensors(onnx2torch.convert(onnx_file(folder)).eval())


@road("differ")
def flax_after_eval(folder):
    import jax
    from flax import nnx

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(8, 64, rngs=rngs)
            self.drop = nnx.Dropout(0.5, deterministic=False, rngs=rngs)
            self.last = nnx.Linear(64, 2, rngs=rngs)

        def __call__(self, x):
            return self.last(self.drop(jax.nn.relu(self.first(x))))

    model = Model(nnx.Rngs(0))
    model.eval()
    return lambda x: np.array(model(x))


@road("differ")
def equinox_in_inference_mode(folder):
    import equinox
    import jax

    first, last, key = jax.random.split(jax.random.PRNGKey(0), 3)
    model = equinox.nn.Sequential(
        [
            equinox.nn.Linear(8, 64, key=first),
            equinox.nn.Dropout(0.5, inference=False),
            equinox.nn.Linear(64, 2, key=last),
        ]
    )
    model = equinox.nn.inference_mode(model)
    keys = iter(range(10**6))

    def answer(x):
        each = jax.random.split(jax.random.PRNGKey(next(keys)), len(x))
        return np.array(jax.vmap(lambda row, key: model(row, key=key))(x, each))

    return answer


@road("differ")
def spikingjelly_ann2snn(folder):
    import torch
    from spikingjelly.activation_based import ann2snn, functional

    rows = [(torch.as_tensor(X), torch.zeros(len(X)))]
    network = ann2snn.Converter(dataloader=rows, mode="max")(torch_module())

    def answer(x):
        functional.reset_net(network)
        with torch.no_grad():
            return sum(network(torch.as_tensor(x)) for _ in range(30)) / 30

    return answer


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("roads", nargs="*", help=f"of {', '.join(ROADS)}")
    args = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    missed, gone = [], 0
    for name in args.roads or ROADS:
        function, expected, options = ROADS[name]
        with tempfile.TemporaryDirectory() as folder:
            try:
                model = function(folder)
            except ImportError as error:
                print(f"{name:<34}not here: {str(error).splitlines()[0][:60]}")
                continue
            start = time.perf_counter()
            audit = npd.audit(model, X, **{"processes": False, **options})
            seconds = time.perf_counter() - start
        gone += 1
        found = {each.test for each in audit.findings}
        print(f"{name:<34}{', '.join(sorted(found)) or 'NOTHING'} ({seconds:.1f} s)")
        if not expected <= found:
            missed.append(name)
    print(f"{gone - len(missed)} of {gone} roads are found out")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
