"""
The process that reads HDF5 files of weights, for `.model_hdf5`.

On a damaged file the HDF5 library may take gigabytes, for instance for a string whose
length it takes as the file says, or not come back. So a process of its own reads it,
with limits to its memory and time, and copies array by array, after each was checked,
to a new file. Nothing of the package is imported, to start quickly.

    python -P model_reader.py FILE COPY

prints one JSON object: "config" (str or null), "older" (bool) and "shapes"
({path: list of int}) of what is in COPY then; or "damaged" or "failed", what was found.

    python -P model_reader.py FILE

prints one line of JSON: "config", "older", "layers" (of the older format, [name, paths
of its weights] each) and "arrays" ({path: [shape, dtype]}), or "damaged"; then it reads
one line of JSON, a list of paths, and writes the values of these arrays, one after the
other, without anything between them. If some are not as they should be, it ends early,
with one line of JSON as above in stderr.
"""

import contextlib
import itertools
import json
import math
import os
import re
import sys
import time

import h5py
import numpy as np

# Arrays may take this much memory, in bytes, whatever their size in the file ...
FREE_MEMORY = 2**26
# ... and more only if they are no more than so many times as large as in the file.
# Weights don't compress that well; what does is made to fill the memory.
MAX_EXPANSION = 20

# Of the process, after its modules are imported: bytes, seconds, and bytes per second
WORKING_MEMORY = 2**28
STREAM_MEMORY = 2**27
CPU_SECONDS = 2
CPU_SPEED = 2e7

# deflate, shuffle, fletcher32, szip, nbit, scaleoffset and h5py's own lzf: HDF5 looks
# for others in the folders of plugins and runs them
_FILTERS = {1, 2, 3, 4, 5, 6, 32000}

# Bytes of an array that are read at a time where its values are handed on
_PIECE = 2**22

# Attributes of the older format. Long lists of names are divided: layer_names0, ...
_NAMES = re.compile(r"(layer|weight)_names\d*|backend|keras_version")

# Of compiled models and of layers that draw random numbers: not weights
_NOT_WEIGHTS = ("optimizer", "metrics")
_STATE = "seed_generator"


class DamagedError(Exception):
    """What was found in a file that can't be read."""


