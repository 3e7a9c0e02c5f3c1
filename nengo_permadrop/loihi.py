"""Converted networks on Intel's Loihi chip, or nengo-loihi's emulator of it."""

from nengo_permadrop.accounting.chip import resources
from nengo_permadrop.targets.loihi.cores import Resources

__all__ = ["Resources", "resources"]
