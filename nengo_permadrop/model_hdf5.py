"""
HDF5 files of weights, read without trust.

Keras is never given a file that others have made: what it needs is copied to a new one,
array by array, after each was checked. So it can't be led to other files by links, to
memory that the file only declares, or to a second content of the same file.
"""

import contextlib
import math
import re

import numpy as np

from nengo_permadrop.errors import DamagedFileError
from nengo_permadrop.optional import require

# Arrays may take this much memory, in bytes, whatever their size in the file ...
FREE_MEMORY = 2**26
# ... and more only if they are no more than so many times as large as in the file.
# Weights don't compress that well; what does is made to fill the memory.
MAX_EXPANSION = 20

# deflate, shuffle, fletcher32, szip, nbit, scaleoffset and h5py's own lzf: HDF5 looks
# for others in the folders of plugins and runs them
_FILTERS = {1, 2, 3, 4, 5, 6, 32000}

# Attributes of the older format. Long lists of names are divided: layer_names0, ...
_NAMES = re.compile(r"(layer|weight)_names\d*|backend|keras_version")

# Of compiled models and of layers that draw random numbers: not weights
_NOT_WEIGHTS = ("optimizer", "metrics")
_STATE = "seed_generator"


class WeightsFile:
    """
    An HDF5 file that is open for reading.

    Parameters
    ----------
    path : path-like
        The file.
    name : path-like, optional
        What messages call it.

    Attributes
    ----------
    is_older : bool
        Whether its weights are listed by attributes, as in ``.h5`` files, and not by
        groups named "vars" as since Keras 2.12.
    """

    def __init__(self, path, name=None):
        self.name = path if name is None else name
        self._h5py = require("h5py")
        self._size = path.stat().st_size
        self._stored = self._declared = 0
        self._seen = set()
        with self.reading():
            try:
                self._file = self._h5py.File(path, "r")
            except OSError as error:
                raise self.damaged(f"not an HDF5 file ({error})") from error
            whole = "model_weights" in self._file
            self._root = self._file
            if whole:
                self._root = self._child(self._file, "model_weights", self._h5py.Group)
            self.is_older = whole or any(
                name.startswith("layer_names") for name in self._file.attrs
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def damaged(self, found):
        """The error to raise for what was found."""
        return DamagedFileError(
            self.name, found, "save the model again, or take another copy of the file"
        )

    @contextlib.contextmanager
    def reading(self):
        """Within it, whatever HDF5 raises is a `.DamagedFileError`."""
        try:
            yield
        except (DamagedFileError, MemoryError):
            raise
        except Exception as error:  # h5py's and NumPy's are of many types
            text = " ".join(str(error).split())
            raise self.damaged(
                f"its HDF5 is damaged ({type(error).__name__}: {text})"
            ) from error

    def model_config(self):
        """The attribute that describes the model, as text; None if there is none."""
        with self.reading():
            if "model_config" not in self._file.attrs:
                return None
            return _text(self._attribute(self._file, "model_config"))

    def copy(self, **attributes):
        """
        Its weights as a new file, in the same format.

        Parameters
        ----------
        **attributes
            Of the new file, to make a model of it.

        Returns
        -------
        content : bytes
            Of the new file. It is made in memory, because HDF5 doesn't survive a full
            disk.
        shapes : {str: tuple of int}
            Of each array of weights, by its path.

        Raises
        ------
        `.DamagedFileError`
            If a value is absent or not finite, if the file is damaged, or if it leads
            to others.
        """
        copy = self._copy_older if self.is_older else self._copy_newer
        with (
            self.reading(),
            self._h5py.File("copy", "w", driver="core", backing_store=False) as file,
        ):
            file.attrs.update(attributes)
            target = file.create_group("model_weights") if attributes else file
            shapes = dict(copy(target))
            file.flush()
            return file.id.get_file_image(), shapes

    def _copy_older(self, target):
        self._copy_names(self._root, target)
        layers = _names(target, "layer_names")
        if "top_level_model_weights" in self._root:
            layers = [*layers, "top_level_model_weights"]
        for layer in layers:
            source = self._child(self._root, layer, self._h5py.Group)
            self._copy_names(source, target.create_group(layer))
            for name in _names(target[layer], "weight_names"):
                dataset = self._child(source, name, self._h5py.Dataset)
                target[layer][name] = self._array(dataset)
                yield f"{layer}/{name}", dataset.shape

    def _copy_newer(self, target):
        groups = [(self._root, "")]
        while groups:
            group, path = groups.pop()
            for name in group:
                if not path and name.startswith(_NOT_WEIGHTS):
                    continue
                item, where = self._child(group, name), f"{path}/{name}"
                if isinstance(item, self._h5py.Group):
                    target.create_group(where)
                    groups.append((item, where))
                elif isinstance(item, self._h5py.Dataset):
                    target[where] = self._array(item)
                    if "dtype" in item.attrs:  # bfloat16, which HDF5 doesn't know
                        dtype = _text(self._attribute(item, "dtype"))
                        target[where].attrs["dtype"] = dtype
                    if _STATE not in where:
                        yield where, item.shape

    def _copy_names(self, source, target):
        for name in source.attrs:
            if not _NAMES.fullmatch(name):
                continue
            value = self._attribute(source, name)
            if np.ndim(value) == 0:
                target.attrs[name] = _text(value)
            else:
                texts = [_text(item) for item in np.ravel(value)]
                dtype = self._h5py.string_dtype()
                target.attrs.create(name, np.array(texts, dtype=object), dtype=dtype)

    def _attribute(self, owner, name):
        attribute = self._h5py.h5a.open(owner.id, name.encode())
        n_values = attribute.get_space().get_simple_extent_npoints()
        if n_values * attribute.get_type().get_size() > self._size:
            raise self.damaged(f"attribute '{name}' is larger than the file")
        return owner.attrs[name]

    def _child(self, group, path, kind=object):
        """What is at a path, if no link leads out of the file to it."""
        parts = path.split("/")
        if any(part in ("", ".") for part in parts):
            raise self.damaged(f"'{path}' is not a name of something in it")
        for part in parts:
            link = group.get(part, getlink=True)
            if link is None:
                raise self.damaged(f"it has no '{path}'")
            if not isinstance(link, self._h5py.HardLink):
                raise self.damaged(
                    f"'{path}' is a link ({type(link).__name__}) to something else"
                )
            group = group[part]
            if part is not parts[-1] and not isinstance(group, self._h5py.Group):
                raise self.damaged(f"'{part}' of '{path}' is not a group")
        if not isinstance(group, kind):
            raise self.damaged(f"'{path}' is not a {kind.__name__.lower()}")
        address = self._h5py.h5o.get_info(group.id).addr
        if address in self._seen:  # a loop, or many names for one array
            raise self.damaged(f"'{path}' is in it twice")
        self._seen.add(address)
        return group

    def _array(self, dataset):
        """The values of a dataset, of which the file has as many as it declares."""
        self._check_storage(dataset)
        values = dataset[()]
        if dataset.dtype.kind == "f" and not np.isfinite(values).all():
            raise self.damaged(
                f"'{dataset.name}' has weights that are not finite (NaN or infinity)"
            )
        return values

    def _check_storage(self, dataset):
        name, dtype, shape = dataset.name, dataset.dtype, dataset.shape
        if dataset.external or dataset.is_virtual:
            raise self.damaged(f"the values of '{name}' are in other files")
        bfloat16 = dtype.kind == "V" and dtype.names is None and dtype.itemsize == 2
        if shape is None or not (dtype.kind in "biuf" or bfloat16):
            raise self.damaged(f"'{name}' is not an array of numbers ({dtype})")
        plist = dataset.id.get_create_plist()
        filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
        if filters - _FILTERS:
            raise self.damaged(f"'{name}' is compressed by an unknown filter")
        declared = math.prod(shape) * dtype.itemsize
        stored = dataset.id.get_storage_size()
        self._stored += stored
        self._declared += declared
        if self._stored > self._size:
            raise self.damaged(f"'{name}' is larger than the file")
        if dataset.chunks is None:
            whole = stored == declared
        else:
            n_chunks = math.prod(
                -(-n // size) for n, size in zip(shape, dataset.chunks)
            )
            whole = dataset.id.get_num_chunks() == n_chunks
            chunk = math.prod(dataset.chunks) * dtype.itemsize
            declared = max(self._declared, chunk)
        if not whole:
            raise self.damaged(
                f"values of '{name}' are absent: {stored} of {declared} "
                "bytes are there"
            )
        if max(declared, self._declared) > max(
            FREE_MEMORY, MAX_EXPANSION * self._stored
        ):
            raise self.damaged(
                f"'{name}' would take {declared} bytes of memory, far more than its "
                f"{stored} bytes in the file"
            )


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
