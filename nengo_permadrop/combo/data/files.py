"""CANDLE's files of the Combo problem: their names, and what is in them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.combo.data.reading import (
    MISSING,
    DataFileError,
    bad_value,
    check_lengths,
    check_lines,
    check_unique,
    existing,
    header,
    read_features,
    reading,
)

RESPONSE = "ComboDrugGrowth_Nov2017.csv"
RESPONSE_CELLS = "NCI60_CELLNAME_to_Combo.txt"
RNASEQ = "combined_rnaseq_data"
RNASEQ_CELLS = "NCI60_CELLNAME_to_Combo.new.txt"
RTS_SAMPLES = "RTS_PDM_samples"
TRAINING_DRUGS = "pan_drugs_dragon7_descriptors.tsv"
DRUG_SETS = {
    "ALMANAC": "ALMANAC_drug_descriptors_dragon7.txt",
    "GDSC": "GDSC_PubChemCID_drug_descriptors_dragon7",
    "NCI_IOA_AOA": "NCI_IOA_AOA_drug_descriptors_dragon7",
    "RTS": "RTS_drug_descriptors_dragon7",
    "pan": TRAINING_DRUGS,
}
TRAINING_SAMPLES = "NCI60"
PREPROCESSED = ("source_scale", "combat", "none")

# columns of the response file that are used
RESPONSE_COLUMNS = (
    "CELLNAME",
    "NSC1",
    "CONC1",
    "NSC2",
    "CONC2",
    "PERCENTGROWTH",
    "VALID",
)

# rows of the response that are parsed at a time
_CHUNK = 200_000


def rnaseq_file(use_landmark_genes=False, preprocess_rnaseq="none"):
    """
    Name of an expression file.

    Parameters
    ----------
    use_landmark_genes : bool, optional
        The file with the landmark genes of LINCS (L1000) alone.
    preprocess_rnaseq : {"source_scale", "combat", "none"}, optional
        The file in which differences between the sources of the samples have been
        removed: scaled within each source, or by ComBat.

    Returns
    -------
    name : str
    """
    if preprocess_rnaseq not in PREPROCESSED:
        raise ValidationError(
            f"must be one of {', '.join(PREPROCESSED)}, got {preprocess_rnaseq!r}",
            attr="preprocess_rnaseq",
        )
    name = f"{RNASEQ}_lincs1000" if use_landmark_genes else RNASEQ
    return name if preprocess_rnaseq == "none" else f"{name}_{preprocess_rnaseq}"


def read_sample_set(sample_set, data_dir, rnaseq=RNASEQ, needed=True):
    """
    Expression of a set of samples.

    Parameters
    ----------
    sample_set : str
        The samples whose names begin with it, such as "GDSC", in the order of the file;
        for "RTS", those in the list ``RTS_PDM_samples``.
    data_dir : str or path-like
    rnaseq : str, optional
        Name of the expression file; see `rnaseq_file`.
    needed : bool, optional
        Whether it is an error if the file holds no such sample.

    Returns
    -------
    samples : `.FeatureTable`
        Without rows if there are none, and they aren't needed.

    Raises
    ------
    FileNotFoundError, `.DataFileError`
        If a file is missing or damaged, or holds no such sample.
    """
    sources = set()
    if sample_set == "RTS":
        path = existing(Path(data_dir) / RTS_SAMPLES)
        wanted = set(_read_columns(path, ("Sample",))[0])
        where = f"listed in {path}"
    else:
        wanted, where = None, f"whose name begins with {sample_set!r}"

    def keep(names):
        sources.update(name.partition(".")[0] for name in names)
        if wanted is not None:
            return np.isin(names, list(wanted))
        return np.char.startswith(names, sample_set)

    path = Path(data_dir) / rnaseq
    table = read_features(path, "Sample", keep)
    if needed and len(table) == 0:
        raise DataFileError(
            path,
            f"has no sample {where}",
            f"there are sets {', '.join(sorted(sources)[:20])}",
            column="Sample",
        )
    return table


def read_drug_set(drug_set, data_dir):
    """
    Descriptors of a set of drugs.

    Parameters
    ----------
    drug_set : str
        A key of `DRUG_SETS`.
    data_dir : str or path-like

    Returns
    -------
    drugs : `.FeatureTable`
        In the order of the file, with the names that it has, such as "NSC.102816".

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is no such set.
    FileNotFoundError, `.DataFileError`
        If the file is missing or damaged.
    """
    if drug_set not in DRUG_SETS:
        raise ValidationError(
            f"no drug set is called {drug_set!r}; there are {', '.join(DRUG_SETS)}",
            attr="drug_set",
        )
    return read_features(Path(data_dir) / DRUG_SETS[drug_set], "NAME")


def read_training_cells(data_dir, use_landmark_genes=False, preprocess_rnaseq="none"):
    """
    Expression of the cell lines that drugs were measured on, the NCI-60.

    Parameters
    ----------
    data_dir : str or path-like
    use_landmark_genes, preprocess_rnaseq
        As in `rnaseq_file`.

    Returns
    -------
    cells : `.FeatureTable`
        Under the names that the response has.

    Raises
    ------
    FileNotFoundError, `.DataFileError`
        If a file is missing or damaged, or a sample is not in the list of names.
    """
    rnaseq = rnaseq_file(use_landmark_genes, preprocess_rnaseq)
    table = read_sample_set(TRAINING_SAMPLES, data_dir, rnaseq)
    path = existing(Path(data_dir) / RNASEQ_CELLS)
    known = _read_map(path, "NCI60.ID")
    for name in table.ids:
        if name not in known:
            raise DataFileError(
                table.path,
                f"{str(name)!r} is not in column 'NCI60.ID' of {path}",
                "add it there",
                column="Sample",
            )
    return table.renamed([known[name] for name in table.ids])


def read_training_drugs(data_dir):
    """
    Descriptors of the drugs that were measured.

    Parameters
    ----------
    data_dir : str or path-like

    Returns
    -------
    drugs : `.FeatureTable`
        Under the numbers that the response has: "102816" for "NSC.102816".
    """
    table = read_drug_set("pan", data_dir)
    return table.renamed([name[4:] for name in table.ids])


@dataclass(frozen=True, eq=False)
class Response:
    """
    Measured growth, one value a cell line and pair of drugs.

    Attributes
    ----------
    cell, drug1, drug2 : (names, codes) pair of ndarrays
        Different names, and for each combination the place of its name among them.
    growth : (n_combinations,) ndarray of float64
        As a fraction: 1 untreated, 0 no growth, below 0 cells die.
    """

    cell: tuple
    drug1: tuple
    drug2: tuple
    growth: np.ndarray

    def __len__(self):
        return len(self.growth)


def read_response(data_dir):
    """
    Growth of cell lines under pairs of drugs, at the best of the measured doses.

    Only measurements marked as valid count. Repeated ones are averaged at each pair of
    concentrations, and of those averages the smallest is taken. Where there is no
    second drug, the first one is put there.

    Parameters
    ----------
    data_dir : str or path-like

    Returns
    -------
    response : `Response`
        Sorted by cell, drug 1 and drug 2.

    Raises
    ------
    FileNotFoundError, `.DataFileError`
        If a file is missing or damaged, a name is missing or not in the list of cell
        lines, or a growth isn't a number.
    """
    import pandas as pd

    path = existing(Path(data_dir) / RESPONSE)
    cell_map = existing(Path(data_dir) / RESPONSE_CELLS)
    known = _read_map(cell_map, "Name")
    check_lines(path, ",", len(header(path, ",", RESPONSE_COLUMNS)))
    codes = {key: {} for key in ("CELLNAME", "NSC1", "NSC2", "CONC1", "CONC2")}
    parts = []
    with reading(path):
        with pd.read_csv(
            path,
            usecols=RESPONSE_COLUMNS,
            na_values=MISSING,
            keep_default_na=False,
            dtype=str,
            chunksize=_CHUNK,
        ) as chunks:
            for chunk in chunks:
                valid = chunk[chunk["VALID"] == "Y"]
                parts.append(_coded(valid, codes, known, path, cell_map))
    if not any(len(part) for part in parts):
        raise DataFileError(path, "has no row whose VALID is 'Y'")
    table = pd.concat(parts, ignore_index=True)
    del parts
    means = table.groupby(list(codes), sort=False)["growth"].mean()
    keys = ["CELLNAME", "NSC1", "NSC2"]
    for key in keys:
        check_lengths(path, codes[key])
    # doses without any value are NaN, which the minimum leaves out
    growth = means.groupby(keys, sort=False).min().dropna().reset_index()
    names = {key: np.array(list(codes[key]), dtype=str) for key in keys}
    order = np.lexsort([names[key][growth[key]] for key in reversed(keys)])
    growth = growth.iloc[order]
    return Response(
        *((names[key], growth[key].to_numpy()) for key in keys),
        growth["growth"].to_numpy() / 100,
    )


def _coded(rows, codes, known, path, cell_map):
    """Rows of the response with numbers for names; ``codes`` learns new ones."""
    import pandas as pd

    rows = rows.assign(
        NSC2=rows["NSC2"].fillna(rows["NSC1"]),
        CONC2=rows["CONC2"].fillna(rows["CONC1"]),
    )
    for name in ("CELLNAME", "NSC1", "CONC1"):
        absent = rows.index[rows[name].isna()]
        if len(absent):
            raise DataFileError(
                path,
                "is missing in a valid row",
                "fill it in, or set VALID to another value than 'Y'",
                absent[0] + 2,
                name,
            )
    unknown = ~rows["CELLNAME"].isin(known)
    if unknown.any():
        line = rows.index[unknown][0] + 2
        raise DataFileError(
            path,
            f"{rows['CELLNAME'][line - 2][:100]!r} is not in column 'Name' of "
            f"{cell_map}",
            "add it there",
            line,
            "CELLNAME",
        )
    texts = rows["PERCENTGROWTH"]
    growth = pd.to_numeric(texts, errors="coerce")
    bad = ~(np.isfinite(growth) | texts.isna())
    if bad.any():
        line = rows.index[bad][0] + 2
        raise bad_value(path, line, "PERCENTGROWTH", texts[line - 2])
    rows = rows.assign(CELLNAME=rows["CELLNAME"].map(known))
    table = {"growth": growth.to_numpy(dtype=np.float64)}
    for key, numbers in codes.items():
        for name in rows[key].unique():
            numbers.setdefault(name, len(numbers))
        table[key] = rows[key].map(numbers).to_numpy(dtype=np.int32)
    return pd.DataFrame(table)


def _read_map(path, key):
    """{key: name of the cell line} of a list of names."""
    # the lists differ in how they write a panel's name: "LE:SR" and "LE.SR"
    pairs = dict.fromkeys(
        (name, cell.replace(":", "."))
        for name, cell in zip(*_read_columns(path, (key, "CELLNAME")))
    )
    names = [name for name, _ in pairs]
    check_unique(path, names, "the name", "stands for two cell lines", column=key)
    return dict(pairs.keys())


def _read_columns(path, columns):
    """Columns of text of a small tab-separated file, without rows that lack one."""
    import pandas as pd

    names = header(path, "\t", columns)
    check_lines(path, "\t", len(names))
    with reading(path):
        table = pd.read_csv(
            path,
            sep="\t",
            usecols=list(columns),
            dtype=str,
            na_values=MISSING,
            keep_default_na=False,
        ).dropna()
    for name in columns:
        check_lengths(path, table[name])
    return [table[name].tolist() for name in columns]
