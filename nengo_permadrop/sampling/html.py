"""How notebooks show a tuning."""

import html
import math

import numpy as np

from nengo_permadrop.support.svg import GREEN, VERMILION, html_table, scatter_svg

# Of the table of settings
_COLUMNS = {
    "calibration": "Calibration",
    "first_layer": "First layer",
    "rates": "Rates",
    "synapse": "Synapse",
    "presentation_time": "Presentation (s)",
    "settle": "Read from (s)",
    "spikes": "Spikes",
    "bias": "Bias (sd)",
    "spread": "Spread",
    "rejection_rate": "Rejected",
    "held_out": "Rejected, other rows",
    "agrees": "Agrees",
}
_PERCENT = ("rejection_rate", "held_out")


def tuning_html(tuning):
    """
    A tuning as what it says, spikes against bias, and the settings of the frontier.

    Parameters
    ----------
    tuning : `.Tuning`

    Returns
    -------
    page : str
        HTML. A dot for each setting: spikes to the right, on a logarithmic scale, bias
        upwards; filled where the networks agree. The dashed line is the frontier, the
        ring is around the chosen one.
    """
    table, frontier = tuning.table, tuning.frontier
    color = GREEN if table["agrees"].iloc[tuning.chosen] else VERMILION
    with np.errstate(divide="ignore"):
        points = np.column_stack(
            [np.log(table["spikes"]), table["bias"], table["agrees"]]
        )
    line = [table.index.get_loc(name) for name in frontier.index]
    picture = scatter_svg(
        points,
        "spikes of each setting, to the right, and its bias",
        line=line,
        ring=tuning.chosen,
    )
    shown = sorted({*line, tuning.chosen}, key=lambda i: table["spikes"].iloc[i])
    rows = [
        [
            _marked(_cell(name, table[name].iloc[i]), i == tuning.chosen)
            for name in _COLUMNS
        ]
        for i in shown
    ]
    rest = len(table) - len(shown)
    others = f"<p>... and {rest} other settings</p>" if rest else ""
    return (
        f'<p style="border-left: .4em solid {color}; padding-left: .6em">'
        f"{html.escape(tuning.words())}</p>{picture}"
        f"{html_table(rows, _COLUMNS.values())}{others}"
    )


def _cell(name, value):
    if isinstance(value, str):
        return html.escape(value)
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if math.isnan(value):
        return "-"
    return f"{value:.1%}" if name in _PERCENT else f"{value:.3g}"


def _marked(cell, is_chosen):
    return f"<b>{cell}</b>" if is_chosen else cell
