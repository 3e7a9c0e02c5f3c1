"""
Neuron types: SoftLIF, Loihi's rate curves, their spiking twins, and activations.

A new rate type is a module of its own; its spiking twin is registered with
`register_spiking`, and an activation that it computes with
`nengo_permadrop.neurons.activations.register_activation`.
"""

from nengo_permadrop.neurons.loihi import LoihiLIFRate
from nengo_permadrop.neurons.softlif import SoftLIF
from nengo_permadrop.neurons.spiking_twins import register_spiking, spiking

__all__ = ["LoihiLIFRate", "SoftLIF", "register_spiking", "spiking"]
