"""
CANDLE's Combo network, its training, and inference with it.

>>> from nengo_permadrop import combo
>>> kmodel = combo.model(n_genes=6, n_descriptors=4, dense=(5,))
>>> [tensor.name for tensor in kmodel.inputs]
['cell', 'drug1', 'drug2']
"""

from nengo_permadrop.combo.architecture import model
from nengo_permadrop.combo.training import train

__all__ = ["model", "train"]
