"""How notebooks show samples."""

import html

import numpy as np

from nengo_permadrop.support.svg import (
    N_BINS,
    N_OBSERVATIONS,
    histogram_svg,
    html_table,
    increasing,
)


def samples_html(samples, n_observations=N_OBSERVATIONS):
    """
    Samples as a table, one row per observation and output, with their histograms.

    Parameters
    ----------
    samples : `.PredictiveSamples`
    n_observations : int, optional
        Greatest number of observations that are shown.

    Returns
    -------
    page : str
        HTML. The histograms of an output have one axis, from its least to its greatest
        draw among the rows shown.
    """
    n_shown = min(samples.n_observations, n_observations)
    values = samples.values[:, :n_shown]
    mean, std = samples.mean(), samples.std()
    low, high = samples.quantile([0.05, 0.95])
    ends = values.min(axis=(0, 1)), values.max(axis=(0, 1))
    rows = []
    for i, j in np.ndindex(n_shown, samples.n_outputs):
        edges = np.linspace(ends[0][j], ends[1][j], N_BINS + 1)
        counts, _ = np.histogram(values[:, i, j], bins=increasing(edges))
        rows.append(
            [
                html.escape(str(samples.observation_names[i])),
                html.escape(samples.output_names[j]),
                *(f"{x[i, j]:.4g}" for x in (mean, std, low, high)),
                histogram_svg(counts, "histogram of the draws"),
            ]
        )
    head = ("Observation", "Output", "Mean", "Std", "5%", "95%", "Draws")
    rest = samples.n_observations - n_shown
    return f"<p>{html.escape(repr(samples))}</p>{html_table(rows, head)}" + (
        f"<p>... and {rest} more observations</p>" if rest else ""
    )
