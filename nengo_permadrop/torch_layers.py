"""
SoftLIF and PermanentDropout as PyTorch modules, to train what will be converted.

See `nengo_permadrop.sources.torch.layers`.
"""

from nengo_permadrop.sources.torch.layers import (
    PermanentDropout,
    SoftLIF,
    set_gamma,
    softlif,
)
from nengo_permadrop.sources.torch.rate_curves import softlif_rate

__all__ = ["PermanentDropout", "SoftLIF", "set_gamma", "softlif", "softlif_rate"]
