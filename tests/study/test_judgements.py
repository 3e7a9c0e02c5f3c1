"""What a report says of five networks, and how it looks."""

import base64
import dataclasses
import json
import re

import numpy as np
import pytest
from browsers import new_browser, resized

import nengo_permadrop as npd
from nengo_permadrop.keras_layers import keras
from nengo_permadrop.study.judgements import next_step
from nengo_permadrop.study.report import render, to_dict
from nengo_permadrop.study.steps import power_of

for module in ("sklearn", "jinja2", "matplotlib"):
    pytest.importorskip(module)
layers = keras.layers

# small SoftLIF networks may be warned of; whether they agree is what is tested here
pytestmark = pytest.mark.filterwarnings(
    "ignore::nengo_permadrop.converter.checks.AgreementWarning"
)


# where only the words of a page matter
NAMES = ("softlif", "means", "pvalues", "ecdf_most_extreme", "predictive")
PICTURES = {f"{name}.png": b"" for name in (*NAMES, "calibration")}


def rows(n, noise, seed):
    """Inputs, and targets that they explain but for noise."""
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n, 4)).astype("float32")
    y = 3 * np.sin(X[:, 0]) + 2 * X[:, 1] + noise * rng.normal(size=n)
    return X, y.astype("float32")


def network(X, y, rate=0.1, activation="softlif"):
    from nengo_permadrop.keras_layers import SoftLIF

    keras.utils.set_random_seed(1)
    kmodel = keras.Sequential([keras.Input((4,))])
    for _ in range(2):
        bias = keras.initializers.Constant(0.2)
        kmodel.add(layers.Dense(50, None, True, "he_normal", bias))
        kmodel.add(layers.ReLU() if activation == "relu" else SoftLIF())
        kmodel.add(layers.Dropout(rate))
    kmodel.add(layers.Dense(1))
    kmodel.compile(keras.optimizers.Adam(5e-3), "mse")
    kmodel.fit(X, y, epochs=25, verbose=0)
    return kmodel


def studied(name):
    X, y = rows(400, 0.3, 0)
    options, noise = {}, 0.3
    if name == "useless":
        y = np.random.RandomState(2).permutation(y)
    if name == "overconfident":
        options, noise = {"rate": 0.03, "activation": "relu"}, 3.0
    if name == "relu":
        options = {"activation": "relu"}
    kmodel = network(X, y, **options)
    X, y = rows(300, noise, 1)
    if name == "wrong mean":
        y = y + 12
    return npd.study(kmodel, X, y, n_draws=60, observations=80, progress=False)


@pytest.fixture(scope="module", name="studies")
def _studies():
    names = ("good", "wrong mean", "overconfident", "useless", "relu")
    return {name: studied(name) for name in names}


def states(study):
    return {name: each.state for name, each in study.judgements().items()}


def test_good(studies):
    for name in ("good", "relu"):
        study = studies[name]
        judged = study.judgements()
        assert judged["agreement"].state == "good", judged["agreement"]
        assert judged["accuracy"].state == "good"
        assert judged["agreement"].answer == "Yes, as far as 60 draws of each can show."
        assert f"{study.certificate.bias:.3f} standard deviations" in (
            judged["agreement"].words
        )
        assert study.certificate.words() in judged["agreement"].words
        step = next_step(judged)
        assert step is None or step.startswith("Use recalibrated intervals")


def test_wrong_mean(studies):
    judged = studies["wrong mean"].judgements()
    assert judged["agreement"].state == "good"  # both networks are as wrong
    assert judged["accuracy"].state == "bad"
    assert judged["calibration"].state != "good"
    assert judged["accuracy"].answer.startswith("No.")
    found = re.search(r"On average it predicts (\S+) less", judged["accuracy"].words)
    assert float(found[1]) == pytest.approx(12, abs=1)
    assert next_step(judged).startswith("Check that rows and targets are centred")


def test_overconfident(studies):
    study = studies["overconfident"]
    judged = study.judgements()
    assert judged["agreement"].state in ("good", "fair")  # both are as sure
    assert judged["calibration"].state in ("fair", "bad")
    steps = "Use recalibrated intervals", "Train with another dropout rate"
    assert next_step(judged).startswith(steps)
    assert "too narrow" in judged["calibration"].answer
    share = float(re.match(r"(\d+)% of 80 targets", judged["calibration"].words)[1])
    assert share < 50
    assert f"times {study.recalibration.scale[0]:.3g}," in judged["calibration"].words
    assert judged["accuracy"].state in ("good", "fair")


def test_useless(studies):
    judged = studies["useless"].judgements()
    assert judged["agreement"].state in ("good", "fair")
    assert judged["accuracy"].state == "bad"
    assert next_step(judged).startswith("Check that rows and targets are centred")


def test_neurons_that_are_there(studies):
    for name, words, other in (
        ("relu", "SpikingRectifiedLinear", "SoftLIF"),
        ("good", "SoftLIF", "SpikingRectifiedLinear"),
    ):
        page = render(studies[name], PICTURES)
        assert words in page and other not in page, name
        assert studies[name].network["neuron_types"] == {
            ("LIF" if name == "good" else words): 100
        }


