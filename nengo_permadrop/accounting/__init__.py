"""
What a predictive distribution costs in energy.

`counting` counts what neurons do in a run, `classical` what the classical network
would do instead, `devices` holds published figures, and `estimate` multiplies them.
"""

from nengo_permadrop.accounting.devices import DEVICES, Device
from nengo_permadrop.accounting.estimate import energy
from nengo_permadrop.accounting.result import Energy

__all__ = ["DEVICES", "Device", "Energy", "energy"]
