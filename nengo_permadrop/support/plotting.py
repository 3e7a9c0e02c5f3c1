"""What the plots have in common."""

import numpy as np

from nengo_permadrop.support.optional import require
from nengo_permadrop.support.plain import printable, shortened


def axes_or_new(ax):
    """The given axes, or those of a new figure."""
    if ax is None:
        _, ax = require("matplotlib.pyplot").subplots(layout="constrained")
    return ax


def finished(ax, xlabel, ylabel):
    """The axes with labels, and a legend below them, where it covers nothing."""
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.legend(
        frameon=False,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=2,
        fontsize="small",
    )
    return ax


def text(name):
    """A name as Matplotlib shows it as it is."""
    shown = shortened(printable(str(name))).replace("$", r"\$")  # no formula
    # a label that is empty or begins so would be left out of the legend
    return f" {shown}" if not shown or shown.startswith("_") else shown


def bin_edges(values, n_bins):
    """Equal bins, wide enough to be told apart where all values are nearly the same."""
    low, high = np.min(values).astype(float), np.max(values).astype(float)
    least = 1e-6 * max(abs(low), abs(high))
    if high - low < least:
        middle = low + (high - low) / 2
        return np.linspace(middle - least / 2, middle + least / 2, n_bins + 1)
    return np.histogram_bin_edges(values, bins=n_bins)
