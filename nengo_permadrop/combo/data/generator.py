"""Writes a generated drug-pair screen as the files of CANDLE's Combo problem."""

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.combo.data.drug_pairs import generate
from nengo_permadrop.combo.data.files import (
    DRUG_SETS,
    PREPROCESSED,
    RESPONSE,
    RESPONSE_CELLS,
    RNASEQ_CELLS,
    RTS_SAMPLES,
    TRAINING_SAMPLES,
    rnaseq_file,
)
from nengo_permadrop.support.files import atomic_path
from nengo_permadrop.support.folders import prepare_folder

# sets of samples and drugs that nothing was measured of
SAMPLE_SETS = ("NCIPDM", "GDSC")
UNSEEN_DRUG_SETS = {"GDSC": "CID.", "NCI_IOA_AOA": "NSC.", "RTS": "NSC."}
PANELS = ("BR", "CNS", "CO", "LC", "LE", "ME", "OV", "PR", "RE")

# Fractions, as real files have them: with 942 genes and 3820 descriptors, 923 and 3809
# columns hold values, the input sizes in the benchmark's README.
EMPTY_GENES, EMPTY_DESCRIPTORS = 0.02, 0.003
CONSTANT, MISSING_VALUES, ODD_ROWS = 0.02, 0.01, 0.005
MISSING_TEXTS = ("na", "-", "")

# standard deviation of repeated measurements, as a fraction; their mean has none of it
_REPEATS = 0.01


def generate_files(
    directory,
    n_cells=59,
    n_drugs=54,
    n_genes=942,
    n_descriptors=3820,
    n_set_samples=20,
    n_set_drugs=20,
    measured=0.97361,
    n_doses=3,
    n_replicates=2,
    seed=0,
):
    """
    Write generated files in the formats of CANDLE's Combo problem, under their names.

    The screen is that of `.drug_pairs.generate`: growth depends on the cell and on both
    drugs, it is symmetric in the drugs, and its noise differs between cells. With the
    default sizes it has the 85,303 combinations of the benchmark. Like real files they
    have several doses and repeated measurements of a pair, rows that are not valid,
    drugs without descriptors, missing values, and columns that are constant or empty.

    Parameters
    ----------
    directory : str or path-like
        Made if it doesn't exist. Files of the same names are replaced, each one whole
        or not at all.
    n_cells, n_drugs : int, optional
        Screened cell lines (the sample set NCI60) and drugs (the drug sets ALMANAC and
        pan).
    n_genes, n_descriptors : int, optional
        Columns of features, of which some are empty. The files with landmark genes hold
        the same genes as those without.
    n_set_samples, n_set_drugs : int, optional
        Size of each of the sample sets NCIPDM and GDSC, and of the drug sets GDSC,
        NCI_IOA_AOA and RTS: cells and drugs from the same factors as the screened ones.
        The sample set RTS is half of NCIPDM.
    measured : float, optional
        Fraction of all (cell, unordered pair of drugs) that is measured, in (0, 1].
    n_doses, n_replicates : int, optional
        Measurements of each combination: pairs of concentrations, and repetitions.
    seed : int, optional
        Decides everything random.

    Returns
    -------
    paths : list of Path
        The files.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a size or fraction is out of range.
    """
    for attr, size, least in (
        ("n_genes", n_genes, 2),
        ("n_descriptors", n_descriptors, 2),
        ("n_set_samples", n_set_samples, 1),
        ("n_set_drugs", n_set_drugs, 1),
        ("n_doses", n_doses, 1),
        ("n_replicates", n_replicates, 1),
    ):
        if size < least:
            raise ValidationError(f"must be at least {least}, got {size}", attr=attr)
    rng = np.random.RandomState(seed)
    screen = generate(
        n_cells,
        n_drugs,
        n_genes,
        n_descriptors,
        measured,
        rng=rng,
        n_unscreened_cells=len(SAMPLE_SETS) * n_set_samples,
        n_unscreened_drugs=len(UNSEEN_DRUG_SETS) * n_set_drugs,
    )
    directory = prepare_folder(directory)
    cells = [f"C{number:03d}-{number % 7}" for number in range(1, n_cells + 1)]
    numbers = rng.choice(900_000, len(screen.descriptors) + 1, replace=False) + 100
    return [
        *_write_cell_maps(directory, cells),
        *_write_expression(directory, screen.expression, cells, n_set_samples, rng),
        *_write_descriptors(
            directory, screen.descriptors, numbers, n_drugs, n_set_drugs, rng
        ),
        _write_response(
            directory,
            _response(screen, cells, numbers, n_doses, n_replicates, rng),
        ),
    ]


