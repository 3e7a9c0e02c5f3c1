import argparse
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from combo_helpers import SIZES
from kmodels import mlp

from nengo_permadrop import __version__, cli, models
from nengo_permadrop.backends.base import backend_names
from nengo_permadrop.cli import output
from nengo_permadrop.cli.commands import backends
from nengo_permadrop.combo.data.generator import generate_files
from nengo_permadrop.sources.keras.layers import PermanentDropout, SoftLIF, keras


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.h5"
    mlp(units=(7, 5), rate=0.3).save(str(path))
    return str(path)


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.strip() == f"nengo-permadrop {__version__}"


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["dance"],
        ["study", "--draws", "0"],
        ["study", "--seed", "-1"],
        ["study", "--dataset", "iris"],
        ["study", "--backend", "keras"],
    ],
)
def test_usage_errors(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(argv)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nengo-permadrop") and line.endswith("--help' lists all)")


def test_convert(model_file, capsys):
    assert cli.main(["convert", model_file]) == 0
    out = capsys.readouterr().out
    assert "7 LIF neurons" in out and "5 LIF neurons" in out
    assert "permanent dropout of 7 units, rate 0.3" in out
    assert "12 neurons, 2 permanent dropouts" in out
    assert "Firing rates, by theory, for inputs of mean 0 and variance 1:" in out
    assert "LAYER" in out.partition("Firing rates")[2] and "Warnings" not in out


def test_convert_warns(tmp_path, capsys):
    path = str(tmp_path / "weak.h5")
    keras.utils.set_random_seed(0)
    x = inp = keras.Input((6,))
    for number in range(3):
        x = keras.layers.Dense(40, kernel_initializer="he_normal")(x)
        name = f"weak{number}"
        x = SoftLIF(gain=1.0, amplitude=0.005, gamma=0.03, name=name)(x)
        x = PermanentDropout(0.2)(x)
    keras.Model(inp, keras.layers.Dense(1)(x)).save(path)
    assert cli.main(["convert", path]) == 0
    words = capsys.readouterr().out.partition("Warnings, by theory")[2]
    assert "'weak0'" in words and "SoftLIF(gain=2" in words
    assert max(map(len, words.splitlines())) < 80


def test_convert_as_json(model_file, capsys):
    assert cli.main(["convert", "--json", model_file]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["neurons"], facts["neuron_layers"], facts["dropouts"]) == (12, 2, 2)
    assert facts["verification_error"] < 1e-4
    assert [layer["n_neurons"] for layer in facts["rates"]] == [7, 5]
    assert facts["warnings"] == [] and 0 <= facts["bias"] < 0.15
    assert all(set(x) == {"layer", "class", "becomes"} for x in facts["layers"])


def test_convert_says_what_activations_cost(tmp_path, capsys):
    path = str(tmp_path / "gelu.h5")
    layers = [
        keras.layers.Dense(5, "gelu", name="smooth"),
        keras.layers.Dense(4, keras.layers.ReLU(6.0), name="six"),
        keras.layers.Dropout(0.1),
        keras.layers.Dense(3, "relu", name="plain"),
        keras.layers.Dense(2, "softmax", name="class"),
    ]
    keras.Sequential([keras.Input((3,)), *layers]).save(path)
    assert cli.main(["convert", path]) == 0
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert ["gelu", "5", "30", "6", "0.0123"] in lines
    assert ["relu", "4", "8", "2", "exact"] in lines
    assert ["relu", "3", "3", "1", "exact"] in lines
    assert "30 SpikingRectifiedLinear neurons (6 a unit)" in out
    assert "output 'class' ends with softmax, which is applied" in out
    assert "that approximated activations change" in out

    assert cli.main(["convert", "--json", path]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["neurons"] == 41 == sum(x["neurons"] for x in facts["activations"])
    assert facts["links"] == {"class": "softmax"}
    assert facts["verification_error"] < 1e-5
    assert 1e-4 < facts["approximation_error"] < 0.1


def test_convert_refuses_lambda(tmp_path, capsys):
    path = tmp_path / "lambda.h5"
    inp = keras.Input((2,))
    keras.Model(inp, keras.layers.Lambda(lambda x: x)(inp)).save(str(path))
    assert cli.main(["convert", str(path)]) == 1
    captured = capsys.readouterr()
    assert "Lambda" in captured.err and captured.err.count("\n") == 1
    assert captured.out == ""


def test_errors_are_one_line_with_the_fix(capsys):
    assert cli.main(["convert", "nowhere.h5"]) == 1
    err = capsys.readouterr().err
    assert err == "nengo-permadrop: nowhere.h5: no such model file\n"
    assert cli.main(["convert", "--debug", "nowhere.h5"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_interrupt(monkeypatch, capsys):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(backends, "get_backend", interrupted)
    assert cli.main(["backends"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_interrupt_in_a_destructor_is_not_lost(monkeypatch, capsys):
    class Interrupted:
        def __del__(self):
            raise KeyboardInterrupt

    def swallows(name):
        Interrupted()
        time.sleep(30)  # until it is raised again

    monkeypatch.setattr(backends, "get_backend", swallows)
    start, hook = time.monotonic(), sys.unraisablehook
    assert cli.main(["backends"]) == 130
    assert time.monotonic() - start < 20
    assert capsys.readouterr().err == "nengo-permadrop: interrupted\n"
    assert sys.unraisablehook is hook


def test_backends(capsys, monkeypatch):
    assert cli.main(["backends"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == backend_names()

    def missing(name):
        raise ImportError("This needs it. Install it with: pip install it")

    monkeypatch.setattr(backends, "get_backend", missing)
    assert cli.main(["backends"]) == 0
    assert "not available: This needs it" in capsys.readouterr().out
    assert cli.main(["backends", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)[0]
    assert first["version"] is None and first["reason"].startswith("This needs it")


class FakeVerdict:
    words = "They agree: so they do."
    agree = True

    def __bool__(self):
        return self.agree


@pytest.fixture(name="studies")
def _studies(monkeypatch):
    """Calls of `study`, which does nothing; what its result is as a dict is fixed."""
    import nengo_permadrop.study.report
    import nengo_permadrop.study.run

    calls = []

    class Result:
        judgements = staticmethod(dict)

        @staticmethod
        def verdict():
            return FakeVerdict()

    def fake(dataset, **options):
        calls.append((dataset, options))
        return Result

    facts = {"agree": True, "bias": float("nan"), "tests": [1] * 1000}
    monkeypatch.setattr(nengo_permadrop.study.run, "study", fake)
    monkeypatch.setattr(nengo_permadrop.study.report, "to_dict", lambda result: facts)
    return calls


def test_study_passes_its_options_on(studies, capsys, tmp_path):
    argv = ["study", "--dataset", "combo-small", "--draws", "7", "--seed", "3"]
    assert cli.main([*argv, "-o", str(tmp_path)]) == 0
    ((dataset, options),) = studies
    assert dataset == "combo-small"
    assert (options["n_draws"], options["seed"]) == (7, 3)
    assert options["output"] == str(tmp_path) and options["settle"] is None
    assert options["tune"] is False
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == "They agree: so they do."


def test_tuned_study(studies, capsys, tmp_path):
    assert cli.main(["study", "--tune", "-o", str(tmp_path)]) == 0
    ((_, options),) = studies
    assert options["tune"] is True


@pytest.mark.parametrize(
    "given", [["--calibrate"], ["--settle", "0.1"], ["--synapse", "0.01"]]
)
def test_what_tuning_chooses_is_not_given(given, capsys, tmp_path):
    folder = tmp_path / "study"
    assert cli.main(["study", "--tune", *given, "-o", str(folder)]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"tune: chooses {given[0][2:]} itself" in line
    assert not folder.exists()


def test_study_as_json(studies, capsys):
    assert cli.main(["study", "--json", "-o", "there"]) == 0
    found = json.loads(capsys.readouterr().out)
    report = os.path.join("there", "report.html")
    assert found == {"report": report, "agree": True, "bias": None}


@pytest.mark.parametrize("agree, strict, code", [(0, 0, 0), (0, 1, 3), (1, 1, 0)])
def test_strict_study_tells_by_its_exit_code(agree, strict, code, studies, monkeypatch):
    monkeypatch.setattr(FakeVerdict, "agree", bool(agree))
    assert cli.main(["study", *["--strict"] * strict]) == code


def test_bench_passes_its_options_on(monkeypatch):
    import nengo_permadrop.bench

    calls = []
    for name in ("run_benchmark", "growth"):
        monkeypatch.setattr(
            nengo_permadrop.bench,
            name,
            lambda *args, log, name=name: calls.append((name, args)),
        )
    assert cli.main(["bench", "--replicas", "9", "--only", "batched", "nengo"]) == 0
    assert cli.main(["bench", "--growth", "--steps", "100"]) == 0
    assert calls == [
        ("run_benchmark", (9, 300, 200, ["batched", "nengo"], 3)),
        ("growth", (2000, 100, 200, 3)),
    ]
    assert {"batched", "nengo"} <= set(nengo_permadrop.bench.installed_peers())


def test_bench_names_an_unknown_simulator(capsys):
    assert cli.main(["bench", "--only", "abacus"]) == 1
    assert "abacus" in capsys.readouterr().err


def test_energy(tmp_path, capsys):
    path = str(tmp_path / "model.h5")
    models.mlp(10, units=(7, 5)).save(path)
    argv = ["energy", path, "--draws", "3", "--observations", "2", "--devices", "loihi"]
    assert cli.main(argv) == 0
    out = capsys.readouterr().out
    assert "distribution of 3 draws, 100 ms each" in out
    assert "static and idle power" in out and "Davies" in out and "gpu" not in out
    assert cli.main([*argv, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [device["device"] for device in found["devices"]] == ["loihi"]
    assert found["devices"][0]["total"] > 0
    assert [layer["neurons"] for layer in found["layers"]] == [7, 5, 12]
    assert cli.main(["energy", path, "--devices", "abacus"]) == 1
    assert "unknown device 'abacus'" in capsys.readouterr().err


def test_energy_counts_its_rows(tmp_path, capsys):
    """Not fewer in silence; as the study does."""
    path = str(tmp_path / "model.h5")
    models.mlp(10, units=(7, 5)).save(path)
    assert cli.main(["energy", path, "--observations", "111"]) == 1
    assert "has 110 test rows, fewer than the 111" in capsys.readouterr().err


def test_energy_of_combo(tmp_path, capsys, monkeypatch):
    """On the rows that the model's training kept for the test."""
    from nengo_permadrop import combo, datasets
    from nengo_permadrop.accounting import estimate

    data, prefix = tmp_path / "data", tmp_path / "saved"
    generate_files(data, **SIZES)
    options = {"seed": 7, "n_test": 10}
    dataset = datasets.load("combo", data_dir=data, **options)
    features = dataset.train.n_features
    small = {"dense": (4,), "dense_feature_layers": (4,)}
    kmodel = combo.model(features["cell"], features["drug1"], **small)
    how = {"epochs": 1, "progress": False, "data_options": options}
    combo.train(kmodel, dataset, prefix, **how)
    shown, energy = [], estimate.energy

    def counted(conv, rows, **kwargs):
        shown.append(rows)
        return energy(conv, rows, **kwargs)

    monkeypatch.setattr(estimate, "energy", counted)
    argv = ["energy", f"{prefix}.model.h5", "--dataset", "combo", "--draws", "2"]
    argv += ["--data-dir", str(data), "--observations", "3"]
    assert cli.main(argv) == 0
    for name, values in dataset.test.take(slice(3)).inputs.items():
        assert np.array_equal(shown[0][name], values)
    assert "distribution of 2 draws" in capsys.readouterr().out


def test_combo_data_overwrites_nothing_unasked(tmp_path, capsys):
    (tmp_path / "combined_rnaseq_data").write_text("CANDLE's own")
    argv = ["combo-data", "-o", str(tmp_path), "--cells", "4", "--drugs", "3"]
    argv += ["--genes", "6", "--descriptors", "6", "--set-samples", "2"]
    argv += ["--set-drugs", "2"]
    assert cli.main(argv) == 1
    err = capsys.readouterr().err
    assert "combined_rnaseq_data" in err and "--overwrite" in err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["CANDLE's own"]
    assert cli.main([*argv, "--overwrite"]) == 0
    assert (tmp_path / "combined_rnaseq_data").read_text() != "CANDLE's own"


def test_folders_that_are_files_are_told_in_one_line(tmp_path, model_file, capsys):
    path = tmp_path / "file"
    path.touch()
    for argv in (
        ["study", "-o", str(path)],
        ["study", "-o", str(path / "under")],
        ["combo-data", "-o", str(path)],
        ["infer", "-o", str(path), "-m", model_file],
    ):
        assert cli.main(argv) == 1
        err = capsys.readouterr().err
        assert "is a file, or lies under one" in err and err.count("\n") == 1


def test_bench_as_json(monkeypatch, capsys):
    import nengo_permadrop.bench

    def fake(*args, log):
        log("a sign of life")
        return [{"seconds": np.float64(0.5)}]

    monkeypatch.setattr(nengo_permadrop.bench, "run_benchmark", fake)
    assert cli.main(["bench", "--json", "--only", "batched"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == [{"seconds": 0.5}]
    assert captured.err == "a sign of life\n"


# --- what all commands do


def test_every_command_can_print_json():
    (commands,) = (
        action
        for action in cli.parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    for command in commands.choices.values():
        assert {"--json", "--debug"} <= set(command._option_string_actions)


def test_show(capsys):
    data = {1: np.arange(2), "x": (np.float32(0.5), np.inf, None, "text")}
    output.show(argparse.Namespace(json=True), data, "words")
    assert json.loads(capsys.readouterr().out) == {
        "1": [0, 1],
        "x": [0.5, None, None, "text"],
    }
    output.show(argparse.Namespace(json=False), data, "words")
    assert capsys.readouterr().out == "words\n"


COMMAND = [sys.executable, "-m", "nengo_permadrop"]


def test_reader_that_has_read_enough():
    """No complaint where standard output is closed; the code is of SIGPIPE."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*COMMAND, "--print-completion", "bash"],
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (output.BROKEN_PIPE, b"")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    "words, completions",
    [
        (["st"], {"study"}),
        (["study", "--dra"], {"--draws"}),
        (["convert", "--target", ""], {"nengo", "loihi"}),
    ],
)
def test_completion_in_bash(words, completions, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--print-completion", "bash"])
    assert stopped.value.code == 0
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out)
    # what bash does when the tab key is pressed behind the last word
    asked = f"""
        source {script}
        COMP_WORDS=(nengo-permadrop {" ".join(repr(word) for word in words)})
        COMP_CWORD={len(words)}
        _shtab_nengo_permadrop nengo-permadrop {words[-1]!r}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", asked], capture_output=True, text=True, timeout=60, check=True
    )
    assert set(done.stdout.split()) == completions