def with_effect(study, bias, n_draws, shift=None):
    """A study of the same network with another certificate, and maybe other draws."""
    certificate = dataclasses.replace(study.certificate, bias=bias, n_draws=n_draws)
    changed = {"certificate": certificate}
    if shift is not None:
        spiking = study.samples_spiking
        values = spiking.values + shift * study.samples_classical.std()
        spiking = npd.PredictiveSamples(values, output_names=spiking.output_names)
        changed["samples_spiking"] = spiking
        changed["agreement"] = npd.ks_agreement(spiking, study.samples_classical)
    return dataclasses.replace(study, **changed)


def test_a_small_difference_is_no_no_that_matters(studies):
    seen = with_effect(studies["good"], 0.004, 5000.0, shift=0.8)
    assert not seen.verdict()
    judged = seen.judgements()["agreement"]
    assert judged.state == "fair" and "it is small" in judged.answer
    assert "0.004 standard deviations" in judged.words
    assert "nothing" in judged.next_step
    large = with_effect(studies["good"], 0.8, 30.0, shift=0.8).judgements()["agreement"]
    assert large.state == "bad" and large.answer == "No."
    assert "--tune" in large.next_step and "My network disagrees" in large.next_step


def test_a_yes_of_few_draws_says_what_more_would_show(studies):
    found = with_effect(studies["good"], 0.3, 200.0)
    assert found.verdict()
    judged = found.judgements()["agreement"]
    assert judged.state == "fair" and "a few more draws" in judged.answer
    assert with_effect(studies["good"], 0.3, 400.0).judgements()["agreement"].state == (
        "good"
    )


def test_a_study_that_is_too_small_for_a_yes_says_so(studies):
    found = dataclasses.replace(studies["good"], power=0.3).judgements()["agreement"]
    assert found.state == "fair" and "would hardly show one" in found.answer
    assert "30% would see a difference of 0.2 standard" in found.words
    assert "--n-draws" in found.next_step


def test_power():
    """More draws and more observations see more; all of it is seen by enough."""
    sizes = (8, 10), (60, 80), (100, 100)
    found = [
        power_of(npd.PredictiveSamples(np.zeros((n_draws, n, 1))), 0)
        for n_draws, n in sizes
    ]
    assert found[0] < 0.3 and found == sorted(found) and found[-1] > 0.95


def test_few_observations_are_not_judged(studies):
    study = studies["overconfident"]
    few = slice(10)
    taken = {
        name: npd.PredictiveSamples(getattr(study, name).values[:, few])
        for name in ("samples_spiking", "samples_classical", "samples_control")
    }
    agreement = npd.ks_agreement(taken["samples_spiking"], taken["samples_classical"])
    judged = dataclasses.replace(study, agreement=agreement, **taken).judgements()
    assert judged["calibration"].state == "unknown"
    assert "10 observations are too few" in judged["calibration"].answer


def test_repr_fits_a_screen(studies):
    for name, study in studies.items():
        lines = repr(study).splitlines()
        assert len(lines) <= 24 and max(map(len, lines)) <= 79, name
        assert "60 draws, 80 observations" in lines[0]
        assert study.judgements()["accuracy"].answer[:20] in repr(study)


def test_data_and_page_say_the_same(studies):
    for study in studies.values():
        found = to_dict(study)
        page = render(study, PICTURES)
        for name, each in study.judgements().items():
            assert found["judgements"][name]["answer"] == each.answer
            for text in (each.question, each.answer):
                assert text.replace("'", "&#39;") in page
        assert found["next_step"] == next_step(study.judgements())
        assert study.command in page and study.date[:10] in page
        json.dumps(found, allow_nan=False)


@pytest.fixture(scope="module", name="page")
def _page(studies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    studies["relu"].write(folder)
    return folder / "report.html"


@pytest.fixture(scope="module", name="browser")
def _browser(tmp_path_factory):
    with new_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.mark.parametrize("width", (375, 1000, 1400))
def test_page_fits(browser, page, width):
    resized(browser, width)
    browser.get(page.as_uri())
    found = browser.execute_script(
        "return [document.documentElement.scrollWidth, innerWidth,"
        " [...document.images].map(each => each.alt.length),"
        " [...document.querySelectorAll('th')].filter(each => !each.scope).length,"
        " [...document.querySelectorAll('table')].filter(e => !e.caption).length,"
        " [...document.images].filter(each => !each.naturalWidth).length]"
    )
    scroll, inner, alts, unscoped, uncaptioned, broken = found
    assert scroll <= inner == width
    assert len(alts) == 5 and min(alts) > 60
    assert unscoped == uncaptioned == broken == 0


def test_page_prints(browser, page):
    resized(browser, 1000)
    browser.get(page.as_uri())
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    pdf = base64.b64decode(printed["data"])
    n_pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 3 <= n_pages <= 9
