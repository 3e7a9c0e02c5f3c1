"""Samples as files, and as the objects of other packages."""

import json
from pathlib import Path

import numpy as np

from nengo_permadrop.samples.matching import matched_targets
from nengo_permadrop.support.archives import write_npz
from nengo_permadrop.support.optional import require

FORMAT = "nengo-permadrop samples"
FORMAT_VERSION = 2  # 1 had no links; files without any are still written in it


def save_samples(samples, path):
    """Write samples to one ``.npz`` file; see `.PredictiveSamples.save`."""
    path = _with_suffix(path)
    header = {
        "format": FORMAT,
        "version": 1 if samples.link is None else FORMAT_VERSION,
        "output_names": samples.output_names,
        "observation_names": samples.observation_names,
        "backend": samples.backend,
        "seed": samples.seed,
        "masks": samples.masks,
        "meta": samples.meta,
    }
    if samples.link is not None:
        header["link"] = samples.link
    arrays = {} if samples.logits is None else {"logits": samples.logits}
    encoded = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    write_npz(path, header=encoded, values=samples.values, **arrays)
    return path


def to_xarray(samples):
    """Samples as an array with labels; see `.PredictiveSamples.to_xarray`."""
    xarray = require("xarray")
    attrs = {
        "backend": samples.backend,
        "seed": samples.seed,
        "masks": samples.masks,
        "link": samples.link,
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
