"""The vectorised steps of Nengo's operators; importing registers them."""

from nengo_permadrop.batched.steps import core, learning, neurons, processes, transforms

__all__ = ["core", "learning", "neurons", "processes", "transforms"]
