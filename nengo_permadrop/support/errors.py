"""Errors of the package."""

from nengo.exceptions import ValidationError


class DamagedFileError(ValidationError):
    """
    A file that can't be read: damaged, cut off, or of another kind.

    Parameters
    ----------
    path : str or path-like
        The file.
    found : str
        What was found, in words.
    fix : str
        What to do about it.

    Attributes
    ----------
    path : str
    """

    def __init__(self, path, found, fix):
        self.path = str(path)
        super().__init__(f"{path}: {found}; {fix}", attr="path")
