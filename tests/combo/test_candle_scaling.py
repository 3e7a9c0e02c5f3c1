"""infer --candle-scaling: the files that CANDLE's infer.py reads, and its numbers."""

import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
from combo_helpers import SIZES, small_model
from nengo.exceptions import ValidationError

from nengo_permadrop.combo.data import files
from nengo_permadrop.combo.data.generator import generate_files
from nengo_permadrop.combo.data.reading import DataFileError
from nengo_permadrop.combo.data.scaling import features_path
from nengo_permadrop.combo.dataset import training_scaling
from nengo_permadrop.combo.infer import infer
from nengo_permadrop.sampling.sampler import Sampler

pytest.importorskip("sklearn")

N_GENES, N_DESCRIPTORS = 8, 10  # those that hold values, of SIZES
PREPROCESSED = [
    (landmark, preprocessed)
    for landmark in (False, True)
    for preprocessed in ("source_scale", "combat", "none", None)
]


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("combo")
    generate_files(path, **SIZES)
    return path


@pytest.fixture(name="model_file", scope="module")
def _model_file(tmp_path_factory):
    """A model as CANDLE's: without a file of its feature scaling."""
    path = tmp_path_factory.mktemp("model") / "saved.uq.model.h5"
    sizes = {"cell": N_GENES, "drug1": N_DESCRIPTORS, "drug2": N_DESCRIPTORS}
    small_model(sizes).save(path)
    return path


@pytest.fixture(name="options")
def _options(folder, model_file, tmp_path):
    return dict(
        sample_set="GDSC",
        drug_set="NCI_IOA_AOA",
        model_file=model_file,
        weights_file=None,
        data_dir=folder,
        output=tmp_path / "out",
        backend="keras",
        candle_scaling=True,
        progress=False,
    )


@pytest.fixture(name="taken")
def _taken(monkeypatch):
    """What the model gets: arrays of all rows, one an input, in a list."""
    taken = []
    draw = Sampler.draw

    def noted(self, X, *args, **kwargs):
        taken[:] = X
        return draw(self, X, *args, **kwargs)

    monkeypatch.setattr(Sampler, "draw", noted)
    return taken


def copied(folder, to, names):
    """A new folder that holds some of the files."""
    to.mkdir()
    for name in names:
        shutil.copy(folder / name, to)
    return to


def table(path, id_column):
    return pd.read_csv(path, sep="\t", na_values=["na", "-", ""]).set_index(id_column)


def as_candle(values, scaled):
    """Means for missing values, and each column scaled on its own; in float64."""
    values = values.fillna(values.mean()).fillna(0)
    if scaled:
        deviation = values.std(ddof=0)
        values = (values - values.mean()) / deviation.where(deviation > 0, 1)
    return values


def expected_inputs(folder, expression, preprocessed, sample_set, drug_set):
    """What CANDLE's model gets for all rows, from the files, with pandas alone."""
    cells = table(folder / expression, "Sample")
    if sample_set == "RTS":
        wanted = pd.read_csv(folder / files.RTS_SAMPLES, sep="\t")["Sample"]
        cells = cells[cells.index.isin(wanted)]
    else:
        cells = cells[cells.index.str.startswith(sample_set)]
    cells = as_candle(cells.dropna(axis=1, how="all"), scaled=not preprocessed)
    trained = table(folder / files.TRAINING_DRUGS, "NAME").dropna(axis=1, how="all")
    drugs = table(folder / files.DRUG_SETS[drug_set], "NAME")[trained.columns]
    # descriptors are scaled whatever was done to the expression
    drugs = as_candle(drugs, scaled=True)
    pairs = len(drugs) ** 2
    return [
        np.repeat(cells.to_numpy(), pairs, axis=0),
        np.tile(np.repeat(drugs.to_numpy(), len(drugs), axis=0), (len(cells), 1)),
        np.tile(drugs.to_numpy(), (len(cells) * len(drugs), 1)),
    ]


def read_by_candle(expression, sample_set, drug_set):
    """Names of the files that CANDLE's infer.py reads."""
    names = {expression, files.TRAINING_DRUGS, files.DRUG_SETS[drug_set]}
    return names | ({files.RTS_SAMPLES} if sample_set == "RTS" else set())


@pytest.mark.parametrize("landmark, preprocessed", PREPROCESSED)
@pytest.mark.parametrize("sample_set, drug_set", [("GDSC", "GDSC"), ("RTS", "pan")])
def test_files_and_numbers_of_candle(
    folder, options, taken, tmp_path, landmark, preprocessed, sample_set, drug_set
):
    """Preprocessed expression isn't scaled again; missing values are still filled."""
    expression = "combined_rnaseq_data" + "_lincs1000" * landmark
    preprocesses = preprocessed in ("source_scale", "combat")
    if preprocesses:
        expression += f"_{preprocessed}"
    names = read_by_candle(expression, sample_set, drug_set)
    options.update(
        sample_set=sample_set,
        drug_set=drug_set,
        data_dir=copied(folder, tmp_path / "data", names),
        use_landmark_genes=landmark,
        preprocess_rnaseq=preprocessed,
    )
    infer(**options)
    expected = expected_inputs(folder, expression, preprocesses, sample_set, drug_set)
    assert len(taken) == len(expected) == 3
    for found, wanted in zip(taken, expected):
        assert found.shape == wanted.shape
        # numbers are read in single precision, and written so
        assert np.allclose(found, wanted, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    "sample_set, missing",
    [
        ("GDSC", files.RNASEQ),
        ("GDSC", files.TRAINING_DRUGS),
        ("GDSC", files.DRUG_SETS["NCI_IOA_AOA"]),
        ("RTS", files.RTS_SAMPLES),
    ],
)
def test_a_missing_file_is_named(folder, options, tmp_path, sample_set, missing):
    names = read_by_candle(files.RNASEQ, sample_set, "NCI_IOA_AOA") - {missing}
    data = copied(folder, tmp_path / "data", names)
    options.update(sample_set=sample_set, data_dir=data)
    with pytest.raises(FileNotFoundError, match=f"^{data / missing}: no such file"):
        infer(**options)
    assert not options["output"].exists()