def file_names():
    """Names of all files that `generate_files` writes."""
    expression = [
        rnaseq_file(landmark, preprocessed)
        for preprocessed in PREPROCESSED
        for landmark in (False, True)
    ]
    maps = (RESPONSE_CELLS, RNASEQ_CELLS)
    return [*maps, *expression, RTS_SAMPLES, *DRUG_SETS.values(), RESPONSE]


def _write_cell_maps(directory, cells):
    import pandas as pd

    paths = []
    for name, separator in ((RESPONSE_CELLS, "."), (RNASEQ_CELLS, ":")):
        table = {
            "Name": cells,
            "CELLNAME": [
                PANELS[i % len(PANELS)] + separator + cell.replace("-", "_")
                for i, cell in enumerate(cells)
            ],
            "NCI60.ID": [f"{TRAINING_SAMPLES}.{cell}" for cell in cells],
        }
        paths.append(_write(directory / name, pd.DataFrame(table)))
    return paths


def _write_expression(directory, expression, cells, n_set_samples, rng):
    """Expression of all samples, as measured and without differences of the sources."""
    import pandas as pd

    sources = {TRAINING_SAMPLES: cells}
    for source in SAMPLE_SETS:
        sources[source] = [f"S{i:03d}" for i in range(1, n_set_samples + 1)]
    ids = [f"{source}.{name}" for source, names in sources.items() for name in names]
    group = np.repeat(
        np.arange(len(sources)), [len(names) for names in sources.values()]
    )

    values = expression.copy()
    empty = _spoil(values, EMPTY_GENES, rng)
    values[rng.uniform(size=values.shape) < MISSING_VALUES] = np.nan
    values[:, empty] = np.nan
    paths = []
    for preprocessed in PREPROCESSED:
        processed = _without_sources(values, group, preprocessed)
        table = pd.DataFrame(processed, columns=_numbered("GENE", values.shape[1]))
        table.insert(0, "Sample", ids)
        for landmark in (False, True):
            name = rnaseq_file(landmark, preprocessed)
            paths.append(_write(directory / name, table))
    chosen = [name for name in ids if name.startswith("NCIPDM.")][::2]
    samples = pd.DataFrame({"Sample": chosen})
    return [*paths, _write(directory / RTS_SAMPLES, samples)]


def _without_sources(values, group, preprocessed):
    """Expression scaled within each source, or moved to the common mean and scale."""
    import pandas as pd

    if preprocessed == "none":
        return values
    table = pd.DataFrame(values)
    scale = table.groupby(group).transform("std").replace(0, np.nan)
    scaled = (table - table.groupby(group).transform("mean")) / scale.fillna(1)
    if preprocessed == "combat":
        scaled = scaled * table.std().replace(0, 1) + table.mean()
    return scaled.to_numpy()


def _write_descriptors(directory, descriptors, numbers, n_drugs, n_set_drugs, rng):
    """Descriptors of all sets of drugs, one file per set."""
    import pandas as pd

    values = descriptors.copy()
    empty = _spoil(values, EMPTY_DESCRIPTORS, rng)
    missing = rng.uniform(size=values.shape) < MISSING_VALUES
    texts = np.full(values.shape, "", dtype=object)
    texts[missing] = rng.choice(MISSING_TEXTS, np.sum(missing))
    missing[:, empty] = True
    texts[:, empty] = "na"

    screened = np.arange(n_drugs)
    sets = {"ALMANAC": ("NSC.", screened), "pan": ("NSC.", screened)}
    for place, (name, prefix) in enumerate(UNSEEN_DRUG_SETS.items()):
        first = n_drugs + place * n_set_drugs
        sets[name] = (prefix, np.arange(first, first + n_set_drugs))
    paths = []
    for name, (prefix, rows) in sets.items():
        table = pd.DataFrame(
            np.where(missing[rows], texts[rows], _formatted(values[rows])),
            columns=_numbered("D", values.shape[1]),
        )
        table.insert(0, "NAME", [f"{prefix}{numbers[row]}" for row in rows])
        paths.append(_write(directory / DRUG_SETS[name], table))
    return paths


