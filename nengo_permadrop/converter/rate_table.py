"""The firing rates of layers as a table."""

from nengo_permadrop.support.plain import shortened

_NAME = 22  # characters of a layer's name

_HEAD = ("LAYER", "KIND", "NEURONS", "UNIT", "MEAN", "99%", "SILENT", "FROM")


def rate_table(layers):
    """
    The firing rates of layers, as lines of text.

    Parameters
    ----------
    layers : iterable of `.LayerReport`

    Returns
    -------
    lines : list of str
        Of at most 79 characters. The columns are the rate of an activation of 1, the
        mean and the 99th percentile in Hz, the share of silent units, and where the
        rates come from.
    """
    rows = [_HEAD, *map(rate_row, layers)]
    rows = [(shortened(row[0], _NAME), *row[1:]) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i in (0, 1, 7) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join(cells).rstrip())
    return [*lines, "UNIT: an activation of 1; MEAN, 99%: over units and rows; in Hz"]


def rate_row(layer):
    """The cells of a `.LayerReport` in a table of rates, a tuple of str."""

    def cell(value, words):
        return "-" if value is None else words.format(value)

    return (
        layer.path,
        layer.kind,
        str(layer.n_neurons),
        cell(layer.unit_rate, "{:.4g}"),
        cell(layer.mean_rate, "{:.3g}"),
        cell(layer.high_rate, "{:.3g}"),
        cell(layer.silent, "{:.0%}"),
        layer.rates_from,
    )
