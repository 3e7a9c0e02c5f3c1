"""The networks of the example data sets, and their training."""

from nengo_permadrop.combo.architecture import combo_small
from nengo_permadrop.training import (
    anneal,
    for_dataset,
    lenet,
    mlp,
    r2,
    train,
    train_for_dataset,
)

__all__ = [
    "anneal",
    "combo_small",
    "for_dataset",
    "lenet",
    "mlp",
    "r2",
    "train",
    "train_for_dataset",
]
