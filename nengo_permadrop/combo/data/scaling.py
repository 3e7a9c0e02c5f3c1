"""
How features are imputed and scaled: fitted on training files, kept with the model.

CANDLE fits its scaler again on every set of cells or drugs that it loads and keeps none
of them, so that a network sees other numbers at inference than in training. Here the
scaling is fitted once and saved beside the model.
"""

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.combo.data.reading import DataFileError
from nengo_permadrop.support.archives import read_npz, readable, write_npz
from nengo_permadrop.support.optional import require

SCALINGS = ("std", "maxabs", "minmax", "none")
_FORMAT = "nengo-permadrop combo features 1"
_ARRAYS = ("columns", "left_out", "fill", "center", "scale")
# bytes that a file may take in memory: some thousand times those of CANDLE's columns
_MAX_UNPACKED = 2**27


def features_path(model_file):
    """
    Where the feature scaling of a saved model is kept.

    Parameters
    ----------
    model_file : str or path-like
        Such as ``saved.uq.model.h5``.

    Returns
    -------
    path : Path
        ``saved.uq.features.npz`` beside it.
    """
    path = Path(model_file)
    stem = path.name
    for suffix in (path.suffix, ".model"):
        stem = stem.removesuffix(suffix)
    return path.with_name(f"{stem}.features.npz")


def expression_scaling(scaling, preprocess_rnaseq=None):
    """
    How expression is scaled: not again if it has been preprocessed, as in CANDLE.

    Parameters
    ----------
    scaling : {"std", "maxabs", "minmax", "none"}
        How descriptors are scaled, and expression as it was measured.
    preprocess_rnaseq : {"source_scale", "combat", "none"}, optional
        As in `.rnaseq_file`.

    Returns
    -------
    scaling : str
    """
    return scaling if preprocess_rnaseq in (None, "none") else "none"


@dataclass(frozen=True, eq=False)
class TableScaling:
    """
    What is done to the columns of one kind of table.

    Attributes
    ----------
    columns : (n,) ndarray of str
        Those that are features, in the network's order.
    left_out : (m,) ndarray of str
        Those that had no value in the table that was fitted.
    fill : (n,) ndarray of float64
        What replaces a missing value: the mean of the column.
    center, scale : (n,) ndarray of float64
        A feature is ``(value - center) / scale``.
    scaling : str
        One of `SCALINGS`.
    """

    columns: np.ndarray
    left_out: np.ndarray
    fill: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    scaling: str

    @classmethod
    def fit(cls, table, scaling="std"):
        """
        Fit means and scales of a table.

        Parameters
        ----------
        table : `.FeatureTable`
        scaling : {"std", "maxabs", "minmax", "none"}, optional
            Mean 0 and standard deviation 1; largest absolute value 1; from 0 to 1; or
            as it is.

        Returns
        -------
        scaling : `TableScaling`

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is no such scaling.
        `.DataFileError`
            If the table holds no value at all.
        ImportError
            If scikit-learn isn't installed.
        """
        if scaling not in SCALINGS:
            raise ValidationError(
                f"must be one of {', '.join(SCALINGS)}, got {scaling!r}", attr="scaling"
            )
        empty = np.isnan(table.values).all(axis=0)
        if empty.all():
            raise DataFileError(table.path, "has no values")
        return cls._fit(
            table.values[:, ~empty],
            table.columns[~empty],
            table.columns[empty],
            scaling,
        )

    def check(self):
        """Raise ValueError if the parts, as read from a file, don't fit together."""
        for name in ("fill", "center", "scale"):
            values = getattr(self, name)
            if values.shape != self.columns.shape or values.dtype != np.float64:
                raise ValueError(f"{name!r} doesn't fit {self.columns.shape} columns")
            if not np.isfinite(values).all():
                raise ValueError(f"{name!r} is not finite")
        for names in (self.columns, self.left_out):
            if names.ndim != 1 or names.dtype.kind != "U":
                raise ValueError("the columns have no names")
        if self.scaling not in SCALINGS:
            raise ValueError(f"its scaling is {self.scaling!r}")

    @classmethod
    def _fit(cls, values, columns, left_out, scaling):
        require("sklearn")
        from sklearn.impute import SimpleImputer
        from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler

        imputer = SimpleImputer(strategy="mean")
        filled = imputer.fit_transform(values.astype(np.float64))
        center, scale = np.zeros(len(columns)), np.ones(len(columns))
        if scaling == "std":
            scaler = StandardScaler().fit(filled)
            center, scale = scaler.mean_, scaler.scale_
        elif scaling == "maxabs":
            scale = MaxAbsScaler().fit(filled).scale_
        elif scaling == "minmax":
            scaler = MinMaxScaler().fit(filled)
            center, scale = scaler.data_min_, 1 / scaler.scale_
        return cls(columns, left_out, imputer.statistics_, center, scale, scaling)

    def transform(self, table):
        """
        Features of a table.

        Parameters
        ----------
        table : `.FeatureTable`
            Its columns are found by their names, whatever their order.

        Returns
        -------
        features : (n_rows, n) ndarray of float32
            Without missing values.

        Raises
        ------
        `.DataFileError`
            If a column is missing; it names file and column.

        Warns
        -----
        UserWarning
            If the table has columns that the fitted one hadn't. They are not used, as
            in CANDLE.
        """
        values = self._selected(table)
        np.copyto(values, self.fill, where=np.isnan(values))
        values -= self.center
        values /= self.scale
        return values.astype(np.float32)

    def refitted(self, table):
        """
        The same columns, with the means and scales of another table, as CANDLE does it.

        A column without values becomes 0 before it is scaled.

        Parameters
        ----------
        table : `.FeatureTable`

        Returns
        -------
        scaling : `TableScaling`
        """
        values = self._selected(table)
        values[:, np.isnan(values).all(axis=0)] = 0
        return self._fit(values, self.columns, self.left_out, self.scaling)

    def _selected(self, table):
        """Float64 copy of the columns that are features."""
        places = {name: i for i, name in enumerate(table.columns)}
        missing = [name for name in self.columns if name not in places]
        if missing:
            raise DataFileError(
                table.path,
                f"has no column {str(missing[0])!r} ({len(missing)} columns of the "
                f"{len(self.columns)} that the model was trained on are missing)",
                "use the file with the features that the model was trained on",
            )
        unknown = set(places).difference(self.columns, self.left_out)
        if unknown:
            first = min(unknown, key=places.get)
            warnings.warn(
                f"{table.path}: {len(unknown)} columns are not used, as the training "
                f"file has none of their names; the first is {first!r}",
                stacklevel=3,
            )
        chosen = [places[name] for name in self.columns]
        return table.values[:, chosen].astype(np.float64)


