"""Samples as files, and as the objects of other packages."""

import json
import zipfile
from pathlib import Path

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.files import atomic_path
from nengo_permadrop.matching import matched_targets
from nengo_permadrop.optional import require
from nengo_permadrop.samples import PredictiveSamples

FORMAT = "nengo-permadrop samples"
FORMAT_VERSION = 1


def save_samples(samples, path):
    """Write samples to one ``.npz`` file; see `.PredictiveSamples.save`."""
    path = _with_suffix(path)
    header = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "output_names": samples.output_names,
        "observation_names": samples.observation_names,
        "backend": samples.backend,
        "seed": samples.seed,
        "masks": samples.masks,
        "meta": samples.meta,
    }
    encoded = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    with atomic_path(path) as temporary:
        np.savez(temporary, header=encoded, values=samples.values)
    return path


def load_samples(path):
    """
    Read what `.PredictiveSamples.save` wrote.

    Parameters
    ----------
    path : str or path-like
        As given to ``save``, with or without ``.npz``.

    Returns
    -------
    samples : `.PredictiveSamples`

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    nengo.exceptions.ValidationError
        If the file is damaged, isn't one of ours, or was written in a newer format
        than this version knows.
    """
    path = Path(path)
    if not path.exists():
        path = _with_suffix(path)
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                header = json.loads(archive["header"].tobytes())
                if header["format"] != FORMAT:
                    raise ValueError(f"its format is {header['format']!r}")
                if header["version"] > FORMAT_VERSION:
                    raise ValidationError(
                        f"{path} was written in version {header['version']} of the "
                        f"format, and this nengo-permadrop reads up to "
                        f"{FORMAT_VERSION}; install a newer one",
                        attr="path",
                    )
                values = archive["values"]
        except ValidationError:
            raise
        except (  # what NumPy raises for other files, and a dict for another header
            ValueError,
            OSError,
            EOFError,
            KeyError,
            TypeError,
            AttributeError,
            zipfile.BadZipFile,
        ) as error:
            raise ValidationError(
                f"{path} is damaged, or isn't a file of samples written by "
                f"PredictiveSamples.save ({type(error).__name__}: {error})",
                attr="path",
            ) from error
    del header["format"], header["version"]
    return PredictiveSamples(values, **header)


def to_xarray(samples):
    """Samples as an array with labels; see `.PredictiveSamples.to_xarray`."""
    xarray = require("xarray")
    attrs = {
        "backend": samples.backend,
        "seed": samples.seed,
        "masks": samples.masks,
    }
    attrs = {key: value for key, value in attrs.items() if value is not None}
    return xarray.DataArray(
        samples.values,
        dims=("draw", "observation", "output"),
        coords={
            "draw": np.arange(samples.n_draws),
            "observation": samples.observation_names,
            "output": samples.output_names,
        },
        name="samples",
        attrs={**attrs, "meta": json.dumps(samples.meta)},
    )


def to_arviz(samples, y=None):
    """Samples as ArviZ takes them; see `.PredictiveSamples.to_arviz`."""
    arviz = require("arviz")
    array = to_xarray(samples)
    groups = {"posterior_predictive": array.expand_dims(chain=[0]).to_dataset()}
    if y is not None:
        observed = array.isel(draw=0, drop=True).copy(data=matched_targets(y, samples))
        groups["observed_data"] = observed.drop_attrs().to_dataset()
    return arviz.InferenceData(**groups)


def _with_suffix(path):
    path = Path(path)
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
