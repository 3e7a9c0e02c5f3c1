"""The folder of a study: what is in it already, and what a study can go on from."""

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.execution.checkpoint import Checkpoint
from nengo_permadrop.support.folders import check_room, prepare_folder, told_if_full
from nengo_permadrop.support.optional import require
from nengo_permadrop.support.plain import plain

UNFINISHED = "unfinished"
# What pictures, tables and pages take, about, and files beside the arrays
_ROOM = 1_000_000

_GO_ON = "what is finished is kept: free some space and run the same study again"


class StudyFolder:
    """
    Where a study puts what it has, as soon as it has it; a context manager.

    While a study isn't finished there is a folder ``unfinished`` in its own: a
    `.Checkpoint` with the trained weights, and one for each network's draws. The same
    study, run again, goes on from them. A finished study is not overwritten without
    being asked.

    Parameters
    ----------
    directory : str, path-like or None
        Made if it doesn't exist. With None nothing is kept and all methods do nothing.
    identity : dict
        What the study is; see `.Checkpoint`.
    names : sequence of str
        Of the files of a study.
    overwrite : bool, optional
        Whether another study's files may be replaced. They are, once the first draws
        are there.
    n_bytes : int, optional
        What the arrays of the study will take.

    Raises
    ------
    nengo.exceptions.ValidationError
        On entering: if there is another study, or this one finished, and ``overwrite``
        isn't set; or if another process is at work on it.
    OSError
        On entering: if the folder can't be written to, or has no room.
    ImportError
        On entering: if a package that the report needs isn't installed.
    """

    def __init__(self, directory, identity, names, overwrite=False, n_bytes=0):
        self.directory = None if directory is None else Path(directory)
        self.given = None if directory is None else str(directory)
        self.identity = json.loads(json.dumps(plain(identity), default=repr))
        self.names = tuple(names)
        self.overwrite = overwrite
        self.n_bytes = n_bytes
        self.kept = None

    def __enter__(self):
        if self.directory is None:
            return self
        require("matplotlib")  # of the report, which comes after all the work
        require("jinja2")
        prepare_folder(self.directory)
        self._unfinished = self.directory / UNFINISHED
        if self._manifest_path.exists():
            self._remove_other()
        if not self._manifest_path.exists():
            self._check_empty()
            check_room(self.directory, 2 * self.n_bytes + _ROOM)
        with contextlib.ExitStack() as stack:
            stack.enter_context(told_if_full(self.directory, lambda: _GO_ON))
            self.kept = stack.enter_context(Checkpoint(self._unfinished, self.identity))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info):
        if self.directory is None:
            return None
        if exc_info[0] is not None and not self._has_parts():
            _remove(self._unfinished)  # there is nothing to go on from
        return self._stack.__exit__(*exc_info)

    def _has_parts(self):
        return (
            any(path.suffix == ".part" for path in self._unfinished.rglob("*"))
            or (self._unfinished / "training.state.npz").exists()
        )

    def part(self, name):
        """A folder for the checkpoint of a part of the study, or None."""
        return None if self.kept is None else self._unfinished / name

    def fixed(self, name, make):
        """A value that is computed once; see `.Checkpoint.fixed`."""
        return make() if self.kept is None else self.kept.fixed(name, make)

    def load_weights(self):
        """The weights that were saved, a list of ndarray, or None."""
        found = None if self.kept is None else self.kept.load("weights")
        if found is None:
            return None
        with np.load(io.BytesIO(found.tobytes()), allow_pickle=False) as arrays:
            return [arrays[f"arr_{i}"] for i in range(len(arrays.files))]

    def save_weights(self, weights):
        """Keep the weights of the trained network."""
        if self.kept is None:
            return
        stream = io.BytesIO()
        np.savez(stream, *weights)
        self.kept.save("weights", np.frombuffer(stream.getvalue(), dtype=np.uint8))

    def save_samples(self, name, samples):
        """Write the draws of a network to the file ``samples_NAME.npz``."""
        if self.kept is None:
            return
        if "replaced" not in self.kept.done():  # files of the study before
            for other in self.names:
                (self.directory / other).unlink(missing_ok=True)
            self.kept.save("replaced", 1)
        samples.save(self.directory / f"samples_{name}.npz")

    def finish(self):
        """Remove what the study could have gone on from: all is written."""
        if self.kept is not None:
            self.kept.save("finished", 1)
            _remove(self._unfinished)

    @property
    def _manifest_path(self):
        return self._unfinished / "manifest.json"

    def _remove_other(self):
        """Remove what another study, or this one finished, has left; if it may be."""
        try:
            manifest = json.loads(self._manifest_path.read_text(encoding="utf-8"))
            found = dict(manifest["identity"])
        except (ValueError, KeyError, TypeError):
            if not self.overwrite:
                return  # the checkpoint says what is wrong
            found = None
        if found is None:
            _remove(self._unfinished)
            return
        try:
            with Checkpoint(self._unfinished, self.identity) as kept:
                if "finished" in kept.done():
                    _remove(self._unfinished)
            return
        except ValidationError as error:
            if found == self.identity:
                raise  # it is in use
            if not self.overwrite:
                raise ValidationError(
                    f"'{self.directory}' holds an unfinished study with other "
                    f"arguments ({_what_differs(error)}); give the same ones to go on, "
                    "another folder, or overwrite=True (--overwrite) to replace it",
                    attr="output",
                ) from error
        with Checkpoint(self._unfinished, found):
            _remove(self._unfinished)

    def _check_empty(self):
        there = [name for name in self.names if (self.directory / name).exists()]
        if there and not self.overwrite:
            more = f" and {len(there) - 1} more" if len(there) > 1 else ""
            raise ValidationError(
                f"'{self.directory}' holds a study already ({there[0]}{more}); give "
                "another folder, or overwrite=True (--overwrite) to replace it",
                attr="output",
            )


def _what_differs(error):
    """What a checkpoint's error says of the entries that differ."""
    return error.args[0].partition(": ")[2].rpartition(";")[0]


def _remove(unfinished):
    """Remove a checkpoint, its manifest last; a lock that is held may stay."""
    manifest = unfinished / "manifest.json"
    for path in unfinished.iterdir():
        if path.is_dir() and not path.is_symlink() and path.name != "parts":
            shutil.rmtree(path)
    shutil.rmtree(unfinished / "parts", ignore_errors=True)
    manifest.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # a system that removes no open file
        for path in unfinished.iterdir():
            path.unlink()
        unfinished.rmdir()
