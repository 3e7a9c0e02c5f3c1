"""Inference on all pairs of drugs, as CANDLE's infer.py does it."""

import csv
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from combo_helpers import SIZES, save_candle_weights, small_model
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop import cli
from nengo_permadrop.backends import batched
from nengo_permadrop.backends.keras import keras_masks
from nengo_permadrop.combo import infer as infer_module
from nengo_permadrop.combo.data import files
from nengo_permadrop.combo.data.generator import generate_files
from nengo_permadrop.combo.data.reading import DataFileError
from nengo_permadrop.combo.data.rows import ComboTables
from nengo_permadrop.combo.data.scaling import features_path
from nengo_permadrop.combo.dataset import training_scaling
from nengo_permadrop.combo.infer import infer
from nengo_permadrop.combo.pairs import Pairs
from nengo_permadrop.combo.tables import PredictionTables
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.sampling.sampler import Sampler
from nengo_permadrop.sources.keras.forward import KerasForward
from nengo_permadrop.sources.keras.layers import keras
from nengo_permadrop.sources.keras.loading import load_model, load_weights

pytest.importorskip("sklearn")

# of presentations that are too short
pytestmark = pytest.mark.filterwarnings("ignore:.* may not agree")

N_DRAWS = 5
SHORT = dict(presentation_time=0.03, settle=0.025)  # seconds; enough to compare


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    """Generated data files, and a model with its weights and feature scaling."""
    path = tmp_path_factory.mktemp("combo")
    generate_files(path, **SIZES)
    features, _, _ = training_scaling(path)
    kmodel = small_model(features.n_features)
    kmodel.save(path / "saved.uq.model.h5")
    # the weights are those of the file of weights: the model's own are others
    other = small_model(features.n_features, seed=1)
    save_candle_weights(other, path / "saved.uq.weights.h5")
    features.save(features_path(path / "saved.uq.model.h5"))
    return path


@pytest.fixture(name="model")
def _model(folder):
    kmodel = load_model(folder / "saved.uq.model.h5")
    load_weights(kmodel, folder / "saved.uq.weights.h5")
    return kmodel


@pytest.fixture(name="options")
def _options(folder, tmp_path):
    return dict(
        sample_set="GDSC",
        drug_set="NCI_IOA_AOA",
        ns=3,
        nd=3,
        model_file=folder / "saved.uq.model.h5",
        weights_file=folder / "saved.uq.weights.h5",
        n_pred=N_DRAWS,
        data_dir=folder,
        output=tmp_path / "out",
        backend="keras",
        seed=4,
        progress=False,
    )


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream, delimiter="\t"))


def own_features(folder, samples, drugs1, drugs2):
    """Features of rows, one by one, by their names."""
    features, _, _ = training_scaling(folder)
    expression = files.read_sample_set("GDSC", folder)
    descriptors = files.read_drug_set("NCI_IOA_AOA", folder)
    cells = dict(zip(expression.ids, features.transform_cells(expression)))
    drugs = dict(zip(descriptors.ids, features.transform_drugs(descriptors)))
    return [
        np.array([table[name] for name in names])
        for table, names in ((cells, samples), (drugs, drugs1), (drugs, drugs2))
    ]


def test_each_row_is_predicted_from_its_own_features(folder, model, options):
    """Against direct calls of Keras's layers, row by row, with the same masks."""
    infer(**options)
    rows = rows_of(options["output"] / "comb_pred_GDSC_NCI_IOA_AOA.all.tsv")[1:]
    forward = KerasForward(model, dropout="off")
    names = sorted(
        {tuple(row[:3]) for row in rows}, key=[tuple(r[:3]) for r in rows].index
    )
    features = own_features(folder, *zip(*names))
    assert len({values.tobytes() for values in np.hstack(features)}) == 27
    for number in range(len(names)):
        inputs = [values[number : number + 1] for values in features]
        for draw in range(N_DRAWS):
            mask_seed = derive_seed(4, np.array([draw]), np.array([number]))
            (direct,) = forward(inputs, keras_masks(forward, mask_seed))
            *labels, n, seq, growth = rows[number * N_DRAWS + draw]
            assert tuple(labels) == names[number]
            assert (n, seq) == (str(N_DRAWS), str(draw + 1))
            assert abs(float(growth) - direct[0, 0]) <= 5.1e-5  # of rounding


