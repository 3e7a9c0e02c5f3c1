"""
Wrong calls of the command: each ends with one line that names what is wrong.

What it says to write instead works: behind each wrong call stands the right one.
"""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from combo_helpers import SIZES
from kmodels import save_weights

from nengo_permadrop.cli import main
from nengo_permadrop.combo.data.generator import generate_files
from nengo_permadrop.keras_layers import keras

for module in ("sklearn", "jinja2", "matplotlib"):
    pytest.importorskip(module)
h5py = pytest.importorskip("h5py")
layers = keras.layers

pytestmark = pytest.mark.filterwarnings(
    "ignore::nengo_permadrop.converter.checks.AgreementWarning"
)

STUDY = "study --model m.h5 --data rows.csv --target y --id name -n 8 --observations 4"
STUDY += " --workers 1 --overwrite -o right"
PREDICT = "predict m.h5 rows.csv --id name --ignore y -n 4"
ENERGY = "energy m.h5 --data rows.csv --id name --ignore y -n 4 --observations 2"
TWO = "study --model two.h5 --data rows.csv --target y --id name -n 8 --observations 4"
TWO += " --workers 1 --overwrite -o right2 --input left=a:b --input right=c"
CONVERT, BACKENDS = "convert m.h5", "backends"
BENCH = "bench --replicas 2 --steps 50 --units 5 --repeats 1 --only batched"
DATA = "combo-data -o new --overwrite " + " ".join(
    f"--{name.removeprefix('n_').replace('_', '-')} {n}"
    for name, n in SIZES.items()
    if name.startswith("n_")
)
TRAIN = "combo-train --data-dir combo -o trained --overwrite -e 1 --dense 4 4"
TRAIN += " --dense_feature_layers 4 4 --n-test 8"

