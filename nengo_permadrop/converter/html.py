"""How notebooks show a report of a conversion."""

import html

from nengo_permadrop.converter.rate_table import rate_row
from nengo_permadrop.support.svg import GREEN, VERMILION, html_table

_HEAD = (
    "Layer",
    "Activation",
    "Neurons",
    "Hz of an activation of 1",
    "Mean Hz",
    "99th percentile, Hz",
    "Silent",
    "Rates from",
)


def report_html(report):
    """
    A report as its verdict, the rates of its layers, and the rest as a table.

    Parameters
    ----------
    report : `.ConversionReport`

    Returns
    -------
    page : str
        HTML.
    """
    color = VERMILION if report.warnings else GREEN
    layers = [_escaped(rate_row(layer)) for layer in report.layers]
    rows = [_escaped(part) for part in report.parts()]
    for title, several in report.lists():
        items = "".join(f"<li>{html.escape(words)}</li>" for words in several)
        rows.append([title, f"<ul>{items}</ul>"])
    for title, block in report.blocks():
        rows.append([title, f"<pre>{html.escape(block)}</pre>"])
    return (
        f'<p style="border-left: .4em solid {color}; padding-left: .6em">'
        f"{html.escape(report.verdict)}</p>"
        f"{html_table(layers, _HEAD)}{html_table(rows)}"
    )


def _escaped(cells):
    return [html.escape(cell) for cell in cells]
