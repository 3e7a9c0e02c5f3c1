"""
CANDLE's Combo network: growth of cancer cell lines under pairs of drugs.

>>> from nengo_permadrop import combo
>>> kmodel = combo.model(n_genes=6, n_descriptors=4, dense=(5, 5), dense_feature_layers=(3,))
>>> kmodel.input_names
['cell', 'drug1', 'drug2']
"""

from nengo_permadrop.combo.model import model
from nengo_permadrop.combo.training import train

__all__ = ["model", "train"]