# The wrong call, what its line has to name, and the right call
CALLS = (
    # commands and options
    ("stduy", "'stduy'; is it study?", STUDY),
    ("nonsense", "choose from study, predict", CONVERT),
    ("", "required: COMMAND", CONVERT),
    ("convert", "required: model", CONVERT),
    ("convert m.h5 two.h5", "no place for 'two.h5'", CONVERT),
    ("convert m.h5 --taget nengo", "--taget; is it --target?", CONVERT),
    ("convert m.h5 --target moon", "--target: there is no 'moon'", CONVERT),
    ("convert m.h5 --target", "--target: expected one argument", CONVERT),
    ("backends --foo", "no option --foo", BACKENDS),
    ("bench --layers 3", "no option --layers", BENCH),
    ("bench --replicas none", "--replicas: invalid whole number", BENCH),
    ("bench --replicas 0", "must be at least 1, got 0", BENCH),
    ("bench --only btched", "no simulator btched; there are", BENCH),
    (BENCH.replace("50", "2"), "must be more than 40, got 2", BENCH),
    (f"{STUDY} --dataset iris", "'iris'", STUDY),
    (f"{STUDY} --backend keras", "'keras'; choose from batched", STUDY),
    (f"{STUDY} --backend bached", "'bached'; is it batched?", STUDY),
    (f"{STUDY} -n 1", "--n-draws: must be an integer >= 2", STUDY),
    (f"{STUDY} -n ten", "invalid whole number value: 'ten'", STUDY),
    (f"{STUDY} --seed -3", "--seed", STUDY),
    (f"{STUDY} --settle 0.3 --presentation-time 0.1", "--settle: must be", STUDY),
    (f"{STUDY} --presentation-time -1", "must be greater than 0, got -1", STUDY),
    (f"{STUDY} --synapse 0", "must be greater than 0, got 0", STUDY),
    (f"{STUDY} --tune --calibrate", "--tune: chooses calibrate itself", STUDY),
    (f"{STUDY} --epochs 3", "--model: is given trained", STUDY),
    (f"{STUDY} --anneal nothing", "invalid number value: 'nothing'", STUDY),
    # data that don't go together
    (f"{STUDY} --dataset digits", "--dataset says other data than --data", STUDY),
    (f"{STUDY} --data-dir x", "--data-dir says other data than --data", STUDY),
    ("study --target y", "--target: is said of rows of your own", STUDY),
    ("study --id name", "--id: is said of rows of your own", STUDY),
    ("study --dataset diabetes --data-dir x", "'diabetes' has no option 'data", STUDY),
    ("study --dataset digits --model m.h5 -o d", "takes inputs of [3] features", STUDY),
    ("study --weights m.h5 -o d", "--weights: are those of a model", STUDY),
    # files of rows
    (STUDY.replace("rows.csv", "none.csv"), "none.csv: no such file of rows", STUDY),
    (STUDY.replace("rows.csv", "rows.xls"), "'rows.xls' ends in none of .csv", STUDY),
    (STUDY.replace("rows.csv", "folder.csv"), "'folder.csv' is a folder", STUDY),
    (STUDY.replace("rows.csv", "empty.csv"), "'empty.csv' can't be read", STUDY),
    (STUDY.replace("rows.csv", "picture.csv"), "picture.csv", STUDY),
    (STUDY.replace("rows.csv", "tabs.csv"), "name the file 'tabs.tsv'", STUDY),
    (STUDY.replace("rows.csv", "bare.csv"), ": bare.csv has no header: its", STUDY),
    (STUDY.replace("rows.csv", "latin.csv"), "save it as UTF-8", STUDY),
    (STUDY.replace("rows.csv", "bad.npz"), "'bad.npz' can't be read as .npz", STUDY),
    (STUDY.replace("rows.csv", "holes.csv"), "nothing in row 3 of 'b'", STUDY),
    (STUDY.replace("rows.csv", "few.csv"), "few.csv has 3 rows", STUDY),
    (STUDY.replace("--target y", "--target Y"), "no column 'Y'; is it 'y'?", STUDY),
    (STUDY.replace(" --target y", ""), "which column of rows.csv is the", STUDY),
    (STUDY.replace(" --id name", ""), "column 'name' of rows.csv doesn't", STUDY),
    (f"{STUDY} --ignore c", "takes 3 features, and rows.csv has 2", STUDY),
    (f"{STUDY} --observations 31", "has 30 test rows, fewer than the 31", STUDY),
    (f"{STUDY} --input x", "must be NAME=COLUMN", STUDY),
    (TWO.partition(" --input")[0], "several inputs ('left' of 2, 'right'", TWO),
    (f"{TWO} --input middle=c", "inputs are 'left', 'right'", TWO),
    (TWO.replace("right=c", "right=a:c"), "'right' takes 1 features, and", TWO),
    # files of models
    (PREDICT.replace("m.h5", "none.h5"), "none.h5: no such model file", PREDICT),
    (PREDICT.replace("m.h5", "text.h5"), "text.h5: is neither HDF5", PREDICT),
    (PREDICT.replace("m.h5", "empty.h5"), "empty.h5: is neither HDF5", PREDICT),
    (PREDICT.replace("m.h5", "half.h5"), "half.h5", PREDICT),
    (PREDICT.replace("m.h5", "weights.h5"), "weights.h5: holds no model", PREDICT),
    (PREDICT.replace("m.h5", "other.h5"), "other.h5: holds no model", PREDICT),
    (PREDICT.replace("m.h5", "zip.keras"), "zip.keras", PREDICT),
    (PREDICT.replace("m.h5", "m.pt"), "'m.pt': is a pickle, whose loading", PREDICT),
    (PREDICT.replace("m.h5", "m.tf"), "'m.tf': ends in '.tf', which no", PREDICT),
    (PREDICT.replace("m.h5", "folder"), "folder is not read", PREDICT),
    (PREDICT.replace("m.h5", "begun"), "'begun' isn't finished", PREDICT),
    (CONVERT.replace("m.h5", "begun"), "'begun' isn't finished", CONVERT),
    (CONVERT.replace("m.h5", "done"), "done/model.h5: no such model file", CONVERT),
    (PREDICT.replace(" --ignore y", ""), "is said by ids and ignore (--id", PREDICT),
    (PREDICT.replace("m.h5", "lambda.h5"), "lambda.h5", PREDICT),
    (CONVERT.replace("m.h5", "pool.h5"), "MaxPooling1D", CONVERT),
    (PREDICT.replace("m.h5", "certain.h5"), "no permanent dropout", PREDICT),
    (
        f"{STUDY} --weights text.h5",
        "text.h5: is neither HDF5 nor a .keras archive",
        STUDY,
    ),
    (f"{STUDY} --weights wide.h5", "wide.h5: doesn't hold the weights of", STUDY),
    # where results go
    (STUDY.replace("-o right", "-o afile"), "afile: is a file", STUDY),
    (STUDY.replace("-o right", "-o afile/x"), "afile/x: is a file", STUDY),
    (STUDY.replace("-o right", "-o /proc/x"), "/proc/x: can't be written to", STUDY),
    (STUDY.replace("--overwrite -o right", "-o full"), "--overwrite", STUDY),
    (f"{PREDICT} -o .", "--output: '.' ends in none of .csv", f"{PREDICT} -o p.csv"),
    (f"{PREDICT} -o p.xls", "'p.xls' ends in none of", f"{PREDICT} -o p.csv"),
    (f"{PREDICT} -o folder.csv", "'folder.csv' is a folder", f"{PREDICT} -o p.csv"),
    (f"{PREDICT} -o afile/p.csv", "afile: is a file", f"{PREDICT} -o p.csv"),
    (f"{PREDICT} -o rows.csv", "holds the rows, which it would", f"{PREDICT} -o p.csv"),
    (f"{PREDICT} --level 90", "must be between 0 and 1, got 90", PREDICT),
    (f"{PREDICT} --quantiles a,b", "--quantiles: invalid list of numbers", PREDICT),
    (f"{PREDICT} --quantiles 5", "must be from 0 to 1, got 5", PREDICT),
    (f"{PREDICT} --checkpoint afile", "afile: is a file", PREDICT),
    ("energy begun", "'begun' isn't finished", ENERGY),
    ("energy done", "is of rows of your own; give them, too: --data FILE", ENERGY),
    (f"{ENERGY} --devices abacus", "abacus", ENERGY),
    (f"{ENERGY} --dataset digits", "--dataset says other data", ENERGY),
    # Combo
    ("combo-data", "required: -o/--output", DATA),
    (DATA.replace("-o new", "-o afile"), "afile: is a file", DATA),
    (DATA.replace("--overwrite ", "").replace("-o new", "-o combo"), "combo", DATA),
    (f"{DATA} --cells 0", "must be at least 1, got 0", DATA),
    (TRAIN.replace("combo -o", "nowhere -o"), "nowhere", TRAIN),
    (TRAIN.replace("-o trained", "-o afile/x"), "afile: is a file", TRAIN),
    (f"{TRAIN} --dropout 1", "must be at least 0 and below 1, got 1", TRAIN),
    (f"{TRAIN} --optimizer adm", "adm", TRAIN),
    (f"{TRAIN} -a tanh", "'tanh'; choose from softlif, relu", TRAIN),
    ("infer -m none.h5", "none.h5: no such model file", CONVERT),
    ("infer -m m.h5 --data-dir nowhere -w none.h5", "none.h5", CONVERT),
    (
        "infer -s NCIPDN -m m.h5 -w w.h5 --data-dir combo",
        "m.features.npz: no such file",
        CONVERT,
    ),
)


