"""All combinations of a sample and two drugs, in CANDLE's order."""

import warnings
from dataclasses import dataclass

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.combo.data.files import (
    TRAINING_SAMPLES,
    read_drug_set,
    read_sample_set,
    rnaseq_file,
)
from nengo_permadrop.combo.data.rows import ComboRows, ComboTables
from nengo_permadrop.combo.data.scaling import (
    FeatureScaling,
    expression_scaling,
    features_path,
)


@dataclass(frozen=True, eq=False)
class Pairs:
    """
    Every sample with every ordered pair of drugs: samples, then drug 1, then drug 2.

    Nothing is stored for a row, so that there can be any number of them.

    Attributes
    ----------
    tables : `.ComboTables`
        Features of the samples and drugs.
    first_row : int
        Number of the first row among those of the whole sample set.
    """

    tables: ComboTables
    first_row: int = 0

    @property
    def shape(self):
        """Numbers of samples, of first drugs and of second drugs."""
        n_drugs = len(self.tables.drugs)
        return len(self.tables.cells), n_drugs, n_drugs

    def __len__(self):
        return int(np.prod(self.shape, dtype=np.int64))

    def rows(self, start, stop):
        """
        Some of the rows.

        Parameters
        ----------
        start, stop : int
            As in a slice.

        Returns
        -------
        rows : `.ComboRows`
            Their growth isn't known.
        """
        numbers = np.arange(start, min(stop, len(self)))
        places = np.unravel_index(numbers, self.shape)
        target = np.full((len(numbers), 1), np.nan, dtype=np.float32)
        return ComboRows(self.tables, *places, target)


def read_pairs(
    sample_set,
    drug_set,
    data_dir,
    features,
    n_samples=0,
    n_drugs=0,
    first_sample=0,
    candle_scaling=False,
):
    """
    Read a set of samples and one of drugs, and scale their features.

    Parameters
    ----------
    sample_set, drug_set : str
        As in `.read_sample_set` and `.read_drug_set`.
    data_dir : str or path-like
    features : `.FeatureScaling`
        Of the model. It names the expression file, too.
    n_samples, n_drugs : int, optional
        So many of the samples, from ``first_sample`` on, and of the drugs; 0 takes all.
    first_sample : int, optional
    candle_scaling : bool, optional
        Fit the scaling again on the whole of both sets, as CANDLE does.

    Returns
    -------
    pairs : `Pairs`

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is no sample ``first_sample``, or no such drug set.
    FileNotFoundError, `.DataFileError`
        If a file is missing or not as it should be.
    """
    samples = read_sample_set(sample_set, data_dir, features.rnaseq)
    drugs = read_drug_set(drug_set, data_dir)
    if first_sample >= len(samples):
        raise ValidationError(
            f"must be less than {len(samples)}, the number of samples of "
            f"{sample_set}, got {first_sample}",
            attr="si",
        )
    if candle_scaling:
        features = features.refitted(samples, drugs)
    last = first_sample + n_samples if n_samples else None
    samples = samples.take(slice(first_sample, last))
    drugs = drugs.take(slice(n_drugs or None))
    tables = ComboTables(
        features.transform_cells(samples),
        features.transform_drugs(drugs),
        samples.ids,
        drugs.ids,
    )
    return Pairs(tables, first_row=first_sample * len(drugs) ** 2)


def model_features(
    model_file,
    data_dir,
    use_landmark_genes=False,
    preprocess_rnaseq=None,
    candle_scaling=False,
    sample_set=TRAINING_SAMPLES,
):
    """
    The feature scaling of a saved model.

    Parameters
    ----------
    model_file : str or path-like
        Its scaling is in the file `.features_path`.
    data_dir : str or path-like
    use_landmark_genes, preprocess_rnaseq
        As in `.rnaseq_file`, or as the model was trained.
    candle_scaling : bool, optional
        Whether one that is fitted on the files in ``data_dir`` will do, for models
        without such a file. Genes and descriptors are those that hold values in the
        training samples and drugs.
    sample_set : str, optional
        In whose samples genes hold values where the expression file has no training
        samples. CANDLE goes by these always, and so takes other genes than in training
        where the set lacks one.

    Returns
    -------
    features : `.FeatureScaling`

    Raises
    ------
    nengo.exceptions.ValidationError
        If the model was trained on another expression file than is asked for.
    FileNotFoundError
        If the model has no such file, and ``candle_scaling`` isn't set; or if a file in
        ``data_dir`` is missing.
    `.DataFileError`
        If such a file isn't as it should be.

    Warns
    -----
    UserWarning
        If there are no training samples, and genes without values are left out: the
        training may have left out others.
    """
    path = features_path(model_file)
    asked = rnaseq_file(use_landmark_genes, preprocess_rnaseq or "none")
    if path.exists():
        features = FeatureScaling.load(path)
        given = use_landmark_genes or preprocess_rnaseq is not None
        if given and features.rnaseq != asked:
            raise ValidationError(
                f"{model_file} was trained on {features.rnaseq!r}, not on {asked!r}; "
                "leave out the options use_landmark_genes and preprocess_rnaseq",
                attr="preprocess_rnaseq",
            )
        return features
    if not candle_scaling:
        raise FileNotFoundError(
            f"{path}: no such file; it holds how the features of the model were scaled "
            "in training. Copy it there, or, for a model that CANDLE has trained, give "
            "--candle-scaling (candle_scaling=True)"
        )
    # the names that the response has for the cells are not needed, as in CANDLE
    cells = read_sample_set(TRAINING_SAMPLES, data_dir, asked, needed=False)
    has_training_samples = len(cells) > 0
    if not has_training_samples:
        cells = read_sample_set(sample_set, data_dir, asked)
    features = FeatureScaling.fit(
        cells,
        read_drug_set("pan", data_dir),
        cell_scaling=expression_scaling("std", preprocess_rnaseq),
        rnaseq=asked,
    )
    left_out = features.cells.left_out
    if len(left_out) and not has_training_samples:
        warnings.warn(
            f"{cells.path}: genes without a value in {sample_set} are left out "
            f"({len(left_out)}, the first is {str(left_out[0])!r}), as CANDLE's "
            f"infer.py does. Without samples of {TRAINING_SAMPLES} the file doesn't "
            "say whether the model was trained without the same ones",
            stacklevel=3,
        )
    return features
