"""The arguments of nengo-permadrop infer."""

import argparse
import functools
import inspect

import pytest

from nengo_permadrop import cli
from nengo_permadrop.cli.commands import infer as command

OWN = {"run", "json", "debug", "workers", "dask"}


def parsed(*argv):
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    return parser.parse_args(["infer", *argv])


def test_candles_options_and_defaults():
    args = parsed()
    assert (args.sample_set, args.drug_set) == ("NCIPDM", "ALMANAC")
    assert (args.batch_size, args.step, args.n_pred) == (100_000, 10_000, 1)
    assert (args.model_file, args.weights_file) == (
        "saved.model.h5",
        "saved.weights.h5",
    )
    assert (args.ns, args.nd, args.si) == (0, 0, 0)
    assert not args.use_landmark_genes and args.preprocess_rnaseq is None
    argv = "--sample_set A --drug_set B --batch_size 3 --step 4 --model_file C "
    argv += "--n_pred 5 --weights_file D --ns 6 --nd 7 --si 8 --use_landmark_genes "
    argv += "--preprocess_rnaseq combat"
    args = parsed(*argv.split())
    assert (args.sample_set, args.drug_set, args.model_file) == ("A", "B", "C")
    assert (args.batch_size, args.step, args.n_pred) == (3, 4, 5)
    assert (args.weights_file, args.ns, args.nd, args.si) == ("D", 6, 7, 8)
    assert args.use_landmark_genes and args.preprocess_rnaseq == "combat"


def test_every_argument_reaches_infer(monkeypatch, capsys):
    """All that is parsed is an argument of the function, and none of it has no way."""
    from nengo_permadrop.combo import infer as module

    signature = inspect.signature(module.infer)
    given = {}

    @functools.wraps(module.infer)
    def fake(**options):
        given.update(options)
        return module.Inference(1, 2, 4, ("a.tsv", "b.tsv"))

    monkeypatch.setattr(module, "infer", fake)
    assert cli.main(["infer", "--quantiles", "0.05,0.95", "--seed", "3"]) == 0
    assert set(given) == set(signature.parameters) - {"progress"}
    assert given["quantiles"] == (0.05, 0.95) and given["seed"] == 3
    defaults = parsed()
    # and what the command itself deals with
    assert set(vars(defaults)) - set(given) == {*OWN, "parser"}
    for name, parameter in signature.parameters.items():
        if hasattr(defaults, name):
            assert getattr(defaults, name) == parameter.default
    assert capsys.readouterr().out == "a.tsv\nb.tsv\n"


@pytest.mark.parametrize(
    "argv", [["-n", "0"], ["--quantiles", "2"], ["--quantiles", "x"], ["--ns", "-1"]]
)
def test_usage_errors(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["infer", *argv])
    assert stopped.value.code == 2
    assert argv[0] in capsys.readouterr().err


def test_a_missing_model_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["infer"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "saved.model.h5: no such model file" in err
