"""Writing NumPy's ``.npz`` archives."""

import numpy as np

from nengo_permadrop.files import atomic_path


def save_npz(path, compressed=False, **arrays):
    """
    Write arrays to an ``.npz`` file, whole or not at all.

    Parameters
    ----------
    path : str or path-like
    compressed : bool, optional
    **arrays
        By name.

    Raises
    ------
    `.NoRoomError`
        If the disk is full. (`zipfile` would tell of it twice, the second time on
        standard error, when its half archive can't be closed.)
    """
    save = np.savez_compressed if compressed else np.savez
    with atomic_path(path) as temporary:
        with open(temporary, "wb", buffering=0) as file:
            stream = _UntilError(file)
            save(stream, **arrays)
            if stream.error is not None:
                raise stream.error


class _UntilError:
    """A file that takes everything after its first error, and keeps that."""

    def __init__(self, file):
        self.file = file
        self.error = None

    def write(self, data):
        """Write all of the data."""
        data = memoryview(data).cast("B")
        n_bytes = len(data)
        try:
            while len(data) > 0 and self.error is None:
                data = data[self.file.write(data) :]
        except OSError as error:
            self.error = error
        return n_bytes

    def read(self, size=-1):
        """For NumPy, which knows files by this."""
        return self.file.read(size)

    def tell(self):
        """Where the next byte is written."""
        return self.file.tell()

    def seek(self, offset, whence=0):
        """Go elsewhere."""
        return self.file.seek(offset, whence)

    def flush(self):
        """Nothing is buffered."""
