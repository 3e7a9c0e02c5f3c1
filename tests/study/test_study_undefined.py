"""Studies with draws that don't spread, and with names of all kinds."""

import dataclasses
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import nengo_permadrop as npd
from nengo_permadrop.datasets.base import Split, standardised
from nengo_permadrop.study import uncertainty
from nengo_permadrop.study.report import file_names, to_dict, warnings_of
from nengo_permadrop.study.run import study

for module in ("sklearn", "jinja2", "matplotlib"):
    pytest.importorskip(module)

pytestmark = pytest.mark.filterwarnings(
    "ignore::nengo_permadrop.converter.checks.AgreementWarning"
)

TINY = dict(
    n_draws=8,
    observations=5,
    epochs=1,
    workers=1,
    model_options={"units": (6,)},
    progress=False,
)


@pytest.fixture(name="result", scope="module")
def _result():
    return study("diabetes", **TINY)


def changed(result, **constant):
    """A study in which all draws of some rows are the same."""
    fields = {}
    for name, rows in constant.items():
        samples = getattr(result, f"samples_{name}")
        values = samples.values.copy()
        values[:, rows] = 150.0
        fields[f"samples_{name}"] = with_values(samples, values)
    result = dataclasses.replace(result, **fields)
    return dataclasses.replace(
        result,
        agreement=npd.ks_agreement(result.samples_spiking, result.samples_classical),
        control=npd.ks_agreement(result.samples_control, result.samples_classical),
        recalibration=uncertainty.fit(result.samples_validation, result.dataset),
    )


def with_values(samples, values):
    return npd.PredictiveSamples(
        values,
        output_names=samples.output_names,
        observation_names=samples.observation_names,
        backend=samples.backend,
        seed=samples.seed,
    )


def strict(text):
    """JSON that any reader takes."""

    def refuse(word):
        raise ValueError(word)

    return json.loads(text, parse_constant=refuse)


@pytest.mark.filterwarnings("ignore:NLL of output:UserWarning")
@pytest.mark.filterwarnings("ignore:all draws of:UserWarning")
@pytest.mark.parametrize(
    "constant, places",
    [
        (dict(classical=[1]), {"bias.spiking", "spread.spiking", "bias.control"}),
        (dict(spiking=[1]), {"spread.spiking"}),
        (dict(control=[1]), {"spread.control"}),
        (dict(spiking=[1], classical=[1]), {"bias.spiking", "spread.spiking"}),
        (dict(spiking=slice(None)), {"spread.spiking"}),
        (dict(classical=slice(None)), {"bias.spiking", "bias.control"}),
        (dict(validation=[2]), set()),
        (dict(validation=slice(None)), {"recalibration.0"}),
        (dict(spiking=[0], control=[1], classical=[2], validation=[3]), set()),
    ],
    ids=[f"case{number}" for number in range(9)],
)
def test_what_is_not_defined_is_null_and_says_why(constant, places, result, tmp_path):
    found = changed(result, **constant)
    found.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(file_names())
    told = strict((tmp_path / "agreement.json").read_text())
    assert places <= set(told["undefined"])
    for place, reason in told["undefined"].items():
        assert "same" in reason
        value = told
        for key in place.split("."):
            value = value[int(key) if isinstance(value, list) else key]
        assert value is None
    page = (tmp_path / "report.html").read_text()
    assert not re.search(r"\b(nan|inf)\b", re.sub(r'src="[^"]*"', "", page))
    assert ("not defined" in page) == bool(set(told["undefined"]) - {"recalibration.0"})
    told_places = [text for text in warnings_of(found) if "Not defined" in text]
    assert bool(told_places) == bool(told["undefined"])


def test_reasons_hold_the_value_of_the_other_observations(result):
    found = changed(result, classical=[1])
    others = np.array([0, 2, 3, 4])
    spiking, classical = found.samples_spiking, found.samples_classical
    expected = np.mean(
        (spiking.mean() - classical.mean())[others] / classical.std()[others]
    )
    assert found.bias() == {"spiking": None, "control": None}
    reason = found.undefined()["bias.spiking"]
    assert "all draws of 1 of 5 distributions are the same" in reason
    assert float(reason.rpartition(" ")[2]) == pytest.approx(expected, rel=0.01)
    ratio = np.exp(np.mean(np.log(spiking.std()[others] / classical.std()[others])))
    reason = found.undefined()["spread.spiking"]
    assert float(reason.rpartition(" ")[2]) == pytest.approx(ratio, rel=0.01)


