"""
What is audited: each kind of model, run as those who deploy it run it.

A subject opens sessions of a model; a session takes observations, as the user gave
them, and returns ``(n, n_outputs)`` answers of the model's first output.
"""

import importlib
import os
import sys

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.backends.function import checked_answers
from nengo_permadrop.support.optional import require


class Subject:
    """
    A model of some kind; see the module.

    Parameters
    ----------
    model : object
        What the user gave.

    Attributes
    ----------
    kind : str
        A key of the table in `nengo_permadrop.sampling.audit.causes`.
    title : str
        What it is and what runs it, with versions.
    many : bool
        Whether another session is independent of the first.
    elsewhere : bool
        Whether it is named by a file, which another process can open.
    backend : str or None
        The classical backend that draws from it with dropout surely on.
    """

    kind = "function"
    many = False
    elsewhere = False
    backend = None

    def __init__(self, model):
        self.model = model

    @property
    def title(self):
        return getattr(self.model, "__name__", type(self.model).__name__)

    def session(self):
        """
        What answers.

        Returns
        -------
        answer : callable
        """
        return lambda X: checked(self.model(X), X, self.title)

    def other_ways(self):
        """
        Other ways to ask the same model.

        Returns
        -------
        ways : {str: callable}
            By what they are called, such as "model(x)".
        """
        return {}


class File(Subject):
    """A file, which any process can open."""

    many = True
    elsewhere = True

    @property
    def name(self):
        return os.path.basename(os.fspath(self.model).rstrip("/"))


class TorchSubject(Subject):
    """A module, in the mode that it is in; a copy is run, which may change."""

    kind = "torch"
    backend = "torch"

    @property
    def title(self):
        mode = "training" if self.model.training else "evaluation"
        version = require("torch").__version__
        return f"{type(self.model).__name__} (in {mode} mode, PyTorch {version})"

    def session(self):
        import copy

        return _torch_session(copy.deepcopy(self.model), self.title)


class Pt2Subject(File):
    """An exported program; its loading unpickles, so it is trusted or not loaded."""

    kind = "pt2"
    backend = None

    @property
    def title(self):
        return f"{self.name} (PyTorch {require('torch').__version__})"

    def session(self):
        torch = require("torch")
        # its operators must be known before what was exported with them is loaded
        importlib.import_module("nengo_permadrop.sources.torch.rate_curves")
        program = torch.export.load(os.fspath(self.model))
        return _torch_session(program.module(), self.title)


class OnnxSubject(File):
    """An ONNX file, with ONNX Runtime's defaults."""

    kind = "onnx"
    backend = "onnx"

    @property
    def title(self):
        version = require("onnxruntime").__version__
        return f"{self.name} (ONNX Runtime {version}, as its defaults run it)"

    def session(self):
        runtime = require("onnxruntime")
        path = os.fspath(self.model)
        try:
            providers = runtime.get_available_providers()  # with a GPU it insists
            session = runtime.InferenceSession(path, providers=providers)
        except Exception as error:  # pybind's own classes, one a status
            raise ValidationError(
                f"ONNX Runtime can't run {path}: {error}", attr="model"
            ) from error
        inputs = {each.name: each.type for each in session.get_inputs()}
        told = {name for name, kind in inputs.items() if kind == "tensor(bool)"}
        names = [name for name in inputs if name not in told]
        output = session.get_outputs()[0].name

        def answer(X):
            given = named(X, names)
            feed = {
                n: x.astype(_ONNX_TYPES.get(inputs[n], "float32")) for n, x in given
            }
            feed.update(dict.fromkeys(told, np.array(True)))  # training_mode
            return checked(session.run([output], feed)[0], X, self.title)

        return answer


_ONNX_TYPES = {
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
}


class LiteRTSubject(File):
    """A LiteRT (TensorFlow Lite) file."""

    kind = "litert"

    def _library(self):
        try:
            return imported(("ai_edge_litert.interpreter",), "ai-edge-litert")
        except ImportError:
            tensorflow = sys.modules.get("tensorflow") or imported(
                ("tensorflow",), "ai-edge-litert"
            )
            if hasattr(tensorflow.lite, "Interpreter"):  # gone from 2.20 on
                return tensorflow.lite
            raise

    @property
    def title(self):
        return f"{self.name} (LiteRT)"

    def session(self):
        interpreter = self._library().Interpreter(model_path=os.fspath(self.model))
        details = interpreter.get_input_details()
        names = [each["name"] for each in details]

        def answer(X):
            given = named(X, names)
            for each, (_, x) in zip(details, given):
                interpreter.resize_tensor_input(each["index"], x.shape)
            interpreter.allocate_tensors()
            for each, (_, x) in zip(details, given):
                interpreter.set_tensor(each["index"], x.astype(each["dtype"]))
            interpreter.invoke()
            output = interpreter.get_output_details()[0]
            return checked(interpreter.get_tensor(output["index"]), X, self.title)

        return answer


