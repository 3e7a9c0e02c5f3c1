"""
CANDLE's Combo problem: growth of cancer cell lines under pairs of drugs.

Its files are read in the formats in which the benchmark (``Pilot1/Combo`` of
ECP-CANDLE/Benchmarks) serves them; `generate_files` writes such files of any size.

>>> from nengo_permadrop.combo.data import features_path
>>> features_path("saved.uq.model.h5").name
'saved.uq.features.npz'
"""

from nengo_permadrop.combo.data.files import (
    read_drug_set,
    read_response,
    read_sample_set,
    read_training_cells,
    read_training_drugs,
)
from nengo_permadrop.combo.data.generator import generate_files
from nengo_permadrop.combo.data.reading import DataFileError, FeatureTable
from nengo_permadrop.combo.data.rows import ComboRows, ComboTables
from nengo_permadrop.combo.data.scaling import FeatureScaling, features_path

__all__ = [
    "ComboRows",
    "ComboTables",
    "DataFileError",
    "FeatureScaling",
    "FeatureTable",
    "features_path",
    "generate_files",
    "read_drug_set",
    "read_response",
    "read_sample_set",
    "read_training_cells",
    "read_training_drugs",
]
