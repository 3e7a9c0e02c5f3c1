"""
What permanent dropout is in Nengo: the transform, its builder, masks, gates and seeds.

Masks are functions of seeds alone (`masks`, `seeds`), new masks come at times that
`clock` tells, and a network drops units by weights (`transforms`, `builder`) or by
inhibition (`gates`). A new way to drop units goes here, with a test that all backends
draw the same masks for it.
"""

from nengo_permadrop.dropout.gates import DropoutGate
from nengo_permadrop.dropout.transforms import PermanentDropout

__all__ = ["DropoutGate", "PermanentDropout"]
