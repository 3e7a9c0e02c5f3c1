"""What ``npd.networks`` has: parts of networks that drop units."""

from nengo_permadrop.dropout.gates import DropoutGate
from nengo_permadrop.dropout.readout import DropoutL2, connect_dropped

__all__ = ["DropoutGate", "DropoutL2", "connect_dropped"]