def small(inputs, x, units=20):
    x = layers.Dropout(0.3)(layers.Dense(units, "relu")(x))
    return keras.Model(inputs, layers.Dense(1)(x))


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory):
    """Where there is all that is named above."""
    folder = tmp_path_factory.mktemp("wrong")
    keras.utils.set_random_seed(0)
    x, left, right = (
        keras.Input((n,), name=name)
        for name, n in (("x", 3), ("left", 2), ("right", 1))
    )
    kmodel = small(x, x)
    kmodel.save(folder / "m.h5")
    save_weights(kmodel, folder / "w.h5")
    save_weights(kmodel, folder / "weights.h5")
    small(x, x, 21).save(folder / "wide.h5")
    small([left, right], layers.concatenate([left, right])).save(folder / "two.h5")
    small(x, layers.Lambda(lambda x: 2 * x)(x)).save(folder / "lambda.h5")
    pooled = layers.Flatten()(layers.MaxPooling1D(3)(layers.Reshape((3, 1))(x)))
    small(x, pooled).save(folder / "pool.h5")
    keras.Model(x, layers.Dense(1)(x)).save(folder / "certain.h5")
    for name, content in (
        ("text.h5", b"not a model"),
        ("empty.h5", b""),
        ("half.h5", (folder / "m.h5").read_bytes()[:3000]),
        ("m.pt", b"not a model"),
        ("m.tf", b"not a model"),
        ("afile", b"a file"),
        ("rows.xls", b"a,b"),
        ("empty.csv", b""),
        ("picture.csv", b"\x89PNG\r\n\x1a\n\x00\xff"),
        ("bad.npz", b"PK no more"),
    ):
        (folder / name).write_bytes(content)
    with h5py.File(folder / "other.h5", "w") as file:
        file["data"] = np.zeros(3)
    with zipfile.ZipFile(folder / "zip.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({}))
    for name in ("folder", "folder.csv", "begun", "begun/unfinished", "done"):
        (folder / name).mkdir()
    (folder / "done" / "agreement.json").write_text('{"options": {"dataset": "X"}}')
    rows = pd.DataFrame(
        np.random.RandomState(0).normal(size=(60, 4)), columns=[*"abcy"]
    )
    rows.insert(0, "name", [f"row {i}" for i in range(60)])
    rows.to_csv(folder / "rows.csv", index=False)
    rows.head(3).to_csv(folder / "few.csv", index=False)
    rows.to_csv(folder / "tabs.csv", index=False, sep="\t")
    numbers = rows.drop(columns="name")
    numbers.to_csv(folder / "bare.csv", index=False, header=False)
    named = rows.replace({"name": {"row 2": "L\u00e4rm"}})
    named.to_csv(folder / "latin.csv", index=False, encoding="latin-1")
    rows.loc[3, "b"] = np.nan
    rows.to_csv(folder / "holes.csv", index=False)
    generate_files(folder / "combo", **SIZES)
    return folder


@pytest.fixture(scope="module", name="right")
def _right(folder):
    """What right calls have given, so that each is made once."""
    return {}


def called(argv, capsys):
    """Exit code, and the lines on standard output and standard error."""
    capsys.readouterr()
    try:
        code = main(argv)
    except SystemExit as stopped:
        code = stopped.code
    found = capsys.readouterr()
    return code, found.out.splitlines(), found.err.splitlines()


@pytest.mark.parametrize("wrong, words, right_call", CALLS, ids=[c[0] for c in CALLS])
def test_wrong_call(folder, right, capsys, monkeypatch, wrong, words, right_call):
    monkeypatch.chdir(folder)
    if wrong.endswith("-o full") and not (folder / "full").exists():
        assert main(STUDY.replace("-o right", "-o full").split()) == 0
    code, out, err = called(wrong.split(), capsys)
    assert code in (1, 2) and not out
    (line,) = [each for each in err if ": note:" not in each]
    assert words in line
    assert line.startswith("nengo-permadrop") and len(line) < 400
    assert "defect of the program" not in line and "Errno" not in line
    if right_call not in right:
        right[right_call] = called(right_call.split(), capsys)[::2]
    code, err = right[right_call]
    assert code == 0, err
