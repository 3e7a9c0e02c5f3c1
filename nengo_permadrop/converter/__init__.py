"""
The Converter: the neutral graph as Nengo objects, for a target.

`build` makes the objects, `timing` tells how long the network takes to answer, `verify`
compares it with its source. Nothing here depends on where a model came from; a new kind
of call in the graph gets its Nengo objects here.
"""

from nengo_permadrop.converter.network import Converter
from nengo_permadrop.graph.errors import ConversionError

__all__ = ["ConversionError", "Converter"]
