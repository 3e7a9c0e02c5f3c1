import re
from xml.etree import ElementTree

import numpy as np
import pytest

from nengo_permadrop.metrics.comparison import ks_agreement
from nengo_permadrop.samples.samples import PredictiveSamples
from nengo_permadrop.support import svg as notebook


def parsed(page):
    """The page as a tree; an error if its tags don't fit."""
    return ElementTree.fromstring(f"<div>{page}</div>")


def cells(page):
    return [
        ["".join(cell.itertext()) for cell in row] for row in parsed(page).iter("tr")
    ]


def test_samples(rng):
    samples = PredictiveSamples(rng.randn(50, 3, 2), output_names=["growth", "dose"])
    page = samples._repr_html_()
    head, *rows = cells(page)
    assert head == ["Observation", "Output", "Mean", "Std", "5%", "95%", "Draws"]
    assert len(rows) == 6
    assert rows[3][:3] == ["1", "dose", f"{samples.mean()[1, 1]:.4g}"]
    assert rows[3][4] == f"{samples.quantile(0.05)[1, 1]:.4g}"
    assert len(list(parsed(page).iter("svg"))) == 6
    assert "more observations" not in page


def test_many_observations_are_cut():
    page = PredictiveSamples(np.zeros((2, 100, 1)))._repr_html_()
    assert len(cells(page)) == 1 + notebook.N_OBSERVATIONS
    assert "... and 92 more observations" in page


def test_names_are_escaped():
    samples = PredictiveSamples(
        np.zeros((2, 1, 1)),
        output_names=["<script>"],
        observation_names=["<b>"],
        backend="<i>",
    )
    page = samples._repr_html_()
    assert not re.search("<(script|b|i)>", page)
    assert cells(page)[1][:2] == ["<b>", "<script>"]


@pytest.mark.parametrize("shift, color", [(0, "#009E73"), (2, "#D55E00")])
def test_agreement(shift, color, rng):
    a, b = rng.randn(2, 60, 40, 1)
    agreement = ks_agreement(a, b + shift)
    assert bool(agreement.verdict()) == (shift == 0)
    page = agreement._repr_html_()
    words = "".join(parsed(page).find("p").itertext())
    assert words == agreement.verdict().words
    assert f"4em solid {color}" in page
    found = dict(cells(page))
    assert f"{agreement.rejection_rate():.1%} (" in found["P-values at most 0.05"]
    assert f"{agreement.most_extreme.statistic:.3f}" in found["Largest statistic"]


def test_agreement_where_uniformity_is_not_valid(rng):
    with pytest.warns(UserWarning, match="share their masks"):
        agreement = ks_agreement(
            PredictiveSamples(rng.randn(20, 5, 1), masks="draw"), rng.randn(20, 5, 1)
        )
    found = dict(cells(agreement._repr_html_()))
    assert found["Uniformity of the p-values"].startswith("not valid")


def test_histogram():
    svg = parsed(notebook.histogram_svg([0, 2, 4], "a <b>", level=1, width=30)).find(
        "svg"
    )
    assert svg.get("aria-label") == "a <b>"
    outline = svg.find("path").get("d")  # from the bottom, and over a bar of 0
    assert outline == "M0 22V22.0h10.00V11.0h10.00V0.0h10.00V22Z"
    assert float(svg.find("line").get("y1")) == pytest.approx(22 * 3 / 4)
    flat = parsed(notebook.histogram_svg([0, 0], "", width=20)).find("svg/path")
    assert flat.get("d") == "M0 22V22.0h10.00V22.0h10.00V22Z"
