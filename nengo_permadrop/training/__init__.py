"""
Models and fitting of the example data sets.

`models` builds networks, `fit` trains and anneals them, `evaluation` scores them. A
data set with a network or training of its own brings a `.Recipe` along; see
`nengo_permadrop.datasets`.
"""

from nengo_permadrop.training.fit import anneal, r2, train, train_for_dataset
from nengo_permadrop.training.models import for_dataset, lenet, mlp

__all__ = [
    "anneal",
    "for_dataset",
    "lenet",
    "mlp",
    "r2",
    "train",
    "train_for_dataset",
]
