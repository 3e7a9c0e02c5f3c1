"""Keras models with permanent dropout as Nengo networks."""

from nengo_permadrop.converter.errors import ConversionError
from nengo_permadrop.converter.network import Converter

__all__ = ["ConversionError", "Converter"]
