"""
HDF5 files of weights, read without trust.

Keras is never given a file that others have made: what it needs is copied to a new one.
So it can't be led to other files by links, to memory that the file only declares, or to
a second content of the same file.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from nengo_permadrop.support.errors import DamagedFileError
from nengo_permadrop.support.optional import require

SAVE_AGAIN = "save the model again, or take another copy of the file"

READER = Path(__file__).with_name("model_reader.py")
READER_ENVIRONMENT = {"HDF5_PLUGIN_PRELOAD": "::"}  # no plugins


@dataclass(frozen=True)
class Weights:
    """
    What `copy_weights` has copied.

    Attributes
    ----------
    config : str or None
        JSON that describes the model, if the file holds a whole one.
    older : bool
        Whether it has the format of ``.h5`` files, not that of ``.weights.h5`` files
        since Keras 2.12.
    shapes : {str: list of int}
        Of each array of weights, by its path.
    """

    config: str | None
    older: bool
    shapes: dict


def copy_weights(path, copy, name=None):
    """
    Copy the weights of an HDF5 file, and what describes the model, to a new file.

    A process of its own reads it, because HDF5 doesn't check what it reads; see
    ``model_reader.py``.

    Parameters
    ----------
    path : path-like
        A file that others may have made.
    copy : path-like
        The new file.
    name : path-like, optional
        What messages call the file, if not ``path``.

    Returns
    -------
    weights : `Weights`

    Raises
    ------
    `.DamagedFileError`
        If a weight is absent or not finite, the file leads to others, or would take far
        more memory than its size, or can't be read at all.
    OSError
        If ``copy`` can't be written.
    """
    require("h5py")  # or says how to install it
    command = [sys.executable, "-P", str(READER), str(path), str(copy)]
    # the folder of a relative path is that of this process
    environment = {**os.environ, **READER_ENVIRONMENT}
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment
    )
    name = path if name is None else name
    try:
        found = json.loads(result.stdout)
    except ValueError as error:
        raise DamagedFileError(
            name, ended(result.returncode, result.stderr), SAVE_AGAIN
        ) from error
    if "failed" in found:
        raise OSError(f"{name} can't be copied to be loaded: {found['failed']}")
    if "damaged" in found:
        raise DamagedFileError(name, found["damaged"], SAVE_AGAIN)
    return Weights(**found)


def ended(code, said):
    """Why a reader has ended without an answer, in words: its exit code and stderr."""
    if code == -getattr(signal, "SIGXCPU", 0):
        return "damaged such that the HDF5 library doesn't come to an end"
    said = said.strip().splitlines() or [f"code {code}"]
    return f"damaged such that the HDF5 library ends with: {said[-1]}"