def expected_bytes(values, samples, drugs):
    """Both tables, written anew: CANDLE's columns, order, tabs and decimals."""
    summary = [
        "Sample\tDrug1\tDrug2\tN\tPredGrowthMean\tPredGrowthStd\tPredGrowthMin\t"
        "PredGrowthMax"
    ]
    every = ["Sample\tDrug1\tDrug2\tN\tSeq\tPredGrowth"]
    n, row = len(values), 0
    for sample in samples:
        for drug1 in drugs:
            for drug2 in drugs:
                label = f"{sample}\t{drug1}\t{drug2}\t{n}"
                v = values[:, row]
                summary.append(
                    f"{label}\t{np.mean(v):.4f}\t{np.std(v):.4f}\t{np.min(v):.4f}\t"
                    f"{np.max(v):.4f}"
                )
                every += [f"{label}\t{i + 1}\t{x:.4f}" for i, x in enumerate(v)]
                row += 1
    return [
        "".join(f"{line}\n" for line in table).encode() for table in (summary, every)
    ]


def test_slides_command(folder, model, tmp_path, monkeypatch, capsys):
    """infer as in the slides, to the byte; its folder holds CANDLE's files."""
    monkeypatch.chdir(folder)
    argv = "infer -s GDSC -d NCI_IOA_AOA --ns 10 --nd 5 -m saved.uq.model.h5 -w "
    argv += f"saved.uq.weights.h5 -n 100 -o {tmp_path} --presentation-time 0.03 "
    argv += "--settle 0.025"
    assert cli.main(argv.split()) == 0
    paths = capsys.readouterr().out.split()
    names = ["comb_pred_GDSC_NCI_IOA_AOA.tsv", "comb_pred_GDSC_NCI_IOA_AOA.all.tsv"]
    assert paths == [str(tmp_path / name) for name in names]
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())

    samples = [f"GDSC.S00{i}" for i in range(1, 5)]
    drugs = [row[0] for row in rows_of(files.DRUG_SETS["NCI_IOA_AOA"])[1:]]
    product = [(s, a, b) for s in samples for a in drugs for b in drugs]
    whole = npd.sample(
        npd.Converter(model),
        own_features(folder, *zip(*product)),
        n_draws=100,
        progress=False,
        **SHORT,
    )
    expected = expected_bytes(whole.values[:, :, 0], samples, drugs)
    assert [(tmp_path / name).read_bytes() for name in names] == expected


def test_tables_are_those_of_pandas(tmp_path):
    """The bytes of pandas.DataFrame.to_csv of the whole table, as CANDLE calls it."""
    import pandas as pd

    rng = np.random.RandomState(0)
    values = rng.randn(3, 6) * 10.0 ** rng.randint(-6, 6, size=(3, 6))
    values[:, 0] = -1e-9
    names = {
        "Sample": np.array(list("aabbcc")),
        "Drug1": np.array(["x", 'q"uote', "y", "z", "NSC.1", "7"]),
        "Drug2": np.array(list("uvwxyz")),
    }
    with PredictionTables(tmp_path, "S", "D") as tables:
        for start in (0, 1, 4):
            part = slice(start, {0: 1, 1: 4, 4: 6}[start])
            tables.write({k: v[part] for k, v in names.items()}, values[:, part])
    summary = pd.DataFrame(
        {
            **names,
            "N": 3,
            "PredGrowthMean": np.mean(values, axis=0),
            "PredGrowthStd": np.std(values, axis=0),
            "PredGrowthMin": np.min(values, axis=0),
            "PredGrowthMax": np.max(values, axis=0),
        }
    )
    every = pd.DataFrame({**names, "N": 3}).merge(
        pd.DataFrame({"Seq": range(1, 4)}), how="cross"
    )
    every["PredGrowth"] = values.T.ravel()
    for path, table in ((tables.summary_path, summary), (tables.all_path, every)):
        written = table.to_csv(sep="\t", index=False, float_format="%.4f")
        assert path.read_bytes().decode() == written


def test_one_prediction(options):
    infer(**{**options, "n_pred": 1})
    rows = rows_of(options["output"] / "comb_pred_GDSC_NCI_IOA_AOA.tsv")
    for *_, n, mean, std, low, high in rows[1:]:
        assert n == "1" and std == "0.0000" and mean == low == high


def same_but_for_rounding(a, b):
    """Whether tables have the same labels, and numbers that differ in a last digit."""
    one, other = rows_of(a), rows_of(b)
    labels = 5 if one[0][4] == "Seq" else 4
    assert [row[:labels] for row in one] == [row[:labels] for row in other]
    numbers = [np.array([r[labels:] for r in t[1:]], float) for t in (one, other)]
    return np.allclose(*numbers, rtol=0, atol=1.1e-4)