@dataclass(frozen=True, eq=False)
class FeatureScaling:
    """
    The feature scaling of a Combo network.

    Attributes
    ----------
    cells, drugs : `TableScaling`
    rnaseq : str
        Name of the expression file that it was fitted on, such as
        "combined_rnaseq_data_lincs1000".
    """

    cells: TableScaling
    drugs: TableScaling
    rnaseq: str

    @classmethod
    def fit(cls, cells, drugs, scaling="std", cell_scaling=None, rnaseq=""):
        """
        Fit both tables of a training set.

        Parameters
        ----------
        cells, drugs : `.FeatureTable`
        scaling : {"std", "maxabs", "minmax", "none"}, optional
        cell_scaling : str, optional
            Another one for the cells.
        rnaseq : str, optional
            Name of the file that ``cells`` is from.

        Returns
        -------
        features : `FeatureScaling`
        """
        return cls(
            TableScaling.fit(cells, scaling if cell_scaling is None else cell_scaling),
            TableScaling.fit(drugs, scaling),
            rnaseq,
        )

    @property
    def n_features(self):
        """Number of features of each input of the network, {str: int}."""
        genes, descriptors = len(self.cells.columns), len(self.drugs.columns)
        return {"cell": genes, "drug1": descriptors, "drug2": descriptors}

    def transform_cells(self, table):
        """Features of cells, (n_cells, n_genes) float32; see `TableScaling`."""
        return self.cells.transform(table)

    def transform_drugs(self, table):
        """Features of drugs, (n_drugs, n_descriptors) float32; see `TableScaling`."""
        return self.drugs.transform(table)

    def refitted(self, cells, drugs):
        """The `FeatureScaling` that CANDLE would use for these tables."""
        return FeatureScaling(
            self.cells.refitted(cells), self.drugs.refitted(drugs), self.rnaseq
        )

    def save(self, path):
        """
        Write to a file, with a checksum, whole or not at all.

        Parameters
        ----------
        path : str or path-like
            Usually ``features_path(model_file)``.
        """
        arrays = self._arrays()
        header = {
            "format": _FORMAT,
            "rnaseq": self.rnaseq,
            "cells": self.cells.scaling,
            "drugs": self.drugs.scaling,
            "sha256": _checksum(arrays),
        }
        write_npz(path, header=np.array(json.dumps(header)), **arrays)

    @classmethod
    def load(cls, path):
        """
        Read what `save` has written.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        features : `FeatureScaling`

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        nengo_permadrop.support.errors.DamagedFileError
            If it isn't such a file, or damaged. Nothing in it is run: it is read
            without pickle.
        """
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(
                f"{path}: no such file; the feature scaling of a model is kept beside "
                "it, where its training has written it"
            )
        what = "a feature scaling that nengo-permadrop has written"
        fix = "train the model again, or copy the file again"
        arrays = read_npz(path, what, fix, _MAX_UNPACKED)
        with readable(path, what, fix):
            header = json.loads(str(arrays.pop("header")))
            if header["format"] != _FORMAT:
                raise ValueError(f"its format is {header['format']!r}")
            if header["sha256"] != _checksum(arrays):
                raise ValueError("its checksum is wrong")
            if Path(header["rnaseq"]).name != header["rnaseq"]:
                raise ValueError(f"{header['rnaseq']!r} is not the name of a file")
            tables = {
                kind: TableScaling(
                    *(arrays[f"{kind}_{name}"] for name in _ARRAYS), header[kind]
                )
                for kind in ("cells", "drugs")
            }
            for table in tables.values():
                table.check()
        return cls(**tables, rnaseq=header["rnaseq"])

    def _arrays(self):
        return {
            f"{kind}_{name}": getattr(getattr(self, kind), name)
            for kind in ("cells", "drugs")
            for name in _ARRAYS
        }


def _checksum(arrays):
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
