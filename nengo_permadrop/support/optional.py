"""The one place that knows how to install what is optional."""

import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
from pathlib import Path

EXTRAS = {
    "keras": "keras",
    "tensorflow": "keras",
    "nengo_dl": "dl",
    "nengo_loihi": "loihi",
    "nengo_extras": "loihi",
    "nengo_gui": "gui",
    "matplotlib": "plots",
    "matplotlib.pyplot": "plots",
    "xarray": "plots",
    "arviz": "arviz",
    "pyarrow": "parquet",
    "sklearn": "study",
    "jinja2": "study",
    "distributed": "dask",
    "snntorch": "bench",
    "spikingjelly": "bench",
    "spikingjelly.activation_based.neuron": "bench",
    "torch": "torch",
    "onnx": "onnx",
    "onnxruntime": "onnx",
}
# Required, but imported where it is needed only
CORE = ("h5py",)

# What can't be installed where Python is newer, and what keeps it from there; the
# markers in setup.py leave out the same
NEWEST = (3, 11)
OLD = {
    "nengo_dl": "NengoDL 3.6 needs TensorFlow 2.12",
    "nengo_loihi": "nengo-loihi 1.1 needs NumPy 1",
    "nengo_extras": "nengo-extras 0.5 goes with nengo-loihi",
}
NOT_BESIDE_KERAS3 = {"nengo_dl"}

# What Keras 3 trains on; the module of each has its name. The first is its default
KERAS_BACKENDS = ("tensorflow", "jax", "torch")


def require(name):
    """
    Import an optional package, or say how to install it.

    Keras 3 is imported on a backend that is installed: `choose_keras_backend`.

    Parameters
    ----------
    name : str
        The module's name, a key of `EXTRAS`, or one of `CORE`.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If it can't be imported, with the install command and the reason.
    """
    if name == "keras":
        choose_keras_backend()
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"This needs {name.partition('.')[0]}, which could not be imported "
            f"({error}). {_remedy(name)}"
        ) from error


def _remedy(name):
    if name in CORE:
        return f"Install it with: pip install {name}"
    if name in OLD and sys.version_info[:2] > NEWEST:
        python, newest = (
            ".".join(map(str, version)) for version in (sys.version_info[:2], NEWEST)
        )
        return (
            f"It can't be installed on Python {python} ({OLD[name]}): use Python "
            f"{newest}, and there pip install 'nengo-permadrop[{EXTRAS[name]}]'"
        )
    where = ""
    if name in NOT_BESIDE_KERAS3 and _is_keras3():
        where = " in an environment of its own, as it can't be beside Keras 3"
    return f"Install it with: pip install 'nengo-permadrop[{EXTRAS[name]}]'{where}"


def choose_keras_backend():
    """
    Have Keras 3 start on a backend that is installed.

    A choice that was made stays: Keras that is imported already, the environment
    variable ``KERAS_BACKEND``, or a backend in Keras's configuration file that is
    installed. Otherwise ``KERAS_BACKEND`` is set, which processes that are started from
    here inherit. (Keras itself writes its default, TensorFlow, to its file, so what
    the file names is no choice if it isn't there.)

    Raises
    ------
    ImportError
        If the one that was chosen, or any, is not installed.
    """
    if "keras" in sys.modules or not _is_keras3():
        return
    told = os.environ.get("KERAS_BACKEND")
    backend = told or _configured_backend()
    if backend not in KERAS_BACKENDS or _is_installed(backend):
        return  # Keras has others, which don't train
    installed = [name for name in KERAS_BACKENDS if _is_installed(name)]
    if not installed:
        raise ImportError(
            "Keras 3 needs TensorFlow, JAX or PyTorch, and none of them is installed: "
            "pip install 'nengo-permadrop[jax]', or tensorflow, or torch"
        )
    if told:
        raise ImportError(
            f"KERAS_BACKEND is {told}, which is not installed: pip install {told}, or "
            f"set KERAS_BACKEND to what is there ({', '.join(installed)})"
        )
    os.environ["KERAS_BACKEND"] = installed[0]


def keras_version():
    """
    Version of Keras and, of Keras 3, on what it runs: "3.15.1 on jax 0.12.0".

    Raises
    ------
    ImportError
        As `require`.
    """
    keras = require("keras")
    if keras.__version__.startswith("2."):
        return keras.__version__
    backend = keras.config.backend()
    below = getattr(sys.modules.get(backend), "__version__", "")
    return f"{keras.__version__} on {backend} {below}".rstrip()


def _is_keras3():
    try:
        return not importlib.metadata.version("keras").startswith("2.")
    except importlib.metadata.PackageNotFoundError:
        return False  # importing it tells


def _is_installed(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # half imported, or hidden with None in sys.modules
        return False


def _configured_backend():
    """What Keras's configuration file names, as Keras reads it."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    try:
        text = Path(home, "keras.json").read_text(encoding="utf-8")
        backend = json.loads(text).get("backend")
    except (OSError, ValueError, AttributeError):
        backend = None  # there is none, or not one that Keras reads either
    return backend or KERAS_BACKENDS[0]
