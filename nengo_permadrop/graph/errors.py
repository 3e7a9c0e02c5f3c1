"""The error that says why a model can't be converted."""

from nengo.exceptions import NengoException


class ConversionError(NengoException, ValueError):
    """
    A model can't be converted, or its conversion is not faithful.

    Parameters
    ----------
    layer : str
        The layer (or other part of the model) that is in the way.
    found : str
        What is not supported.
    fix : str
        What to do about it.
    """

    def __init__(self, layer, found, fix):
        super().__init__(layer, found, fix)
        self.layer = layer
        self.found = found
        self.fix = fix

    def __str__(self):
        return f"{self.layer}: {self.found}. {self.fix}"
