"""Rows of the Combo problem: a cell and two drugs, and where their features are."""

from dataclasses import dataclass

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.datasets.base import Split

INPUTS = ("cell", "drug1", "drug2")


@dataclass(frozen=True, eq=False)
class ComboTables:
    """
    Features of all cells and drugs, scaled and without gaps.

    Attributes
    ----------
    cells : (n_cells, n_genes) ndarray of float32
    drugs : (n_drugs, n_descriptors) ndarray of float32
    cell_ids, drug_ids : (n_cells,), (n_drugs,) ndarray of str
        Their names, as tables of results show them.
    """

    cells: np.ndarray
    drugs: np.ndarray
    cell_ids: np.ndarray
    drug_ids: np.ndarray

    def __post_init__(self):
        for kind in ("cell", "drug"):
            ids, values = getattr(self, f"{kind}_ids"), getattr(self, f"{kind}s")
            if len(ids) != len(values):
                raise ValidationError(
                    f"has {len(values)} rows, but there are {len(ids)} {kind}_ids",
                    attr=f"{kind}s",
                    obj=self,
                )


@dataclass(frozen=True, eq=False)
class ComboRows:
    """
    (cell, drug 1, drug 2) rows, whose features are gathered when they are asked for.

    It can stand where a `.Split` stands. A `.Split` holds all features of its rows: 2.9
    GB for CANDLE's 85,303 rows. This holds 12 bytes per row, beside tables that all
    parts of a data set share. Take the rows of a batch with `gather`.

    Attributes
    ----------
    tables : `ComboTables`
    cell, drug1, drug2 : (n_rows,) ndarray of int
        Row numbers in ``tables.cells`` and ``tables.drugs``.
    target : (n_rows, 1) ndarray of float32
        Growth as a fraction: 1 untreated, 0 no growth, below 0 cells die. NaN where it
        isn't known.
    """

    tables: ComboTables
    cell: np.ndarray
    drug1: np.ndarray
    drug2: np.ndarray
    target: np.ndarray

    def __post_init__(self):
        for name in (*INPUTS, "target"):
            if len(getattr(self, name)) != len(self.cell):
                raise ValidationError(
                    f"must have {len(self.cell)} rows, as 'cell' has, got "
                    f"{len(getattr(self, name))}",
                    attr=name,
                    obj=self,
                )

    def __len__(self):
        return len(self.cell)

    @property
    def input_names(self):
        """Names of the inputs, in the network's order; a tuple of str."""
        return INPUTS

    @property
    def n_features(self):
        """Number of features of each input, {str: int}."""
        genes, descriptors = self.tables.cells.shape[1], self.tables.drugs.shape[1]
        return {"cell": genes, "drug1": descriptors, "drug2": descriptors}

    def gather(self, rows=slice(None)):
        """
        Features of some rows, as the network takes them.

        Parameters
        ----------
        rows : slice or array_like of int, optional
            Row numbers; by default all, which needs memory for all.

        Returns
        -------
        inputs : {str: (n, n_features) ndarray of float32}
            "cell", "drug1" and "drug2", in that order.
        """
        return {
            "cell": self.tables.cells[self.cell[rows]],
            "drug1": self.tables.drugs[self.drug1[rows]],
            "drug2": self.tables.drugs[self.drug2[rows]],
        }

    @property
    def inputs(self):
        """Features of all rows, as `gather` gives them, computed at each access."""
        return self.gather()

    @property
    def labels(self):
        """Names of each row's "Sample", "Drug1" and "Drug2", {str: (n_rows,) array}."""
        return {
            "Sample": self.tables.cell_ids[self.cell],
            "Drug1": self.tables.drug_ids[self.drug1],
            "Drug2": self.tables.drug_ids[self.drug2],
        }

    def take(self, rows):
        """The `ComboRows` of the given rows (a slice or an array of row numbers)."""
        return ComboRows(
            self.tables,
            self.cell[rows],
            self.drug1[rows],
            self.drug2[rows],
            self.target[rows],
        )

    def swapped(self):
        """The same rows with drug 1 and drug 2 exchanged, a `ComboRows`."""
        return ComboRows(self.tables, self.cell, self.drug2, self.drug1, self.target)

    def both_orders(self):
        """
        These rows, and after them the same with the drugs exchanged, a `ComboRows`.

        Growth under two drugs doesn't depend on which is called the first, but a
        network doesn't know that before it has seen both. CANDLE trains on the order in
        the file alone. A drug paired with itself is not repeated.
        """
        different = np.flatnonzero(self.drug1 != self.drug2)
        other = self.take(different).swapped()
        return ComboRows(
            self.tables,
            *(
                np.concatenate([getattr(self, name), getattr(other, name)])
                for name in (*INPUTS, "target")
            ),
        )

    def to_split(self):
        """The `.Split` that holds the features of all these rows."""
        return Split(self.gather(), self.target, self.labels)