def _spoil(values, fraction, rng):
    """Make some columns constant, and choose others to be empty, at least one each."""
    n_columns = values.shape[1]
    n_empty = max(1, round(fraction * n_columns)) if n_columns > 2 else 0
    n_constant = max(1, round(CONSTANT * n_columns)) if n_columns > 4 else 0
    chosen = rng.choice(n_columns, n_empty + n_constant, replace=False)
    values[:, chosen[n_empty:]] = np.round(values[0, chosen[n_empty:]])
    return chosen[:n_empty]


def _response(screen, cells, numbers, n_doses, n_replicates, rng):
    """Measurements at all doses, repeated, and among them rows that don't count."""
    import pandas as pd

    n_rows = len(screen.growth)
    shape = (n_rows, n_doses, n_replicates)
    weaker = np.arange(n_doses) / n_doses  # dose 0 is the strongest
    loss = np.maximum(1 - screen.growth, 0.05)[:, np.newaxis]
    dose_growth = screen.growth[:, np.newaxis] + weaker * loss
    repeats = _REPEATS * rng.standard_normal(shape)
    repeats -= repeats.mean(axis=2, keepdims=True)
    growth = (dose_growth[:, :, np.newaxis] + repeats).ravel()

    def each(values):
        return np.repeat(values, n_doses * n_replicates)

    concentrations = np.array(
        [f"{10.0 ** -(5 + dose / 2):.3g}" for dose in range(n_doses)]
    )
    dose = np.tile(np.repeat(np.arange(n_doses), n_replicates), n_rows)
    nsc = numbers.astype(str).astype(object)
    alone = each(screen.drug1 == screen.drug2)
    concentration = concentrations.astype(object)[dose]
    table = pd.DataFrame(
        {
            "SCREENER": rng.choice(["1A", "FG", "FF"], len(dose)),
            "STUDY": rng.choice(["1201", "1303"], len(dose)),
            "NSC1": nsc[each(screen.drug1)],
            "CONC1": concentration,
            "NSC2": np.where(alone, "", nsc[each(screen.drug2)]),
            "CONC2": np.where(alone, "", concentration),
            "PERCENTGROWTH": _formatted(100 * growth),
            "SCORE": np.where(
                alone, "", rng.randint(-100, 100, len(dose)).astype(str).astype(object)
            ),
            "VALID": "Y",
            "CELLNAME": np.array(cells, dtype=object)[each(screen.cell)],
        }
    )
    n_odd = max(3, round(ODD_ROWS * len(table)))

    def odd(**columns):
        return table.iloc[rng.randint(len(table), size=n_odd)].assign(**columns)

    extra = [
        odd(VALID="N", PERCENTGROWTH="-999"),
        odd(PERCENTGROWTH=rng.choice(MISSING_TEXTS, n_odd), SCORE="na"),
        odd(NSC2=nsc[-1]),  # a drug without descriptors
    ]
    return pd.concat([table, *extra], ignore_index=True)


def _write_response(directory, table):
    return _write(directory / RESPONSE, table, separator=",")


def _formatted(values):
    """Numbers as text with six digits, an ndarray of object."""
    texts = np.char.mod("%.6g", values)
    return texts.astype(object)


def _numbered(prefix, n):
    return [f"{prefix}{number:04d}" for number in range(1, n + 1)]


def _write(path, table, separator="\t"):
    with atomic_path(path) as temporary:
        table.to_csv(temporary, sep=separator, index=False, float_format="%.6g")
    return path
