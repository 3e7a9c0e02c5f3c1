"""
CANDLE's Combo problem: growth of cancer cell lines under pairs of drugs.

Its files are read in the formats in which the benchmark (``Pilot1/Combo`` of
ECP-CANDLE/Benchmarks) serves them; `generate_files` writes such files of any size.

>>> from nengo_permadrop.datasets.combo import features_path
>>> features_path("saved.uq.model.h5").name
'saved.uq.features.npz'
"""

from nengo_permadrop.datasets.combo.dataset import (
    ComboDataset,
    combo,
    training_scaling,
)
from nengo_permadrop.datasets.combo.files import (
    read_drug_set,
    read_response,
    read_sample_set,
    read_training_cells,
    read_training_drugs,
)
from nengo_permadrop.datasets.combo.generator import generate_files
from nengo_permadrop.datasets.combo.rows import ComboRows, ComboTables
from nengo_permadrop.datasets.combo.scaling import FeatureScaling, features_path
from nengo_permadrop.datasets.combo.tables import DataFileError, FeatureTable

__all__ = [
    "ComboDataset",
    "ComboRows",
    "ComboTables",
    "DataFileError",
    "FeatureScaling",
    "FeatureTable",
    "combo",
    "features_path",
    "generate_files",
    "read_drug_set",
    "read_response",
    "read_sample_set",
    "read_training_cells",
    "read_training_drugs",
    "training_scaling",
]
