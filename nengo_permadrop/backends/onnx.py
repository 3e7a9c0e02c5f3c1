"""
The classical answer of an ONNX model: ONNX Runtime, with masks of ours.

ONNX Runtime's optimisers remove Dropout nodes, its seeds replay, and its masks depend
on how rows are put into batches. So the nodes are replaced by products with inputs that
hold the masks; see `.onnx_dropouts`.
"""

import contextlib
import os

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.backends.base import (
    NO_DROPOUT,
    Backend,
    Problem,
    output_name,
    register_backend,
)
from nengo_permadrop.backends.observations import DrawnMasks, check_told, given_inputs
from nengo_permadrop.support.optional import require

_STREAM = 0x6F6E6E78
_MOST_VALUES = 2**22  # of dropouts' inputs, alive in a chunk


@register_backend
class OnnxBackend(Backend):
    """
    ONNX Runtime, on the processor, with masks of each replica's own.

    All Dropout nodes are on, whatever their ``training_mode``.
    """

    name = "onnx"
    takes = "model"

    def version(self):
        require("onnx")
        return f"ONNX Runtime {require('onnxruntime').__version__}"

    def opened(self, model):
        return read_proto(model)

    def content(self, model):
        return model.SerializeToString(deterministic=True)

    def problem(self, model, X, output, dropout, settings):
        from nengo_permadrop.backends.onnx_dropouts import dropouts_of, inputs_of

        told = check_told(dropout)
        arrays, shapes, _ = given_inputs(X, list(inputs_of(model)))
        nodes = dropouts_of(model, told)
        if not nodes:
            raise ValidationError(_no_dropout(model, told), attr="model")
        found = {**settings.get("options", {}), "dropout": told, "together": True}
        settings["options"] = found
        names = {each.name: each.name for each in model.graph.output}
        output = output_name(output, names)
        problem = Problem(model, list(shapes), output, arrays, shapes, **settings)
        probed = probe(problem)
        found.update(probed)
        if not _drops(problem):
            raise ValidationError(
                f"ONNX Runtime gives the same answers for {_TRIED} draws of masks: "
                f"output {output!r} doesn't depend on what its {len(nodes)} Dropout "
                "nodes drop",
                attr="model",
            )
        return problem

    def chunk_size(self, problem, max_memory=None, session=None):
        values = max(1, sum(problem.options["sizes"]))
        if max_memory is None:
            return int(np.clip(_MOST_VALUES // values, 1, 1000))
        return max(1, int(max_memory // (4 * 8 * values)))

    @contextlib.contextmanager
    def session(self, problem):
        from nengo_permadrop.backends.onnx_dropouts import with_masks

        sizes, told = problem.options["sizes"], problem.options["dropout"]
        model, rates = with_masks(problem.model, told)
        session = open_session(model)

        def answer(replicas):
            if problem.options["together"]:
                return run(problem, session, rates, sizes, replicas)
            parts = [replicas[i : i + 1] for i in range(len(replicas))]
            return np.concatenate(
                [run(problem, session, rates, sizes, part) for part in parts]
            )

        yield answer


_TRIED = 64


def _drops(problem):
    """Whether answers of one row differ, for some draws of masks."""
    from nengo_permadrop.backends.base import Replicas

    rows = np.resize(np.arange(min(8, len(problem.X[0]))), _TRIED)
    seeds = np.arange(_TRIED)
    replicas = Replicas(rows, seeds, seeds, problem.X)
    with OnnxBackend().session(problem) as answer:
        answers = answer(replicas)
    return any(np.ptp(answers[rows == row], axis=0).any() for row in np.unique(rows))


def read_proto(model):
    """
    An ONNX model, of its file, its bytes or itself.

    Parameters
    ----------
    model : str, path-like, bytes or `onnx.ModelProto`

    Returns
    -------
    model : `onnx.ModelProto`
        With the weights that are in files of their own.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it is none.
    FileNotFoundError
        If there is no such file.
    """
    onnx = require("onnx")
    if isinstance(model, onnx.ModelProto):
        return model
    if not isinstance(model, (str, os.PathLike, bytes)):
        raise ValidationError(
            "backend 'onnx' takes the path of an ONNX file or an onnx.ModelProto, got "
            f"{type(model).__name__}",
            attr="model",
        )
    try:
        if isinstance(model, bytes):
            read = onnx.load_model_from_string(model)
        else:
            read = onnx.load(os.fspath(model))
    except OSError:
        raise
    except Exception as error:  # of protobuf, and of files that aren't there
        raise ValidationError(
            f"{'the bytes' if isinstance(model, bytes) else os.fspath(model)} can't be "
            f"read as an ONNX model ({type(error).__name__}: {error})",
            attr="model",
        ) from error
    if not read.graph.output:
        raise ValidationError(
            f"{'it' if isinstance(model, bytes) else os.fspath(model)} holds no ONNX "
            "graph",
            attr="model",
        )
    return read


def open_session(model):
    """
    A session of ONNX Runtime on the processor, which says nothing but errors.

    Parameters
    ----------
    model : `onnx.ModelProto`

    Returns
    -------
    session : `onnxruntime.InferenceSession`
    """
    runtime = require("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # pybind's own classes, one a status
        raise ValidationError(
            f"ONNX Runtime can't run '{model.graph.name}': {error}", attr="model"
        ) from error


def probe(problem):
    """
    Run a model for a few rows, and see what its dropouts get.

    Parameters
    ----------
    problem : `.Problem`

    Returns
    -------
    options : dict
        "together", whether the first axis of all that is dropped is that of the rows,
        and "sizes", the units of each dropout, of a row.
    """
    from nengo_permadrop.backends.onnx_dropouts import probing

    told = problem.options["dropout"]
    model, names = probing(problem.model, told)
    session = open_session(model)
    found = {}
    for n in (2, 3):
        rows = np.resize(np.arange(len(problem.X[0])), n)
        try:
            values = session.run(
                [*names, problem.output], _feed(problem, session, rows)
            )
        except Exception:  # for a file of batches of one
            found.clear()
            break
        found[n] = [x.shape for x in values]
    together = bool(found) and all(
        all(shape[:1] == (n,) for shape in shapes) for n, shapes in found.items()
    )
    n = 2
    if not together:
        n = 1
        feed = _feed(problem, session, np.zeros(1, dtype=int))
        try:
            found[n] = [x.shape for x in session.run([*names, problem.output], feed)]
        except Exception as error:
            raise ValidationError(
                f"ONNX Runtime can't run '{problem.model.graph.name}' for one row: "
                f"{error}",
                attr="model",
            ) from error
    sizes = [int(np.prod(shape)) // n for shape in found[n][:-1]]
    return {"together": together, "sizes": sizes}


def run(problem, session, rates, sizes, replicas):
    """
    Answers of replicas, in one batch.

    Parameters
    ----------
    problem : `.Problem`
    session : `onnxruntime.InferenceSession`
        Of the model with masks as inputs.
    rates : {str: float}
        Of each mask, by its input's name.
    sizes : list of int
        Units of each dropout.
    replicas : `.Replicas`

    Returns
    -------
    answers : (n, n_outputs) ndarray
    """
    masks = DrawnMasks(replicas.mask_seeds, _STREAM)
    feed = _feed(problem, session, replicas.observations, replicas.X)
    for number, ((name, rate), size) in enumerate(zip(rates.items(), sizes)):
        scale, _ = masks.terms(number, size, rate)
        feed[name] = scale.astype(np.float32)
    (answers,) = session.run([problem.output], feed)
    if len(answers) != len(replicas):
        raise ValidationError(
            f"output {problem.output!r} has the shape {answers.shape} for "
            f"{len(replicas)} observations; its first axis must be that of the "
            "observations",
            attr="model",
        )
    return answers.reshape(len(answers), -1).astype(np.float64)


def _feed(problem, session, rows, X=None):
    """What a session takes for some rows."""
    types = {each.name: each.type for each in session.get_inputs()}
    feed = {}
    for name, x in zip(problem.inputs, problem.X if X is None else X):
        values = x[rows].reshape(len(rows), *problem.shapes[name])
        feed[name] = values.astype(_TYPES.get(types.get(name), "float32"))
    return feed


# of ONNX Runtime's names of types
_TYPES = {
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
}


def _no_dropout(model, told):
    text = NO_DROPOUT.format(f"model '{model.graph.name}'")
    return (
        f"{text.partition(';')[0]}: the file has no Dropout node with a ratio above 0 "
        f"that is on (dropout={told!r}). Exporters leave them out by default: export "
        "from training mode, or sample the model that it was exported from"
    )
