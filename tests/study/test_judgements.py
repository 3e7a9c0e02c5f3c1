"""What a report says of five networks, and how it looks."""

import base64
import dataclasses
import json
import re

import numpy as np
import pytest
from browsers import new_browser, resized
from study_pictures import BLANK as PICTURES

import nengo_permadrop as npd
from nengo_permadrop.metrics.recalibration import Recalibration
from nengo_permadrop.study.judgements import next_step, next_steps
from nengo_permadrop.study.report import render, to_dict
from nengo_permadrop.study.steps import power_of

# small SoftLIF networks may be warned of; whether they agree is what is tested here
pytestmark = pytest.mark.filterwarnings(
    "ignore::nengo_permadrop.converter.checks.AgreementWarning"
)


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
        assert judged["offset"].state == "good"
        step = next_step(judged)
        assert step is None or step.startswith("Use recalibrated intervals")


def test_wrong_mean(studies):
    study = studies["wrong mean"]
    judged = study.judgements()
    assert judged["agreement"].state == "good"  # both networks are as wrong
    assert {judged[name].state for name in ("accuracy", "offset", "calibration")} == {
        "bad"
    }
    assert judged["accuracy"].answer.startswith("No, but without the constant")
    found = re.match(r"No, they are (\S+) too low", judged["offset"].answer)
    assert float(found[1]) == pytest.approx(12, abs=1)
    # pairing, scaling and training are right, and nothing else is advised
    (step,) = next_steps(judged)
    assert "nearly all one constant" in step and f"about {found[1]} too low" in step
    assert "Pairing of rows and targets, and training, are evidently fine" in step
    assert "train it longer" not in step


def test_overconfident(studies):
    study = studies["overconfident"]
    judged = study.judgements()
    assert judged["agreement"].state in ("good", "fair")  # both are as sure
    assert judged["calibration"].state == "bad"
    assert "far too narrow" in judged["calibration"].answer
    factor = study.recalibration.scale[0]
    assert f"by a factor of {factor:.3g}" in judged["calibration"].answer and factor > 4
    share = float(re.search(r"(\d+)% of 80 targets", judged["calibration"].words)[1])
    assert share < 50
    assert judged["accuracy"].state == "fair"
    assert judged["accuracy"].answer.startswith(("In part (r2 ", "A little (r2 "))
    steps = next_steps(judged)
    assert steps[0].startswith("Look at the network first")
    assert steps[1].startswith("Use recalibrated intervals")
    assert "Train it longer" not in "".join(steps)  # it may be overfitted


def test_useless(studies):
    judged = studies["useless"].judgements()
    assert judged["agreement"].state in ("good", "fair")
    assert judged["accuracy"].state == "bad"
    assert judged["offset"].state in ("good", "fair")
    steps = next_steps(judged)
    assert steps[0].startswith(
        "See whether it predicts the rows that it was trained on"
    )
    assert "recalibrated" not in "".join(steps)
    assert "say next to nothing" in judged["calibration"].answer
    assert "knowing nothing of a row" in judged["calibration"].words


def test_intervals_are_judged_at_all_levels(studies):
    """Calibrated at 90% alone is not calibrated, in any network."""
    study = studies["good"]
    rng = np.random.RandomState(0)
    observed = study.dataset.test.target[:80]
    for network in ("spiking", "classical"):
        narrow = rng.normal(size=(60, 80, 1))
        narrow[:10] *= 30  # long tails: an interval of 90% is wide, one of 50% isn't
        right = observed + rng.normal(size=(80, 1)) + rng.normal(size=(60, 80, 1))
        draws = {network: observed + 3 * rng.normal(size=(80, 1)) + narrow}
        changed = {
            f"samples_{name}": npd.PredictiveSamples(draws.get(name, right))
            for name in ("spiking", "classical")
        }
        changed["recalibration"] = Recalibration(np.ones(1))
        found = dataclasses.replace(study, **changed).judgements()["calibration"]
        assert found.state == "bad", network
        assert "50% intervals" in found.words, network
        assert ("classical network's" in found.words) == (network == "classical")


def test_a_narrow_yes(studies):
    study = studies["good"]
    values = study.agreement.randomized_pvalue.copy()
    n = len(values)
    even = (np.arange(n)[:, None] + 0.5) / n
    for power, narrow in ((1.0, False), (1.58, True)):
        agreement = dataclasses.replace(
            study.agreement, randomized_pvalue=even**power, pvalue=even
        )
        found = dataclasses.replace(study, agreement=agreement)
        if narrow:
            assert 0.01 <= agreement.uniformity.pvalue < 0.02, agreement.uniformity
        judged = found.judgements()["agreement"]
        assert ("narrowly" in judged.answer) == narrow
        assert judged.state == ("fair" if narrow else "good")
        if narrow:
            assert "n_draws=240" in judged.steps[0]
            why = (
                rf"; but all p-values .* p = {agreement.uniformity.pvalue:.3g} \(limit"
            )
            assert re.search(why, found.verdict().words)


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
    assert judged.steps[0].startswith("Nothing, if 0.1 standard deviations don't")
    large = with_effect(studies["good"], 0.8, 30.0, shift=0.8).judgements()["agreement"]
    assert large.state == "bad" and large.answer == "No."
    assert "tune=True" in large.steps[0] and "My network disagrees" in large.steps[0]


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
    assert "--n-draws" in found.steps[0] and "n_draws=240" in found.steps[0]


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
    assert len(alts) == 6 and min(alts) > 60
    assert unscoped == uncaptioned == broken == 0


def test_page_prints(browser, page):
    resized(browser, 1000)
    browser.get(page.as_uri())
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    pdf = base64.b64decode(printed["data"])
    n_pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 3 <= n_pages <= 10