class OpenVinoSubject(File):
    """OpenVINO's IR: an .xml file, with its weights in the .bin beside it."""

    kind = "openvino"

    @property
    def title(self):
        version = imported(("openvino",), "openvino").__version__.partition("-")[0]
        return f"{self.name} (OpenVINO {version})"

    def session(self):
        core = imported(("openvino",), "openvino").Core()
        compiled = core.compile_model(os.fspath(self.model), "CPU")
        names = [each.get_any_name() for each in compiled.inputs]

        def answer(X):
            given = named(X, names)
            inputs = {
                name: x.astype(port.get_element_type().to_dtype())
                for port, (name, x) in zip(compiled.inputs, given)
            }
            return checked(compiled(inputs)[compiled.outputs[0]], X, self.title)

        return answer


def _torch_session(module, title):
    torch = require("torch")
    tensors = [*module.parameters(), *module.buffers()]
    floating = [x.dtype for x in tensors if x.is_floating_point()]
    dtype = floating[0] if floating else torch.float32
    device = tensors[0].device if tensors else torch.device("cpu")

    def answer(X):
        given = X if isinstance(X, dict) else listed(X)
        arrays = given.values() if isinstance(given, dict) else given
        made = [
            torch.as_tensor(x).to(device, None if x.dtype.kind in "iu" else dtype)
            for x in arrays
        ]
        with torch.no_grad():
            if isinstance(given, dict):
                answers = module(**dict(zip(given, made)))
            else:
                answers = module(*made)
        return checked(answers, X, title)

    return answer


def checked(answers, X, title):
    """
    The first output of a model, as an array of a row for each observation.

    Parameters
    ----------
    answers : object
        What the model returned.
    X : array, list of arrays or dict
        What it was asked.
    title : str
        For messages.

    Returns
    -------
    answers : (n_observations, n_outputs) ndarray
    """
    if isinstance(answers, dict):
        answers = next(iter(answers.values()))
    elif isinstance(answers, tuple) or (
        isinstance(answers, list) and len(answers) and np.ndim(answers[0]) > 0
        and hasattr(answers[0], "shape")
    ):  # fmt: skip
        answers = answers[0]
    if hasattr(answers, "detach"):
        answers = answers.detach().cpu().numpy()
    return checked_answers(answers, n_rows(X), _Named(title))


class _Named:
    """Something with a name, for messages."""

    def __init__(self, name):
        self.__name__ = name


def listed(X):
    """Observations as a list of arrays."""
    if isinstance(X, dict):
        return list(X.values())
    return list(X) if isinstance(X, (list, tuple)) else [X]


def named(X, names):
    """Observations as (name, array) pairs, in the order of a model's inputs."""
    if isinstance(X, dict):
        missing = [name for name in names if name not in X]
        if missing or len(X) != len(names):
            raise ValidationError(
                f"has {', '.join(map(str, X))}; the model's inputs are "
                f"{', '.join(names)}",
                attr="X",
            )
        return [(name, X[name]) for name in names]
    arrays = listed(X)
    if len(arrays) != len(names):
        raise ValidationError(
            f"has {len(arrays)} arrays; the model's inputs are {', '.join(names)}",
            attr="X",
        )
    return list(zip(names, arrays))


def n_rows(X):
    """Number of observations."""
    return len(listed(X)[0])


def rows_of(X, rows):
    """Some rows of observations, in the same container."""
    if isinstance(X, dict):
        return {name: x[rows] for name, x in X.items()}
    if isinstance(X, (list, tuple)):
        return [x[rows] for x in X]
    return X[rows]


def imported(modules, package):
    """The first of some modules that is installed."""
    for name in modules:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            reason = error
    raise ImportError(
        f"This needs {modules[0]}, which could not be imported ({reason}). Install it "
        f"with: pip install {package}"
    ) from reason
