"""What a report says of five networks, and how it looks."""

import base64
import dataclasses
import json
import re
import shlex

import numpy as np
import pytest
from browsers import new_browser, resized

import nengo_permadrop as npd
from nengo_permadrop.cli import parser
from nengo_permadrop.metrics import score
from nengo_permadrop.metrics.recalibration import Recalibration
from nengo_permadrop.study.agreed import closer
from nengo_permadrop.study.answers import again, in_lines, predicting
from nengo_permadrop.study.errors import Errors
from nengo_permadrop.study.judgements import next_step, next_steps
from nengo_permadrop.study.report import render, to_dict
from nengo_permadrop.study.steps import power_of
from nengo_permadrop.study.uncertainty import observed, reference

for module in ("sklearn", "jinja2", "matplotlib"):
    pytest.importorskip(module)
keras = pytest.importorskip("tensorflow.keras")
layers = keras.layers

# small SoftLIF networks may be warned of; whether they agree is what is tested here
pytestmark = pytest.mark.filterwarnings(
    "ignore::nengo_permadrop.converter.checks.AgreementWarning"
)


# where only the words of a page matter
NAMES = (
    "softlif",
    "means",
    "pvalues",
    "ecdf_most_extreme",
    "predictive",
    "predictions",
)
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
    assert "nearly all one constant" in step and f"by {found[1]}" in step
    assert "Pairing, scaling and training are evidently fine" in step
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
    assert steps[0].startswith("Check that rows and targets are centred")
    assert "recalibrated" not in "".join(steps)
    assert "say next to nothing" in judged["calibration"].answer
    assert "knowing nothing of a row" in judged["calibration"].words


def with_targets(study, change):
    """The same study, of test targets that are others."""
    test = study.dataset.test
    test = dataclasses.replace(test, target=change(test.target))
    return dataclasses.replace(
        study, dataset=dataclasses.replace(study.dataset, test=test)
    )


def test_targets_of_other_units(studies):
    found = with_targets(studies["good"], lambda y: 10 * y + 50).judgements()
    assert found["accuracy"].state == "bad"
    (step,) = next_steps(found)
    assert "in other units" in step and re.search(r"[89]\.\d+|1[01](\.\d)?", step)
    turned = with_targets(studies["good"], lambda y: -y).judgements()
    assert "a sign" in next_steps(turned)[0]


def test_a_constant_and_more(studies):
    """Where predictions are off by a constant and follow nothing, both are asked."""
    found = with_targets(studies["useless"], lambda y: y + 30).judgements()
    assert found["offset"].state == found["accuracy"].state == "bad"
    assert next_steps(found)[0].startswith("Check that rows and targets are centred")


def test_a_mean_is_off_by_chance_in_few_cases():
    """In 3 of 1000 by construction, and in 15 of 2000 with a probability of 0.1%."""
    rng = np.random.RandomState(0)
    y = rng.normal(size=(2000, 200))
    shows = Errors(np.zeros((200, 2000)), y.T).offset_shows
    assert shows.shape == (2000,) and np.count_nonzero(shows) <= 15


def test_no_line_where_there_is_none():
    rng = np.random.RandomState(0)
    y = rng.normal(size=(100, 1))
    assert Errors(y + 5, y).line() is None  # a shift
    assert Errors(y + rng.normal(size=y.shape), y).line() is None
    assert Errors(rng.normal(size=y.shape), y).line() is None
    slope, intercept, correlation = Errors(4 * y + 1, y).line()
    assert (slope, intercept, correlation) == pytest.approx((0.25, -0.25, 1))


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
            why = rf"; but all p-values .* p = {agreement.uniformity.pvalue:.3g}; the"
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


def test_commands_can_be_pasted(studies):
    """They are those of the command that was typed, or calls, whole on a line."""
    study = studies["good"]
    typed = "nengo-permadrop study --model 'my model.h5' --data r.csv --target y"
    for line in (
        f"{typed} --calibrate --settle 0.05 -o mine",
        f"{typed} --settle=0.05 --output mine",
    ):
        command = dataclasses.replace(study, command=line, folder="mine")
        (found,) = re.findall("`(.*)`", again(command, "--tune", "tune=True", "tuned"))
        assert found.startswith(typed) and found.endswith("--tune -o mine-tuned")
        words = shlex.split(found)
        assert not {"--calibrate", "--settle", "--settle=0.05"} & set(words)
        args = parser().parse_args(words[1:])
        assert args.tune and args.output == "mine-tuned" and args.settle is None
        (found,) = re.findall("`(.*)`", predicting(command))
        assert found == "nengo-permadrop predict mine rows.csv"
        step = closer(command)
        assert any(each.strip().startswith(typed) for each in in_lines(step))
    here = dataclasses.replace(study, folder="a folder")
    assert predicting(here) == '`npd.predict("a folder", X)`'
    assert "study.recalibration" in predicting(dataclasses.replace(study, folder=None))


def test_one_name_for_an_observation(studies):
    """The worst case is called in words as it is in its picture, not by its place."""
    study = studies["good"]
    place, _ = study.agreement.most_extreme.index
    name = study.samples_spiking.observation_names[place]
    page = render(study, PICTURES)
    assert f"of observation {name}, is as large" in page
    assert f"Left: observation {name}, of all" in page
    assert "called by its Row" in page and "counted from 0" in page
    assert "(observation, output)" not in page


def test_the_page_names_model_and_data(studies):
    for study in studies.values():
        title = re.search("<title>(.*)</title>", render(study, PICTURES))[1]
        assert study.model.name in title and study.dataset.name in title
    titled = dataclasses.replace(studies["good"], folder="mine")
    assert "<title>mine: " in render(titled, PICTURES)


def test_a_yes_of_wrong_predictions_is_not_green(studies):
    for name, study in studies.items():
        wrong = name in ("useless", "wrong mean")
        page = render(study, PICTURES)
        assert ("what they predict is wrong in both" in page) == wrong, name
        assert ('class="answer good"' in page) <= (not wrong), name


def test_steps_are_marked(studies):
    """Commands are code on the page, and all text is escaped."""
    study = dataclasses.replace(studies["overconfident"], folder="<b>here</b>")
    page = render(study, PICTURES)
    assert "<code>npd.predict(&#34;&lt;b&gt;here&lt;/b&gt;&#34;, X)</code>" in page
    assert "<b>here" not in page


def test_what_knowing_nothing_scores(studies):
    """The reference is what a sample of all targets scores, for every row."""
    (found,) = reference(studies["good"])
    y = observed(studies["good"])
    draws = np.repeat(y[:, None], len(y), axis=1)
    table = score(npd.PredictiveSamples(draws), y)
    # of n targets the estimate without bias divides by n - 1
    assert found["CRPS"] == pytest.approx(table["CRPS"][0], rel=0.03)
    assert found["RMSE"] == pytest.approx(table["RMSE"][0])
    assert found["NLL"] == pytest.approx(table["NLL"][0], rel=0.02)


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
