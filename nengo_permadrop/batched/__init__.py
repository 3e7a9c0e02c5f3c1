"""A Nengo backend that steps many replicas of a network together."""

from nengo_permadrop.batched.simulator import Simulator
from nengo_permadrop.batched.steps.neurons import register_elementwise
from nengo_permadrop.batched.steps.registry import register_step

__all__ = ["Simulator", "register_elementwise", "register_step"]
