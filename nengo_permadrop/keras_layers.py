"""
SoftLIF and PermanentDropout as Keras layers, to train what will be converted.

Importing this module registers the layers with Keras, so that models that contain them
load without ``custom_objects``; see `nengo_permadrop.sources.keras.layers`.
"""

from nengo_permadrop.sources.keras.layers import (
    PermanentDropout,
    SoftLIF,
    keras,
    softlif,
    softlif_config,
    softlif_rate,
)

__all__ = [
    "PermanentDropout",
    "SoftLIF",
    "keras",
    "softlif",
    "softlif_config",
    "softlif_rate",
]