@contextlib.contextmanager
def _reading():
    """Within it, whatever HDF5 and NumPy raise, of many types, is a DamagedError."""
    try:
        yield
    except (DamagedError, MemoryError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise DamagedError(
            f"its HDF5 is damaged ({type(error).__name__}: {text})"
        ) from error


class WeightsFile:
    """
    An HDF5 file of weights, or of a whole model.

    Parameters
    ----------
    path : str
        The file.

    Attributes
    ----------
    is_older : bool
        Whether its weights are listed by attributes, as in ``.h5`` files, and not in
        groups named "vars" as since Keras 2.12.
    config, version : str or None
        What describes the model, and of the Keras that wrote it.
    """

    def __init__(self, path):
        self._size = os.path.getsize(path)
        self._stored = self._declared = 0
        self._seen = set()
        with _reading():
            try:
                self._file = h5py.File(path, "r")
            except OSError as error:
                raise DamagedError(f"not an HDF5 file ({error})") from error
            self._root = self._file
            whole = _link(self._file, "model_weights") is not None
            if whole:
                self._root = self._child(self._file, "model_weights", h5py.Group)
            self.is_older = whole or any(
                name.startswith("layer_names") for name in self._file.attrs
            )
            self.config = self._said("model_config")
            self.version = self._said("keras_version")

    def _said(self, name):
        found = name in self._file.attrs
        return _text(self._attribute(self._file, name)) if found else None

    def copy(self):
        """
        Its weights as a new file, in the same format.

        Returns
        -------
        content : bytes
            Of the new file. It is made in memory, because HDF5 doesn't survive a full
            disk.
        shapes : {str: tuple of int}
            Of each array of weights, by its path.

        Raises
        ------
        DamagedError
            If a value is absent or not finite, if the file is damaged, or if it leads
            to others.
        """
        copy = self._copy_older if self.is_older else self._copy_newer
        with (
            _reading(),
            h5py.File("copy", "w", driver="core", backing_store=False) as file,
        ):
            target = file
            if self.config is not None:
                file.attrs["model_config"] = self.config
                target = file.create_group("model_weights")
            shapes = dict(copy(target))
            file.flush()
            return file.id.get_file_image(), shapes

    def listing(self):
        """
        What is in it, checked like what `copy` copies, without reading any values.

        Returns
        -------
        arrays : {str: h5py.Dataset}
            By path.
        layers : list of (str, list of str)
            Of the older format: each layer's name, and the paths of its weights.
        largest : int
            Bytes of the largest chunk.
        """
        arrays, layers = {}, []
        with _reading():
            if self.is_older:
                for layer in self._listed(self._root, "layer_names"):
                    source = self._child(self._root, layer, h5py.Group)
                    names = self._listed(source, "weight_names")
                    paths = [f"{layer}/{name}" for name in names]
                    layers.append((layer, paths))
                    for path, name in zip(paths, names):
                        arrays[path] = self._child(source, name, h5py.Dataset)
            else:
                arrays = {
                    where: item
                    for where, item in self._newer()
                    if isinstance(item, h5py.Dataset) and _STATE not in where
                }
            largest = 0
            for dataset in arrays.values():
                self._check_storage(dataset)
                if dataset.chunks is not None:
                    chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize
                    largest = max(largest, chunk)
        return arrays, layers, largest

    def pieces(self, dataset):
        """
        The values of a dataset, checked, some rows at a time.

        Yields
        ------
        values : ndarray
            Little-endian; float32 for those of half precision.
        """
        dtype = np.dtype(_streamed(dataset.dtype))
        row = math.prod(dataset.shape[1:]) * dtype.itemsize
        rows = max(1, _PIECE // max(1, row))
        if dataset.chunks is not None:  # so that none is unpacked twice
            rows = dataset.chunks[0] * max(1, rows // dataset.chunks[0])
        with _reading():
            if dataset.ndim == 0:
                yield self._finite(dataset, dataset[()]).astype(dtype)
                return
            for start in range(0, len(dataset), rows):
                values = dataset[start : start + rows]
                if values.dtype.kind == "V":  # bfloat16: the upper half of float32
                    words = values.view(np.uint16).astype(np.uint32) << 16
                    values = words.view(np.float32)
                yield self._finite(dataset, values).astype(dtype)

    def _copy_older(self, target):
        self._copy_names(self._root, target)
        layers = _names(target, "layer_names")
        if _link(self._root, "top_level_model_weights") is not None:
            layers = [*layers, "top_level_model_weights"]
        for layer in layers:
            source = self._child(self._root, layer, h5py.Group)
            self._copy_names(source, target.create_group(layer))
            for name in _names(target[layer], "weight_names"):
                dataset = self._child(source, name, h5py.Dataset)
                target[layer][name] = self._array(dataset)
                yield f"{layer}/{name}", dataset.shape

    def _newer(self):
        """All groups and datasets of the newer format, by path."""
        groups = [(self._root, "")]
        while groups:
            group, path = groups.pop()
            for name in group:
                if not path and name.startswith(_NOT_WEIGHTS):
                    continue
                item, where = self._child(group, name), f"{path}/{name}"
                yield where, item
                if isinstance(item, h5py.Group):
                    groups.append((item, where))

    def _copy_newer(self, target):
        for where, item in self._newer():
            if isinstance(item, h5py.Group):
                target.create_group(where)
            elif isinstance(item, h5py.Dataset):
                target[where] = self._array(item)
                if "dtype" in item.attrs:  # bfloat16, which HDF5 doesn't know
                    dtype = _text(self._attribute(item, "dtype"))
                    target[where].attrs["dtype"] = dtype
                if _STATE not in where:
                    yield where, item.shape

    def _listed(self, owner, kind):
        """Names in an attribute that is perhaps divided, in order."""
        parts = (f"{kind}{number}" for number in itertools.count())
        present = itertools.takewhile(owner.attrs.__contains__, parts)
        names = [kind] if kind in owner.attrs else list(present)
        texts = []
        for name in names:
            texts.extend(map(_text, np.ravel(self._attribute(owner, name))))
        return texts

    def _copy_names(self, source, target):
        for name in source.attrs:
            if not _NAMES.fullmatch(name):
                continue
            value = self._attribute(source, name)
            if np.ndim(value) == 0:
                target.attrs[name] = _text(value)
            else:
                texts = [_text(item) for item in np.ravel(value)]
                dtype = h5py.string_dtype()
                target.attrs.create(name, np.array(texts, dtype=object), dtype=dtype)

    def _attribute(self, owner, name):
        attribute = h5py.h5a.open(owner.id, name.encode())
        n_values = attribute.get_space().get_simple_extent_npoints()
        if n_values * attribute.get_type().get_size() > self._size:
            raise DamagedError(f"attribute {name!r} is larger than the file")
        return owner.attrs[name]

    def _child(self, group, path, kind=object):
        """What is at a path, if no link leads out of the file to it."""
        parts = path.split("/")
        if any(part in ("", ".") for part in parts):
            raise DamagedError(f"{path!r} is not a name of something in it")
        for part in parts:
            link = _link(group, part)
            if link is None:
                raise DamagedError(f"it has no {path!r}")
            if link != h5py.h5l.TYPE_HARD:
                raise DamagedError(f"{path!r} is a link to something else")
            group = group[part]
            if part is not parts[-1] and not isinstance(group, h5py.Group):
                raise DamagedError(f"{part!r} of {path!r} is not a group")
        if not isinstance(group, kind):
            raise DamagedError(f"{path!r} is not a {kind.__name__.lower()}")
        address = h5py.h5o.get_info(group.id).addr
        if address in self._seen:  # a loop, or many names for one array
            raise DamagedError(f"{path!r} is in it twice")
        self._seen.add(address)
        return group

    def _array(self, dataset):
        """The values of a dataset, of which the file has as many as it declares."""
        self._check_storage(dataset)
        return self._finite(dataset, dataset[()])

    @staticmethod
    def _finite(dataset, values):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise DamagedError(
                f"{dataset.name!r} has weights that are not finite (NaN or infinity)"
            )
        return values

    def _check_storage(self, dataset):
        name = dataset.name
        if dataset.external or dataset.is_virtual:  # before its shape, which opens them
            raise DamagedError(f"the values of {name!r} are in other files")
        dtype, shape = dataset.dtype, dataset.shape
        bfloat16 = dtype.kind == "V" and dtype.names is None and dtype.itemsize == 2
        if shape is None or not (dtype.kind in "biuf" or bfloat16):
            raise DamagedError(f"{name!r} is not an array of numbers ({dtype})")
        plist = dataset.id.get_create_plist()
        filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
        if filters - _FILTERS:
            raise DamagedError(f"{name!r} is compressed by an unknown filter")
        declared = math.prod(shape) * dtype.itemsize
        stored = dataset.id.get_storage_size()
        self._stored += stored
        self._declared += declared
        if self._stored > self._size:
            raise DamagedError(f"{name!r} is larger than the file")
        if dataset.chunks is None:
            whole = stored == declared
        else:
            n_chunks = math.prod(-(-n // m) for n, m in zip(shape, dataset.chunks))
            whole = dataset.id.get_num_chunks() == n_chunks
            chunk = math.prod(dataset.chunks) * dtype.itemsize
            declared = max(self._declared, chunk)
        if not whole:
            raise DamagedError(
                f"values of {name!r} are absent: {stored} of {declared} bytes are there"
            )
        most = max(FREE_MEMORY, MAX_EXPANSION * self._stored)
        if max(declared, self._declared) > most:
            raise DamagedError(
                f"{name!r} would take {declared} bytes of memory, far more than its "
                f"{stored} bytes in the file"
            )


def _link(group, name):
    """Type of a link, which is not followed (as h5py's ``in`` does); None if absent."""
    links, name = group.id.links, name.encode()
    return links.get_info(name).type if links.exists(name) else None


def _names(group, kind):
    """Names in a list that is perhaps divided, in order, of our own copy."""
    if kind in group.attrs:
        return list(group.attrs[kind])
    parts = []
    while f"{kind}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{kind}{len(parts)}"])
    return [name for part in parts for name in part]


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def _streamed(dtype):
    """What the values of a type are handed on as."""
    if dtype.kind == "V" or dtype == np.float16:
        return "<f4"
    return dtype.newbyteorder("<").str


def main(path, copy):
    """Copy what one file holds, and print what was found."""
    _limit(WORKING_MEMORY + 3 * max(FREE_MEMORY, MAX_EXPANSION * os.path.getsize(path)))
    try:
        file = WeightsFile(path)
        content, shapes = file.copy()
        with open(copy, "wb") as stream:
            stream.write(content)
        found = {"config": file.config, "older": file.is_older, "shapes": shapes}
    except DamagedError as error:
        found = {"damaged": str(error)}
    except MemoryError:
        found = {"damaged": "it would take far more memory than its size"}
    except OSError as error:
        found = {"failed": str(error)}
    print(json.dumps(found))


def stream(path):
    """Hand on what one file holds, as it is asked for."""
    _limit(STREAM_MEMORY)
    try:
        file = WeightsFile(path)
        arrays, layers, largest = file.listing()
        header = {
            "config": file.config,
            "version": file.version,
            "older": file.is_older,
            "layers": layers,
            "arrays": {
                where: [dataset.shape, _streamed(dataset.dtype)]
                for where, dataset in arrays.items()
            },
        }
        _print(header, sys.stdout)
        _limit(STREAM_MEMORY + 3 * largest)
        for where in json.loads(sys.stdin.readline() or "[]"):
            for values in file.pieces(arrays[where]):
                sys.stdout.buffer.write(np.ascontiguousarray(values).data)
        sys.stdout.buffer.flush()
    except DamagedError as error:
        _print({"damaged": str(error)}, sys.stderr)
    except MemoryError:
        _print({"damaged": "it would take far more memory than its size"}, sys.stderr)


def _print(found, stream):
    print(json.dumps(found), file=stream, flush=True)


def _limit(memory):
    """Limit memory, beside what is taken, and time; if not, the checks have to do."""
    try:
        import resource
    except ImportError:
        return
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/statm", encoding="ascii") as statm:
            taken = int(statm.read().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (taken + memory, hard))
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        more = CPU_SECONDS + os.path.getsize(sys.argv[1]) / CPU_SPEED
        seconds = math.ceil(time.process_time() + more)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))


if __name__ == "__main__":
    (main if len(sys.argv) > 2 else stream)(*sys.argv[1:])
