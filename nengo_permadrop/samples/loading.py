"""Reading samples from a file."""

import json
from pathlib import Path

from nengo_permadrop.samples.io import FORMAT, FORMAT_VERSION, _with_suffix
from nengo_permadrop.samples.samples import PredictiveSamples
from nengo_permadrop.support.archives import read_npz, readable
from nengo_permadrop.support.errors import DamagedFileError


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
    nengo_permadrop.support.errors.DamagedFileError
        If the file is damaged, isn't one of ours, or was written in a newer format
        than this version knows.
    """
    path = Path(path)
    if not path.exists():
        path = _with_suffix(path)
    what = "a file of samples written by PredictiveSamples.save"
    fix = "copy it again, or draw the samples again"
    arrays = read_npz(path, what, fix)
    with readable(path, what, fix):
        header = json.loads(arrays["header"].tobytes().decode("utf-8"))
        if header.pop("format") != FORMAT:
            raise ValueError("its format is another one")
        found = header.pop("version")
        if found > FORMAT_VERSION:
            raise DamagedFileError(
                path,
                f"was written in version {found} of the format, and this "
                f"nengo-permadrop reads up to {FORMAT_VERSION}",
                "install a newer one",
            )
        return PredictiveSamples(
            arrays["values"], logits=arrays.get("logits"), **header
        )
