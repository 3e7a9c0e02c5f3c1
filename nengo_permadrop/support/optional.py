"""The one place that knows how to install what is optional."""

import importlib

EXTRAS = {
    "keras": "keras",
    "tensorflow": "keras",
    "h5py": "keras",
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
    "torch": "bench",
}


def require(name):
    """
    Import an optional package, or say how to install it.

    Parameters
    ----------
    name : str
        The module's name, a key of `EXTRAS`.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If it can't be imported, with the install command and the reason.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"This needs {name.partition('.')[0]}, which could not be imported "
            f"({error}). Install it with: pip install "
            f"'nengo-permadrop[{EXTRAS[name]}]'"
        ) from error
