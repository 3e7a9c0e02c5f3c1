"""Which kind of subject a model is."""

import os
import sys

from nengo.exceptions import ValidationError

from nengo_permadrop.sampling.audit import keras_subjects, subjects
from nengo_permadrop.sources.registry import get_source

# files that are no programs, whatever loads them
_PLAIN = {
    ".onnx": subjects.OnnxSubject,
    ".tflite": subjects.LiteRTSubject,
    ".litert": subjects.LiteRTSubject,
    ".xml": subjects.OpenVinoSubject,
}
_KERAS = (".h5", ".hdf5", ".keras")


def subject_of(model, trust=False):
    """
    What is audited.

    Parameters
    ----------
    model : object
        As in `~nengo_permadrop.sampling.audit.auditing.audit`.
    trust : bool, optional
        Whether code of a file may run.

    Returns
    -------
    subject : `.subjects.Subject`

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    nengo.exceptions.ValidationError
        If it is none, or its loading would run code that wasn't trusted.
    """
    if isinstance(model, (str, os.PathLike)):
        return _of_file(model, trust)
    # first, as on PyTorch a model of Keras 3 is a module, too
    if get_source("keras").takes(model) and hasattr(model, "predict"):
        return keras_subjects.KerasSubject(model)
    torch = sys.modules.get("torch")  # of a module it is imported
    if torch is not None and isinstance(model, torch.nn.Module):
        return subjects.TorchSubject(model)
    if callable(model):
        return subjects.Subject(model)
    raise ValidationError(
        "must be a model of Keras or PyTorch, the path of a model's file, or a "
        f"function of X; got {type(model).__name__}",
        attr="model",
    )


def _of_file(path, trust):
    path = os.fspath(path)
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: no such model file")
    ending = os.path.splitext(path)[1].lower()
    if os.path.isdir(path):
        if not os.path.exists(os.path.join(path, "saved_model.pb")):
            raise ValidationError(
                f"{path} is a folder, and no SavedModel", attr="model"
            )
        _check_trusted(path, "A SavedModel folder is a program", trust)
        return keras_subjects.SavedModelSubject(path)
    if ending in _KERAS:
        return keras_subjects.KerasFileSubject(path, trust)
    if ending == ".pt2":
        _check_trusted(path, "PyTorch may unpickle parts of it", trust)
        return subjects.Pt2Subject(path)
    if ending not in _PLAIN:
        raise ValidationError(
            f"{path} ends in {ending!r}; files of models that are known end in "
            f"{', '.join([*_KERAS, '.pt2', *_PLAIN])}. For others, give a function "
            "that runs the model",
            attr="model",
        )
    return _PLAIN[ending](path)


def _check_trusted(path, why, trust):
    if not trust:
        raise ValidationError(
            f"{path} is not loaded, as that may run code. {why}. If you trust whoever "
            "made it, say so with trust=True (--trust)",
            attr="model",
        )
