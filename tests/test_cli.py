import pytest
from kmodels import mlp

from nengo_permadrop import __version__, cli, models
from nengo_permadrop.backends import backend_names
from nengo_permadrop.keras_layers import keras


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
    assert "usage: nengo-permadrop" in capsys.readouterr().err


def test_convert(model_file, capsys):
    assert cli.main(["convert", model_file]) == 0
    out = capsys.readouterr().out
    assert "7 LIF neurons" in out and "5 LIF neurons" in out
    assert "permanent dropout of 7 units, rate 0.3" in out
    assert "12 neurons, 2 permanent dropouts" in out


def test_convert_refuses_lambda(tmp_path, capsys):
    path = tmp_path / "lambda.h5"
    inp = keras.Input((2,))
    keras.Model(inp, keras.layers.Lambda(lambda x: x)(inp)).save(str(path))
    assert cli.main(["convert", str(path)]) == 1
    captured = capsys.readouterr()
    assert "Lambda" in captured.err and captured.err.count("\n") == 1
    assert captured.out == ""


def test_errors_are_one_line_with_the_mend(capsys):
    assert cli.main(["convert", "nowhere.h5"]) == 1
    err = capsys.readouterr().err
    assert err == "nengo-permadrop: nowhere.h5: no such model file\n"
    assert cli.main(["convert", "--debug", "nowhere.h5"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_interrupt(monkeypatch, capsys):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.backends, "get_backend", interrupted)
    assert cli.main(["backends"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_backends(capsys, monkeypatch):
    assert cli.main(["backends"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == backend_names()

    def missing(name):
        raise ImportError("This needs it. Install it with: pip install it")

    monkeypatch.setattr(cli.backends, "get_backend", missing)
    assert cli.main(["backends"]) == 0
    assert "not available: This needs it" in capsys.readouterr().out


def test_study_passes_its_options_on(monkeypatch, capsys, tmp_path):
    import nengo_permadrop.study

    calls = []

    class Result:
        @staticmethod
        def verdict():
            return type("Verdict", (), {"words": "They agree: so they do."})

    def fake(dataset, **options):
        calls.append((dataset, options))
        return Result

    monkeypatch.setattr(nengo_permadrop.study, "study", fake)
    argv = ["study", "--dataset", "combo-small", "--draws", "7", "--seed", "3"]
    assert cli.main([*argv, "-o", str(tmp_path)]) == 0
    ((dataset, options),) = calls
    assert dataset == "combo-small"
    assert (options["draws"], options["seed"]) == (7, 3)
    assert options["output"] == str(tmp_path) and options["settle"] is None
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == "They agree: so they do."


def test_bench_passes_its_options_on(monkeypatch):
    import nengo_permadrop.bench

    calls = []
    for name in ("run_benchmark", "growth"):
        monkeypatch.setattr(
            nengo_permadrop.bench,
            name,
            lambda *args, name=name: calls.append((name, args)),
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
    assert cli.main(["energy", path, "--devices", "abacus"]) == 1
    assert "unknown device 'abacus'" in capsys.readouterr().err
