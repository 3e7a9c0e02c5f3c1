"""
Finished parts of a long computation, on disk, so that it can go on after any end.

A checkpoint is a folder: a manifest that says of which computation it is, and a file a
finished part, with a checksum. Files are written beside their place, flushed to disk
and renamed, so that what is there under its name is whole.
"""

import contextlib
import hashlib
import io
import json
import os
import stat
import warnings
from pathlib import Path

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.support.archives import read_array, readable
from nengo_permadrop.support.errors import DamagedFileError
from nengo_permadrop.support.files import (
    NoRoomError,
    is_unfinished,
    room_at,
    sync_folder,
    write_bytes,
    write_text,
)
from nengo_permadrop.support.folders import check_folder
from nengo_permadrop.support.locks import InUseError, hold

FORMAT = "nengo-permadrop checkpoint"
FORMAT_VERSION = 2
_MAGIC = b"nengo-permadrop part 1\n"
_SUFFIX = ".part"


class Checkpoint:
    """
    A folder of the finished parts of one computation; a context manager.

    Parts are arrays, under names that the computation chooses. Inside the ``with``
    block the folder is locked; the operating system unlocks it when the process ends,
    however it ends.

    Parameters
    ----------
    directory : str or path-like
        Made if it isn't there; its parent must be.
    identity : dict
        What the computation is: strings and numbers by name, as JSON can hold them. All
        that a part depends on must be in it (see `.digest.digest` for networks and
        arrays).

    Attributes
    ----------
    directory : `pathlib.Path`
    identity : dict

    Raises
    ------
    nengo.exceptions.ValidationError
        On entering: if the folder is a checkpoint of something else (the message names
        the entries that differ), holds other files, or is in use.
    nengo_permadrop.support.errors.DamagedFileError
        On entering: if the manifest can't be read.
    OSError
        On entering or saving: if the disk is full, or the folder can't be written to.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from nengo_permadrop.execution.checkpoint import Checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Checkpoint(f"{folder}/run", {"seed": 3}) as checkpoint:
    ...         checkpoint.save("rows-0-2", np.array([1.0, 2.0]))
    ...     with Checkpoint(f"{folder}/run", {"seed": 3}) as checkpoint:
    ...         print(checkpoint.load("rows-0-2"), checkpoint.load("rows-2-4"))
    [1. 2.] None
    """

    def __init__(self, directory, identity):
        self.directory = Path(directory)
        self.identity = json.loads(json.dumps(identity, sort_keys=True))
        self._parts = self.directory / "parts"
        self._manifest_path = self.directory / "manifest.json"

    def __enter__(self):
        with _disk_errors(self.directory), contextlib.ExitStack() as stack:
            check_folder(self.directory).mkdir(exist_ok=True)
            sync_folder(self.directory.parent)
            self._check_is_ours()
            stack.enter_context(_lock(self.directory))
            self._manifest = self._read_manifest()
            self._parts.mkdir(exist_ok=True)
            if self._manifest is None:
                self._manifest = {
                    "format": FORMAT,
                    "version": FORMAT_VERSION,
                    "identity": self.identity,
                    "fixed": {},
                }
                self._write_manifest()
            self._remove_unfinished()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info):
        self._stack.close()

    def fixed(self, name, make):
        """
        A value that is chosen once and then kept, such as the size of the parts.

        Parameters
        ----------
        name : str
        make : callable
            Called without arguments if there is no such value yet; returns what JSON
            can hold.

        Returns
        -------
        value : object
        """
        fixed = self._manifest["fixed"]
        if name not in fixed:
            fixed[name] = make()
            self._write_manifest()
        return fixed[name]

    def done(self):
        """Names of the parts that are there, a set; they have not been read yet."""
        return {path.stem for path in self._parts.glob(f"*{_SUFFIX}")}

    def save(self, name, array):
        """
        Store a part; when this returns, it is on disk.

        Parameters
        ----------
        name : str
            Letters, digits, "-" and "_".
        array : array_like
            Of numbers, or text of fixed width.

        Raises
        ------
        OSError
            If it can't be written, for example as the disk is full. What was stored
            before stays as it is.
        """
        stream = io.BytesIO()
        np.save(stream, np.asarray(array), allow_pickle=False)
        payload = stream.getvalue()  # no view: Python 3.12.1 crashes when it frees one
        content = b"".join((_MAGIC, self._checksum(name, payload), payload))
        with _disk_errors(self.directory):
            write_bytes(self._path(name), content, locked=True)

    def load(self, name):
        """
        A part that was stored.

        Parameters
        ----------
        name : str

        Returns
        -------
        array : ndarray or None
            None if there is no such part, or it is damaged.

        Warns
        -----
        UserWarning
            If it is damaged. It is removed then, to be computed again.
        """
        path = self._path(name)
        try:
            return self._read_part(path, name)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            warnings.warn(
                f"{path} is damaged ({error}); it is computed again", stacklevel=2
            )
            _put_away(path)
            return None

    def _read_part(self, path, name):
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("it is not a file")
        content = path.read_bytes()
        if not content.startswith(_MAGIC) or len(content) < _START:
            raise ValueError("it doesn't begin as a part of a checkpoint")
        payload = memoryview(content)[_START:]
        if content[len(_MAGIC) : _START] != self._checksum(name, payload):
            raise ValueError("its checksum is wrong")
        return read_array(io.BytesIO(payload), len(payload))

    def _checksum(self, name, payload):
        """Of a part's content, its name and the computation it belongs to."""
        checksum = hashlib.sha256(
            json.dumps([self.identity, name], sort_keys=True).encode()
        )
        checksum.update(payload)
        return checksum.digest()

    def _path(self, name):
        if not name or not name.replace("-", "").replace("_", "").isalnum():
            raise ValidationError(
                f"must consist of letters, digits, '-' and '_', got {name!r}",
                attr="name",
            )
        return self._parts / f"{name}{_SUFFIX}"

    def _check_is_ours(self):
        """Refuse to put anything into a folder of other files."""
        if self._manifest_path.exists():
            return
        known = ("lock", self._parts.name)
        other = sorted(
            path.name
            for path in self.directory.iterdir()
            if path.name not in known and not is_unfinished(path)
        )
        if other:
            raise ValidationError(
                f"'{self.directory}' is not a checkpoint (it has no manifest.json), "
                f"but holds {other[0]!r}"
                f"{f' and {len(other) - 1} more' if len(other) > 1 else ''}; give a "
                "new folder",
                attr="checkpoint",
            )

    def _read_manifest(self):
        """The manifest, checked, or None if there is none yet."""
        try:
            content = self._manifest_path.read_bytes()
        except FileNotFoundError:
            return None
        fix = f"remove '{self.directory}', or give a new folder"
        with readable(self._manifest_path, "a checkpoint's", fix):
            manifest = json.loads(content.decode("utf-8"))
            if manifest["format"] != FORMAT:
                raise ValueError(f"its format is {manifest['format']!r}")
            version = int(manifest["version"])
            if version != FORMAT_VERSION:
                newer = version > FORMAT_VERSION
                raise DamagedFileError(
                    self._manifest_path,
                    f"has version {version} of the format, and this nengo-permadrop "
                    f"reads version {FORMAT_VERSION}",
                    "install a newer one" if newer else fix,
                )
            if manifest.pop("sha256") != _manifest_checksum(manifest):
                raise ValueError("its checksum is wrong")
            found = manifest["identity"]
        if found != self.identity:
            raise ValidationError(
                f"'{self.directory}' is a checkpoint of something else: "
                f"{_differences(found, self.identity)}; give the same arguments to go "
                f"on, or a new folder to start{_hint(found, self.identity)}",
                attr="checkpoint",
            )
        return manifest

    def _write_manifest(self):
        with _disk_errors(self.directory):
            manifest = {
                **self._manifest,
                "sha256": _manifest_checksum(self._manifest),
            }
            text = json.dumps(manifest, indent=1) + "\n"
            write_text(self._manifest_path, text, locked=True)

    def _remove_unfinished(self):
        """Remove what a process that was killed was writing."""
        for folder in (self.directory, self._parts):
            for path in folder.glob(".*"):
                if is_unfinished(path):
                    path.unlink()