def test_what_is_defined_is_as_it_was(result):
    spiking, classical = result.samples_spiking, result.samples_classical
    bias = np.mean((spiking.mean() - classical.mean()) / classical.std())
    spread = np.exp(np.mean(np.log(spiking.std() / classical.std())))
    assert result.bias()["spiking"] == bias
    assert result.spread()["spiking"] == pytest.approx(spread)
    assert to_dict(result)["undefined"] == {}


def test_r2_of_equal_targets(result):
    found = dataclasses.replace(result, r2={"validation": np.nan, "test": 0.5})
    told = to_dict(found)
    assert told["r2"] == {"validation": None, "test": 0.5}
    assert "all the same" in told["undefined"]["r2.validation"]


@pytest.mark.filterwarnings("ignore:all draws of:UserWarning")
def test_an_output_that_never_spreads_is_left_as_it_is(rng):
    values = rng.standard_normal((50, 6, 2))
    values[:, :, 1] = 0.25
    target = rng.standard_normal((6, 2))
    rows = Split({"input": np.zeros((6, 1))}, target, {})

    class Dataset:
        validation = rows

        @staticmethod
        def in_units(values):
            return values

    found = uncertainty.fit(npd.PredictiveSamples(values), Dataset)
    alone = npd.PredictiveSamples(values[:, :, :1])
    expected = npd.metrics.recalibrate(alone, target[:, :1])
    assert found.scale == pytest.approx([expected.scale[0], 1.0])


OUTPUTS = ("$growth_{1$ <b>&", "tab\tand\nline \0", "N")
OBSERVATIONS = ("$x$", '<script>"&', "a\tb\nc", "_u", "", "ü" * 300, "\ud800", "N")


@pytest.fixture(name="hostile", scope="module")
def _hostile():
    rng = np.random.RandomState(0)
    n = 40
    labels = {
        "N": np.array([OBSERVATIONS[i % len(OBSERVATIONS)] for i in range(n)], object),
        "a\tb $y$": np.arange(n),
    }
    rows = Split({"input": rng.standard_normal((n, 3))}, rng.randn(n, 3), labels)
    parts = np.split(np.arange(n)[::-1], [20, 30])
    return standardised(
        "<i>$data$\n</i>", rows, parts, "t$", "from <u>$\n", output_names=OUTPUTS
    )


@pytest.mark.filterwarnings("ignore:Glyph:UserWarning")
def test_names_of_all_kinds(hostile, tmp_path):
    result = study(hostile, output=tmp_path, **TINY)
    assert {path.name for path in tmp_path.iterdir()} == set(file_names())
    samples = npd.load_samples(tmp_path / "samples_spiking.npz")
    assert tuple(samples.output_names) == OUTPUTS
    assert samples.observation_names == result.samples_spiking.observation_names

    table = pd.read_csv(tmp_path / "summary.tsv", sep="\t", keep_default_na=False)
    assert len(table) == 5
    shown = hostile.test.take(slice(5))
    first = [str(name).replace("\ud800", "\\ud800") for name in shown.labels["N"]]
    assert list(table["N"]) == first
    assert list(table["N.1"]) == [8] * 5  # pandas numbers columns of one name
    assert np.allclose(
        table[f"Pred{OUTPUTS[0]}Mean"], samples.mean()[:, 0], atol=5.1e-5
    )
    assert np.allclose(table["N.2"], hostile.in_units(shown.target)[:, 2], atol=5.1e-5)

    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    tags = set()
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.add(tag)
    parser.feed(page)
    assert not tags & {"script", "b", "i", "u"}
    assert "\0" not in page and "&lt;b&gt;&amp;" in page
    strict((tmp_path / "agreement.json").read_text())
