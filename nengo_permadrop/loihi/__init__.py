"""Converted networks on Intel's Loihi chip, or nengo-loihi's emulator of it."""

from nengo_permadrop.loihi.resources import Resources, resources

__all__ = ["Resources", "resources"]
