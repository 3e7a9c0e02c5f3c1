"""What a report advises, and what it calls things."""

import dataclasses
import re
import shlex

import numpy as np
import pytest
from study_pictures import BLANK as PICTURES

import nengo_permadrop as npd
from nengo_permadrop.cli import parser
from nengo_permadrop.metrics import score
from nengo_permadrop.study.agreed import closer
from nengo_permadrop.study.answers import again, in_lines, predicting
from nengo_permadrop.study.errors import Errors
from nengo_permadrop.study.judgements import next_steps
from nengo_permadrop.study.report import render
from nengo_permadrop.study.uncertainty import observed, reference

pytestmark = pytest.mark.filterwarnings(
    "ignore::nengo_permadrop.converter.checks.AgreementWarning"
)


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
    assert next_steps(found)[0].startswith(
        "See whether it predicts the rows that it was trained on"
    )


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
    assert predicting(here) == '`nengo_permadrop.predict("a folder", new_rows)`'
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
    call = "nengo_permadrop.predict(&#34;&lt;b&gt;here&lt;/b&gt;&#34;, new_rows)"
    assert f"<code>{call}</code>" in page
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
