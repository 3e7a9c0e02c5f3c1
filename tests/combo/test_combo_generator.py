"""Generated files in CANDLE's formats."""

import csv
import os

import numpy as np
import pytest
from combo_helpers import SIZES
from nengo.exceptions import ValidationError

from nengo_permadrop import cli
from nengo_permadrop.combo.data import files
from nengo_permadrop.combo.data.drug_pairs import generate
from nengo_permadrop.combo.data.generator import generate_files


@pytest.fixture(name="data_dir", scope="module")
def _data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("combo")
    generate_files(path, **SIZES, seed=3)
    return path


def response_rows(data_dir):
    with open(data_dir / files.RESPONSE, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_writes_candles_names(data_dir):
    assert {path.name for path in data_dir.iterdir()} == {
        "ComboDrugGrowth_Nov2017.csv",
        "NCI60_CELLNAME_to_Combo.txt",
        "NCI60_CELLNAME_to_Combo.new.txt",
        "RTS_PDM_samples",
        *(
            f"combined_rnaseq_data{genes}{processed}"
            for genes in ("", "_lincs1000")
            for processed in ("", "_source_scale", "_combat")
        ),
        "ALMANAC_drug_descriptors_dragon7.txt",
        "GDSC_PubChemCID_drug_descriptors_dragon7",
        "NCI_IOA_AOA_drug_descriptors_dragon7",
        "RTS_drug_descriptors_dragon7",
        "pan_drugs_dragon7_descriptors.tsv",
    }


def test_same_seed_same_bytes(data_dir, tmp_path):
    for path in generate_files(tmp_path / "same", **SIZES, seed=3):
        assert path.read_bytes() == (data_dir / path.name).read_bytes()
    generate_files(tmp_path / "other", **SIZES, seed=4)
    for name in (files.RESPONSE, files.RNASEQ, files.TRAINING_DRUGS):
        assert (tmp_path / "other" / name).read_bytes() != (
            data_dir / name
        ).read_bytes()


def test_growth_is_that_of_the_screen(data_dir):
    """What is read is the generated growth, in spite of all that real files have."""
    response = files.read_response(data_dir)
    names, codes = response.drug1
    other_names, other_codes = response.drug2
    described = set(files.read_training_drugs(data_dir).ids)
    screen = generate(
        6,
        5,
        9,
        11,
        0.9,
        rng=np.random.RandomState(3),
        n_unscreened_cells=8,
        n_unscreened_drugs=12,
    )
    known = [
        growth
        for growth, a, b in zip(response.growth, names[codes], other_names[other_codes])
        if a in described and b in described
    ]
    # 6 digits of a percentage
    assert np.allclose(np.sort(known), np.sort(screen.growth), atol=2e-5)


def test_has_the_rows_and_values_that_real_files_have(data_dir):
    rows = response_rows(data_dir)
    assert {row["VALID"] for row in rows} == {"Y", "N"}
    assert any(row["PERCENTGROWTH"] in files.MISSING for row in rows)
    assert any(row["SCORE"] in files.MISSING for row in rows)
    assert any(row["NSC2"] == "" and row["CONC2"] == "" for row in rows)
    described = set(files.read_training_drugs(data_dir).ids)
    assert any(row["NSC2"] and row["NSC2"] not in described for row in rows)
    repeated = [(r["CELLNAME"], r["NSC1"], r["CONC1"], r["NSC2"]) for r in rows]
    assert len(set(repeated)) < len(rows)
    for table in (
        files.read_training_cells(data_dir),
        files.read_training_drugs(data_dir),
    ):
        empty = np.isnan(table.values).all(axis=0)
        some = np.isnan(table.values).any(axis=0)
        assert empty.any() and (some & ~empty).any()
        spread = np.nanmax(table.values[:, ~empty], axis=0) - np.nanmin(
            table.values[:, ~empty], axis=0
        )
        assert (spread == 0).any() and (spread > 0).any()
    text = (data_dir / files.TRAINING_DRUGS).read_text()
    assert "\tna" in text


def test_sets_are_disjoint_from_training(data_dir):
    seen = set(files.read_drug_set("ALMANAC", data_dir).ids)
    assert seen == set(files.read_drug_set("pan", data_dir).ids)
    for name in ("GDSC", "NCI_IOA_AOA", "RTS"):
        drugs = files.read_drug_set(name, data_dir)
        assert len(drugs) == 4 and not seen & set(drugs.ids)
    assert len(files.read_sample_set("GDSC", data_dir)) == 4
    assert len(files.read_sample_set("RTS", data_dir)) == 2
    assert len(files.read_sample_set("NCI60", data_dir)) == 6


def test_preprocessed_expression_has_no_differences_of_sources(data_dir):
    name = files.rnaseq_file(preprocess_rnaseq="source_scale")
    for source in ("NCI60", "GDSC"):
        values = files.read_sample_set(source, data_dir, name).values
        filled = ~np.isnan(values).all(axis=0)
        assert np.allclose(np.nanmean(values[:, filled], axis=0), 0, atol=1e-4)


def test_a_failure_leaves_what_was_there(data_dir, tmp_path, monkeypatch):
    generate_files(tmp_path, **SIZES, seed=0)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def no_space(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        generate_files(tmp_path, **SIZES, seed=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "attr, value",
    [("n_cells", 0), ("n_genes", 1), ("n_doses", 0), ("measured", 1.5)],
)
def test_validates(attr, value, tmp_path):
    with pytest.raises(ValidationError, match=attr):
        generate_files(tmp_path / "new", **{**SIZES, attr: value})
    assert not (tmp_path / "new").exists()


def test_command(tmp_path, capsys, data_dir):
    argv = ["combo-data", "-o", str(tmp_path / "made"), "--seed", "3"]
    for option in ("cells", "drugs", "genes", "descriptors", "set_samples"):
        argv += [f"--{option.replace('_', '-')}", str(SIZES[f"n_{option}"])]
    argv += ["--set-drugs", "4", "--measured", "0.9", "--doses", "2"]
    assert cli.main(argv) == 0
    assert str(tmp_path / "made" / files.RESPONSE) in capsys.readouterr().out
    for path in (tmp_path / "made").iterdir():
        assert path.read_bytes() == (data_dir / path.name).read_bytes()
