"""Numbers and names in JSON, tables and pictures."""

import io
import json

import numpy as np
import pandas as pd
import pytest

import nengo_permadrop as npd
from nengo_permadrop.support.plain import (
    not_finite,
    plain,
    printable,
    shortened,
    table_row,
    to_json,
)

NAMES = (
    "$x$",
    "$\\frac{",
    "a $ b",
    "tab\tand\nline\r\nend",
    '"quoted" <b>&amp;</b>',
    "_hidden",
    "",
    "grün 変数 🙂",
    "long " * 100,
    "nul\0 and \ud800",
)


def test_json_has_no_nan():
    data = {
        "a": [1, np.nan, np.float32("inf")],
        "b": {"c": np.array([0.5, -np.inf])},
        3: (np.int64(2), None, "text", True),
    }
    assert plain(data) == {
        "a": [1, None, None],
        "b": {"c": [0.5, None]},
        "3": [2, None, "text", True],
    }
    assert not_finite(data) == {
        "a.1": "not a number (NaN)",
        "a.2": "infinite",
        "b.c.1": "minus infinite",
    }
    assert json.loads(to_json(data)) == plain(data)


@pytest.mark.parametrize("name", NAMES)
def test_printable(name):
    shown = printable(name)
    assert all(char.isprintable() for char in shown)
    assert shown == name or not name.isprintable()
    assert len(shortened(shown)) <= 40
    shown.encode("utf-8")


def test_table_is_read_back_by_pandas():
    names = [name for name in NAMES if "\0" not in name]
    text = table_row(["name", "number"])
    text += "".join(table_row([name, str(i)]) for i, name in enumerate(names))
    table = pd.read_csv(io.StringIO(text, newline=""), sep="\t", keep_default_na=False)
    assert list(table["name"]) == names
    assert list(table["number"]) == list(range(len(names)))
    table_row(NAMES).encode("utf-8")


@pytest.mark.filterwarnings("ignore:Glyph:UserWarning")
@pytest.mark.parametrize("name", NAMES)
def test_names_in_plots(name, rng):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    from nengo_permadrop import plots

    samples = npd.PredictiveSamples(
        rng.standard_normal((20, 3, 2)),
        output_names=[name, "other"],
        observation_names=[name, "b", "c"],
    )
    agreement = npd.ks_agreement(samples, npd.PredictiveSamples(-samples.values))
    labels = (name, "other")
    for plot in (
        lambda ax: plots.plot_means(samples, samples, labels=labels, ax=ax),
        lambda ax: plots.plot_pvalue_histogram(
            agreement, agreement, labels=labels, ax=ax
        ),
        lambda ax: plots.plot_ecdfs(samples, samples, 0, labels=labels, ax=ax),
        lambda ax: plots.plot_predictive({name: samples}, ax=ax),
        lambda ax: plots.plot_calibration(
            {name: samples}, rng.standard_normal((3, 2)), ax=ax
        ),
    ):
        figure = Figure()
        ax = plot(figure.subplots())
        ax.legend()  # as users do, with settings of their own
        figure.savefig(io.BytesIO(), format="png")
    assert ax.get_legend().get_texts()[-1].get_text().strip() == (
        shortened(printable(name)).replace("$", r"\$").strip()
    )


@pytest.mark.parametrize("value", [0.0, 5.0, -1e17])
def test_draws_that_are_nearly_the_same_are_drawn(value, recwarn):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    from nengo_permadrop import plots

    values = np.full((6, 1, 1), value)
    other = values * (1 + np.arange(6).reshape(6, 1, 1) * 1e-16)
    figure = Figure()
    samples = {"a": npd.PredictiveSamples(values), "b": npd.PredictiveSamples(other)}
    ax = plots.plot_predictive(samples, ax=figure.subplots())
    figure.savefig(io.BytesIO(), format="png")
    assert all(np.isfinite(patch.get_xy()).all() for patch in ax.patches)
    assert not recwarn.list
