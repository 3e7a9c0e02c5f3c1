"""CANDLE's Combo problem, read from its files, as a data set to train on."""

import logging
from dataclasses import dataclass

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.combo.architecture import model, network_for
from nengo_permadrop.combo.data.files import (
    read_response,
    read_training_cells,
    read_training_drugs,
    rnaseq_file,
)
from nengo_permadrop.combo.data.rows import ComboRows, ComboTables
from nengo_permadrop.combo.data.scaling import FeatureScaling, expression_scaling
from nengo_permadrop.combo.saved import TrainingFiles
from nengo_permadrop.combo.training import train
from nengo_permadrop.datasets.base import Dataset, Recipe, random_parts

logger = logging.getLogger(__name__)


def training_scaling(
    data_dir, scaling="std", use_landmark_genes=False, preprocess_rnaseq="none"
):
    """
    Read the features of the training files, and fit how they are scaled.

    Parameters
    ----------
    data_dir : str or path-like
        Folder with CANDLE's files, or generated ones.
    scaling : {"std", "maxabs", "minmax", "none"}, optional
        As in `.FeatureScaling.fit`. Expression that has been preprocessed is not scaled
        again, as in CANDLE.
    use_landmark_genes, preprocess_rnaseq
        Which expression file, as in `.files.rnaseq_file`.

    Returns
    -------
    features : `.FeatureScaling`
    cells, drugs : `.FeatureTable`
        What it was fitted on, as read.
    """
    cells = read_training_cells(data_dir, use_landmark_genes, preprocess_rnaseq)
    drugs = read_training_drugs(data_dir)
    features = FeatureScaling.fit(
        cells,
        drugs,
        scaling=scaling,
        cell_scaling=expression_scaling(scaling, preprocess_rnaseq),
        rnaseq=rnaseq_file(use_landmark_genes, preprocess_rnaseq),
    )
    return features, cells, drugs


@dataclass(frozen=True, eq=False)
class ComboDataset(Dataset):
    """
    A `.Dataset` whose parts are `.ComboRows`.

    Attributes
    ----------
    features : `.FeatureScaling`
        To be saved beside a model that is trained on it.
    """

    features: FeatureScaling


def combo(
    seed=0,
    data_dir=None,
    validation_split=0.2,
    n_test=1000,
    scaling="std",
    use_landmark_genes=False,
    preprocess_rnaseq="none",
):
    """
    Growth of cell lines under pairs of drugs, from CANDLE's files.

    Three inputs, "cell", "drug1" and "drug2". The parts are `.ComboRows`, which gather
    the features of a batch when they are asked for. The target is not standardised:
    it is growth as a fraction, as CANDLE's networks predict it.

    Parameters
    ----------
    seed : int, optional
        Decides which rows are for training, validation and test.
    data_dir : str or path-like
        Folder with CANDLE's files, or with those that ``nengo-permadrop combo-data``
        writes.
    validation_split : float, optional
        Fraction of all rows for validation, chosen at random, as in CANDLE.
    n_test : int, optional
        Rows for the test, which CANDLE doesn't have; the others are for training.
    scaling, use_landmark_genes, preprocess_rnaseq
        As in `training_scaling`.

    Returns
    -------
    dataset : `.ComboDataset`

    Raises
    ------
    nengo.exceptions.ValidationError
        If an option is out of range, or no row is left to train on.
    FileNotFoundError
        If a file is missing.
    `.DataFileError`
        If a file isn't as it should be; it names file, line and column.
    """
    if data_dir is None:
        raise ValidationError(
            "the data set 'combo' is read from files; give the folder that they are in "
            "(data_dir=, --data-dir). 'nengo-permadrop combo-data -o DIR' writes such "
            "files",
            attr="data_dir",
        )
    if not 0 < validation_split < 1:
        raise ValidationError(
            f"must be between 0 and 1, got {validation_split}", attr="validation_split"
        )
    features, cells, drugs = training_scaling(
        data_dir, scaling, use_landmark_genes, preprocess_rnaseq
    )
    tables = ComboTables(
        features.transform_cells(cells),
        features.transform_drugs(drugs),
        cells.ids,
        drugs.ids,
    )
    response = read_response(data_dir)
    rows, n_left_out = _matched(response, tables, data_dir)
    parts = random_parts(
        len(rows),
        int(validation_split * len(rows)),
        n_test,
        np.random.RandomState(seed),
    )
    return ComboDataset(
        "combo",
        *(rows.take(part) for part in parts),
        target_name="Growth",
        target_mean=np.zeros(1),
        target_std=np.ones(1),
        output_names=("Growth",),
        source=(
            f"Drug pairs in the formats of CANDLE's Combo benchmark, from {data_dir}: "
            f"{len(rows)} combinations of a cell line and two drugs ({n_left_out} more "
            "were left out, for which there are no features)."
        ),
        features=features,
        recipe=Recipe(
            build=network_for(model),
            fit=trained,
            annealing_epochs=2,
            annealing_rate=3e-5,
        ),
    )


def trained(model, dataset, *, prefix=None, **options):
    """Train, or go on with the training that is kept at a prefix."""
    if prefix is None:
        return train(model, dataset, **options)
    resume = TrainingFiles(prefix).state.exists()
    return train(model, dataset, prefix, resume=resume, overwrite=not resume, **options)


def _matched(response, tables, data_dir):
    """The rows of a response whose features are known, and how many others."""
    cells, drugs = (
        {name: i for i, name in enumerate(ids)}
        for ids in (tables.cell_ids, tables.drug_ids)
    )
    cell, drug1, drug2 = (
        np.array([places.get(name, -1) for name in names], dtype=np.int32)[codes]
        for places, (names, codes) in (
            (cells, response.cell),
            (drugs, response.drug1),
            (drugs, response.drug2),
        )
    )
    known = (cell >= 0) & (drug1 >= 0) & (drug2 >= 0)
    n_left_out = int(np.sum(~known))
    if n_left_out:
        logger.info(
            "%d of %d combinations are left out: no expression for %d, no descriptors "
            "for %d",
            n_left_out,
            len(known),
            np.sum(cell < 0),
            np.sum((drug1 < 0) | (drug2 < 0)),
        )
    if not known.any():
        raise ValidationError(
            f"no combination in {data_dir} has both expression and descriptors; check "
            "that the files belong together",
            attr="data_dir",
        )
    rows = ComboRows(
        tables,
        cell[known],
        drug1[known],
        drug2[known],
        response.growth[known, np.newaxis].astype(np.float32),
    )
    return rows, n_left_out