def test_a_missing_preprocessed_file_is_named(folder, options, tmp_path):
    names = read_by_candle(files.RNASEQ, "GDSC", "NCI_IOA_AOA")
    data = copied(folder, tmp_path / "data", names)
    options.update(data_dir=data, preprocess_rnaseq="combat")
    with pytest.raises(FileNotFoundError, match=f"^{data / files.RNASEQ}_combat: no"):
        infer(**options)


def without_samples(folder, to, prefix):
    """The files that CANDLE reads for GDSC, without some samples."""
    data = copied(folder, to, read_by_candle(files.RNASEQ, "GDSC", "NCI_IOA_AOA"))
    lines = (data / files.RNASEQ).read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(prefix)]
    assert 0 < len(kept) < len(lines)
    (data / files.RNASEQ).write_text("".join(kept))
    return data


def test_the_training_samples_are_not_needed(folder, options, taken, tmp_path):
    """CANDLE takes the genes that hold values in the set itself."""
    expected = [path.read_bytes() for path in infer(**options).paths]
    whole = list(taken)
    options["data_dir"] = without_samples(folder, tmp_path / "data", "NCI60.")
    options["output"] = tmp_path / "other"
    with pytest.warns(UserWarning, match=r"without a value in GDSC .*\(1, the first"):
        found = [path.read_bytes() for path in infer(**options).paths]
    assert found == expected
    for one, other in zip(whole, taken):
        assert np.array_equal(one, other)


def test_the_set_itself_is_needed(folder, options, tmp_path):
    options["data_dir"] = without_samples(folder, tmp_path / "data", "GDSC.")
    with pytest.raises(DataFileError, match="has no sample whose name begins .*'GDSC'"):
        infer(**options)


def test_a_gene_that_only_the_set_lacks_keeps_its_place(
    folder, options, taken, tmp_path
):
    """As the training samples, which say which genes there are, have it: it is 0."""
    names = read_by_candle(files.RNASEQ, "GDSC", "NCI_IOA_AOA")
    data = copied(folder, tmp_path / "data", names)
    cells = table(data / files.RNASEQ, "Sample")
    used = cells[cells.index.str.startswith("NCI60")].dropna(axis=1, how="all").columns
    gone = used[3]
    cells.loc[cells.index.str.startswith("GDSC"), gone] = np.nan
    cells.to_csv(data / files.RNASEQ, sep="\t")
    infer(**{**options, "data_dir": data})
    assert np.all(taken[0][:, 3] == 0)
    assert np.ptp(taken[0], axis=0).astype(bool).sum() >= N_GENES - 2
    # without them it can't be known, and the model takes more genes than there are
    without = cells[cells.index.str.startswith("GDSC")]
    without.to_csv(data / files.RNASEQ, sep="\t")
    with (
        pytest.warns(UserWarning, match=r"without a value in GDSC .*\(2, the first"),
        pytest.raises(ValidationError, match=r"\[8, 10, 10\] features.*\[7, 10, 10\]"),
    ):
        infer(**{**options, "data_dir": data})
    # but where every gene of the file has values there is no doubt
    without.drop(columns=without.columns[without.isna().all()]).assign(GENE="1").to_csv(
        data / files.RNASEQ, sep="\t"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        infer(**{**options, "data_dir": data})


@pytest.mark.parametrize("preprocessed", ["source_scale", "combat"])
def test_preprocessed_expression_is_not_scaled_in_training_and_infer(
    folder, options, taken, tmp_path, preprocessed
):
    """A model of our own training; means for missing values are those of training."""
    features, trained, _ = training_scaling(folder, preprocess_rnaseq=preprocessed)
    path = tmp_path / "own.model.h5"
    small_model(features.n_features).save(path)
    features.save(features_path(path))
    cells = table(folder / f"{files.RNASEQ}_{preprocessed}", "Sample")
    lines = cells[cells.index.str.startswith("NCI60")].dropna(axis=1, how="all")
    filled = lines.fillna(lines.mean()).to_numpy()
    assert np.allclose(features.transform_cells(trained), filled, rtol=1e-6)
    infer(**{**options, "model_file": path, "candle_scaling": False})
    wanted = cells[cells.index.str.startswith("GDSC")][lines.columns]
    wanted = wanted.fillna(lines.mean()).to_numpy()
    assert np.allclose(taken[0], np.repeat(wanted, 16, axis=0), rtol=1e-6)