@pytest.mark.parametrize("backend", ["keras", "batched"])
def test_blocks_do_not_matter(options, backend, tmp_path):
    """Up to rounding: matrices of another size may be multiplied in another order."""
    if backend != "keras":
        options.update(SHORT, backend=backend)
    whole = infer(**options)
    assert whole.n_rows == 27 and (whole.n_samples, whole.n_drugs) == (3, 3)
    for sizes in (dict(step=7), dict(batch_size=4 * N_DRAWS)):
        options["output"] = tmp_path / "blocks"
        result = infer(**{**options, **sizes})
        assert all(map(same_but_for_rounding, whole.paths, result.paths))


def test_one_simulator_is_built_for_all_blocks(options, monkeypatch):
    built = []

    class Counted(batched.Simulator):
        def __init__(self, *args, **kwargs):
            built.append(args)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(batched, "Simulator", Counted)
    options.update(SHORT, backend="batched", step=1)
    assert infer(**options).n_rows == 27
    assert len(built) == 1


def test_on_the_reference_simulator(options):
    """The same draws as the batched backend's."""
    options.update(SHORT, n_pred=2, ns=1, nd=1)
    fast = infer(**{**options, "backend": "batched"})
    fast_rows = rows_of(fast.paths[1])
    slow = infer(**{**options, "backend": "nengo"})
    assert rows_of(slow.paths[1]) == fast_rows


def test_warns_once_for_all_blocks(options):
    times = {"presentation_time": 0.03, "settle": 0.001}
    options.update(times, backend="batched", n_pred=2, step=2)
    with pytest.warns(npd.AgreementWarning, match="settle is 0.001 s") as record:
        infer(**options)
    assert len([w for w in record if w.category is npd.AgreementWarning]) == 1


def test_on_loihi(options):
    """Converted for Loihi, which this model wasn't trained for."""
    pytest.importorskip("nengo_loihi")
    options.update(SHORT, backend="nengo_loihi", n_pred=2, ns=1, nd=1)
    with pytest.warns(UserWarning, match="rates that Loihi's neurons don't have"):
        assert infer(**options).n_rows == 1