_START = len(_MAGIC) + hashlib.sha256().digest_size


def _manifest_checksum(manifest):
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _put_away(path):
    """Make room for a part where something else is."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    number = 1
    while (place := path.with_name(f"{path.name}.{number}.folder")).exists():
        number += 1
    path.rename(place)  # nobody knows what is in it


def _differences(found, expected):
    """The entries that differ, in words; long ones are hashes."""
    words = []
    for name in sorted({*found, *expected}):
        if found.get(name) != expected.get(name):
            then, now = (_short(entry.get(name)) for entry in (found, expected))
            words.append(f"{name} was {then} and is now {now}")
    return ", ".join(words)


def _hint(found, expected):
    """What may differ without being an argument."""
    if found.get("model") == expected.get("model"):
        return ""
    return (
        ". To a model belong its weights and parameters, and the code and globals of "
        "your own modules that it uses"
    )


def _short(value):
    text = json.dumps(value)
    if len(text) <= 40:
        return text
    if isinstance(value, str):  # with both its quotes
        return json.dumps(f"{value[:12]}...")
    return f"{text[:13]}..."


@contextlib.contextmanager
def _disk_errors(directory):
    try:
        with room_at(directory):
            yield
    except NoRoomError as error:
        raise NoRoomError(
            error.errno,
            f"no room to go on ({os.strerror(error.errno)}); what is finished is kept: "
            "free some space and run the same again",
            str(directory),
        ) from error


@contextlib.contextmanager
def _lock(directory):
    """Keep other processes and threads out of a folder."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold(directory / "lock"))
        except InUseError as error:
            raise ValidationError(
                f"'{directory}' is in use by {error.user}; wait for it to end, or give "
                "another folder",
                attr="checkpoint",
            ) from error
        yield