def test_goes_on_after_sigkill(options, tmp_path):
    """Killed after some of the blocks are done; then the bytes of a run in one go."""
    arguments = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in options.items()
    }
    arguments.update(step=2, output=str(tmp_path / "killed"))
    arguments.update(checkpoint=str(tmp_path / "kept"))
    code = (
        "import os, signal\n"
        "from nengo_permadrop.execution.checkpoint import Checkpoint\n"
        "from nengo_permadrop.combo.infer import infer\n"
        "save = Checkpoint.save\n"
        "def save_and_die(self, name, array):\n"
        "    save(self, name, array)\n"
        "    if name == 'rows-8-10':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "Checkpoint.save = save_and_die\n"
        f"infer(**{arguments!r})\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    left = {path.name for path in (tmp_path / "killed").iterdir()}
    assert not left & {f"comb_pred_GDSC_NCI_IOA_AOA{i}.tsv" for i in ("", ".all")}

    calls = []
    draw = Sampler.draw

    def counted(*args, **kwargs):
        calls.append(kwargs["first_observation"])
        return draw(*args, **kwargs)

    # with another step: blocks are those of the run that was killed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sampler, "draw", counted)
        resumed = infer(**{**arguments, "step": 5})
    assert calls == list(range(10, 27, 2))
    whole = infer(**{**options, "step": 2})
    for one, other in zip(resumed.paths, whole.paths):
        assert one.read_bytes() == other.read_bytes()
    with pytest.raises(ValidationError, match="seed was 4 and is now 5"):
        infer(**{**arguments, "seed": 5})


def test_part_of_the_samples_is_predicted_as_in_the_whole(options):
    _, whole = (path.read_bytes() for path in infer(**options).paths)
    _, part = (
        path.read_bytes() for path in infer(**{**options, "si": 1, "ns": 1}).paths
    )
    n = 9 * N_DRAWS
    header, *lines = whole.splitlines()
    assert part.splitlines() == [header, *lines[n : 2 * n]]
    with pytest.raises(ValidationError, match="si: must be less than 4, the number"):
        infer(**{**options, "si": 4})


def test_all_samples_and_drugs_by_default(options):
    result = infer(**{**options, "ns": 0, "nd": 0, "si": 2})
    assert (result.n_samples, result.n_drugs, result.n_rows) == (2, 4, 32)


def test_quantiles(options):
    plain, _ = infer(**options).paths
    before = rows_of(plain)
    wide, every = infer(**options, quantiles=(0.05, 0.5)).paths
    rows = rows_of(wide)
    assert [row[:8] for row in rows] == before
    assert rows[0][8:] == ["PredGrowthQ0.05", "PredGrowthQ0.5"]
    draws = np.array([row[5] for row in rows_of(every)[1:]], float).reshape(27, -1)
    found = np.array([row[8:] for row in rows[1:]], float)
    assert np.allclose(found, np.quantile(draws, [0.05, 0.5], axis=1).T, atol=1.1e-4)


def test_classical_and_spiking_agree_on_the_mean(options):
    """Draws have a standard deviation of 0.3 or so; 50 of them, 27 rows, 4 errors."""
    means = {}
    for backend in ("keras", "batched"):
        path, _ = infer(**{**options, "backend": backend, "n_pred": 50}).paths
        table = np.array([row[4:6] for row in rows_of(path)[1:]], float)
        means[backend] = table
    error = np.sqrt(np.sum([table[:, 1] ** 2 / 50 for table in means.values()], 0))
    assert np.all(np.abs(means["keras"][:, 0] - means["batched"][:, 0]) < 5 * error)


def test_a_lambda_is_refused_before_anything_is_done(folder, options, tmp_path):
    inp = keras.Input((2,))
    kmodel = keras.Model(inp, keras.layers.Lambda(lambda x: x)(inp))
    path = tmp_path / "lambda.model.h5"
    kmodel.save(path)
    options["model_file"] = path
    with pytest.raises(npd.ConversionError, match="is Python code, which isn.t read"):
        infer(**options)
    assert not options["output"].exists()
    with pytest.raises(ValueError, match="doesn't hold the weights of model"):
        infer(**options, trust=True)  # it has none


def test_models_of_candle_are_scaled_as_candle_does(folder, model, options, tmp_path):
    """No features file; the scaling is that of each set on its own."""
    path = tmp_path / "candle.model.h5"
    model.save(path)
    options.update(model_file=path, weights_file=None)
    with pytest.raises(
        FileNotFoundError, match="candle.features.npz.*--candle-scaling"
    ):
        infer(**options)
    _, candle = infer(**options, candle_scaling=True).paths
    features, _, _ = training_scaling(folder)
    samples = files.read_sample_set("GDSC", folder)
    drugs = files.read_drug_set("NCI_IOA_AOA", folder)
    refitted = features.refitted(samples, drugs)
    cells, descriptors = (
        refitted.transform_cells(samples),
        refitted.transform_drugs(drugs),
    )
    assert np.allclose(cells.mean(axis=0), 0, atol=1e-5)  # of the whole set
    whole = npd.sample(
        model,
        [cells[[0] * 3], descriptors[[0] * 3], descriptors[:3]],
        n_draws=N_DRAWS,
        backend="keras",
        seed=4,
        progress=False,
    )
    growth = [float(row[5]) for row in rows_of(candle)[1 : 1 + 3 * N_DRAWS]]
    assert np.allclose(growth, whole.values[:, :, 0].T.ravel(), atol=5.1e-5)


def test_candles_scaling_asks_for_no_file_that_candle_does_not_read(
    folder, model, options, tmp_path
):
    """Its infer.py reads the expression, the training drugs and the set's."""
    path = tmp_path / "candle.model.h5"
    model.save(path)
    options.update(model_file=path, weights_file=None, candle_scaling=True)
    expected = [each.read_bytes() for each in infer(**options).paths]
    data = tmp_path / "data"
    data.mkdir()
    for name in (files.RNASEQ, files.TRAINING_DRUGS, files.DRUG_SETS["NCI_IOA_AOA"]):
        shutil.copy(folder / name, data)
    options.update(data_dir=data, output=tmp_path / "other")
    assert [each.read_bytes() for each in infer(**options).paths] == expected


def test_plain_dropout_is_off_as_in_candle(folder, options, tmp_path):
    features, _, _ = training_scaling(folder)
    kmodel = small_model(features.n_features, dropout=keras.layers.Dropout)
    path = tmp_path / "plain.model.h5"
    kmodel.save(path)
    features.save(features_path(path))
    options.update(model_file=path, weights_file=None)
    with pytest.raises(ValidationError, match="no permanent dropout"):
        infer(**options)


def test_expression_is_that_of_training(folder, options, tmp_path):
    features, _, _ = training_scaling(folder, preprocess_rnaseq="combat")
    path = tmp_path / "combat.model.h5"
    small_model(features.n_features).save(path)
    features.save(features_path(path))
    options.update(model_file=path, weights_file=None)
    default, _ = (path.read_bytes() for path in infer(**options).paths)
    asked, _ = (
        path.read_bytes() for path in infer(**options, preprocess_rnaseq="combat").paths
    )
    assert default == asked
    with pytest.raises(ValidationError, match="on 'combined_rnaseq_data_combat', not"):
        infer(**options, use_landmark_genes=True)


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(n_pred=0), ValidationError, "n_pred: must be an integer >= 1"),
        (
            dict(quantiles=(2,)),
            ValidationError,
            "quantiles: must be a finite number >= 0 and <= 1",
        ),
        (dict(drug_set="all"), ValidationError, "no drug set is called 'all'"),
        (dict(sample_set="CCLE"), DataFileError, "has no sample"),
        (dict(backend="abacus"), ValidationError, "abacus"),
        (dict(model_file="no.h5"), FileNotFoundError, "no.h5"),
        (dict(weights_file="no.h5"), FileNotFoundError, "no.h5.*-w"),
        (dict(data_dir="nowhere"), FileNotFoundError, "combo-data"),
    ],
)
def test_errors(options, change, error, message):
    with pytest.raises(error, match=message):
        infer(**{**options, **change})
    assert not options["output"].exists()


def test_model_of_another_size(folder, options, tmp_path):
    path = tmp_path / "other.model.h5"
    small_model({"cell": 8, "drug1": 9, "drug2": 9}).save(path)
    features, _, _ = training_scaling(folder)
    features.save(features_path(path))
    options.update(model_file=path, weights_file=None)
    with pytest.raises(ValidationError, match=r"\[8, 9, 9\] features.*\[8, 10, 10\]"):
        infer(**options)


def test_the_weights_of_the_model_itself(options):
    """Named as a file of weights, as the command's -w can't be left out."""
    own = infer(**{**options, "weights_file": None}).paths[1].read_bytes()
    other = infer(**options).paths[1].read_bytes()
    options["weights_file"] = options["model_file"]
    assert infer(**options).paths[1].read_bytes() == own != other


def test_a_failure_leaves_no_half_table(options, monkeypatch):
    old, _ = infer(**options).paths
    before = {path.name: path.read_bytes() for path in old.parent.iterdir()}
    calls = []

    def failing(*args, **kwargs):
        calls.append(args)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return draw(*args, **kwargs)

    draw = Sampler.draw
    monkeypatch.setattr(Sampler, "draw", failing)
    with pytest.raises(KeyboardInterrupt):
        infer(**{**options, "step": 5, "seed": 9})
    assert {path.name: path.read_bytes() for path in old.parent.iterdir()} == before


def test_rows_without_number_take_no_memory():
    """As many as CANDLE's NCIPDM samples with all pairs of ALMANAC's drugs."""
    tables = ComboTables(
        np.arange(590, dtype=np.float32)[:, np.newaxis],
        np.arange(104, dtype=np.float32)[:, np.newaxis],
        np.array([f"S{i}" for i in range(590)]),
        np.array([f"D{i}" for i in range(104)]),
    )
    pairs = Pairs(tables)
    assert len(pairs) == 6_381_440
    last = pairs.rows(len(pairs) - 3, len(pairs) + 10)
    assert [label.tolist() for label in last.labels.values()] == [
        ["S589"] * 3,
        ["D103"] * 3,
        ["D101", "D102", "D103"],
    ]
    first = pairs.rows(103, 106).gather()
    assert first["cell"].ravel().tolist() == [0, 0, 0]
    assert first["drug1"].ravel().tolist() == [0, 1, 1]
    assert first["drug2"].ravel().tolist() == [103, 0, 1]


def test_blocks_fit_into_memory(folder):
    features, _, _ = training_scaling(folder)
    assert infer_module._block_size(10_000, 100_000, 100, features) == 200
    assert infer_module._block_size(10_000, 1000, 100, features) == 10
    assert infer_module._block_size(7, 100_000, 100, features) == 7
    assert infer_module._block_size(7, 10, 100, features) == 1
    wide = type("Wide", (), {"n_features": {"cell": 2**20}})
    assert infer_module._block_size(10_000, 100_000, 1, wide) == 16
