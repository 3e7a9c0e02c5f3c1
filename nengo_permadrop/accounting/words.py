"""What is said of an energy: its tables, and what it assumes."""

import html

import numpy as np

from nengo_permadrop.accounting.devices import HOST
from nengo_permadrop.support.svg import html_table


def assumptions(energy):
    """
    What an energy assumes, and what is left out of it.

    Parameters
    ----------
    energy : `.Energy`

    Returns
    -------
    sentences : list of str
    """
    return [
        "Counts are of the simulation; nothing was measured on a device.",
        "Only synaptic events and neuron updates are priced. Not in it: static and "
        "idle power, input and output, routing beyond what a figure says, and the "
        "host; they can be more than all of this.",
        "An event is a spike at a weight that isn't 0. Dropped neurons send none, but "
        "are updated like the others: the device has to skip their spikes, not to add "
        "zeros. What a gate silences doesn't spike, and what that saves isn't counted.",
        f"All neurons are updated every {energy.dt * 1000:g} ms, at the figure of an "
        "active one.",
        f"{energy.n_draws} draws are as many presentations of "
        f"{energy.presentation_time * 1000:g} ms, each from a fresh start.",
        "Currents of constant inputs are computed off the chip, once an observation if "
        "no input is dropped. That is in the column off_chip, at the figures of the "
        f"{HOST.name.upper()}, and not in the total.",
        "The classical network multiplies by all weights, dropped or not, and an "
        "activation costs as much as one multiply-accumulate. What lies before the "
        "first dropout is computed once an observation.",
        "Figures are of chips of different years. Those of GPU and TPU are of devices "
        "that are fully used, by large batches.",
    ]


def as_text(energy):
    """
    An energy, with its counts, assumptions and sources.

    Parameters
    ----------
    energy : `.Energy`

    Returns
    -------
    text : str
        Several lines.
    """
    return "\n".join(
        [
            _title(energy),
            "",
            "One presentation:",
            *_aligned(_layer_rows(energy)),
            "",
            _classical(energy),
            "",
            "One distribution:",
            *_aligned(_device_rows(energy)),
            "",
            "Assumptions:",
            *(f"- {sentence}" for sentence in assumptions(energy)),
            "",
            "Figures:",
            *(f"- {_figures(device)}" for device in energy.devices),
        ]
    )


def as_html(energy):
    """The same as `as_text`, as an HTML fragment."""
    sentences = [*assumptions(energy), *(_figures(d) for d in energy.devices)]
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    return (
        f"<p>{html.escape(_title(energy))}</p>{_html_table(_layer_rows(energy))}"
        f"<p>{html.escape(_classical(energy))}</p>{_html_table(_device_rows(energy))}"
        f"<ul>{items}</ul>"
    )


def _title(energy):
    return (
        f"Energy of a predictive distribution of {energy.n_draws} draws, "
        f"{energy.presentation_time * 1000:g} ms each, from counts on backend "
        f"'{energy.backend}' (seed {energy.seed})"
    )


def _classical(energy):
    classical = energy.classical
    return (
        f"One draw of the classical network: {classical.macs:,} multiply-accumulates, "
        f"{classical.activations:,} activations; once an observation "
        f"{classical.shared_macs:,} and {classical.shared_activations:,}."
    )


def _layer_rows(energy):
    yield ("layer", "neurons", "Hz", "spikes", "events", "dropped", "updates")
    for name, row in energy.to_frame().iterrows():
        yield (
            f"{name} (off the chip)" if row["off_chip"] else name,
            f"{row['neurons']:,}",
            f"{row['rate']:.1f}",
            *(
                f"{row[column]:,.0f}"
                for column in ("spikes", "events", "dropped_events", "updates")
            ),
        )


def _device_rows(energy):
    columns = ("synapses", "neurons", "total", "saved", "off_chip")
    yield ("device", "network", *columns)
    for name, row in energy.devices_frame().iterrows():
        yield (name, row["network"], *(joule_words(row[c]) for c in columns))


def joule_words(joules):
    """An energy with a unit that suits it, such as "3.1 mJ"."""
    if joules == 0:
        return "0"
    units = ("pJ", "nJ", "µJ", "mJ", "J")
    place = int(np.clip(np.floor(np.log10(joules) / 3) + 4, 0, len(units) - 1))
    return f"{joules / 10.0 ** (3 * (place - 4)):.3g} {units[place]}"


def _figures(device):
    return (
        f"{device.name}: {joule_words(device.synapse)} a "
        f"{'synaptic event' if device.spiking else 'multiply-accumulate'}, "
        f"{joule_words(device.neuron)} "
        f"{'a neuron update' if device.spiking else 'an activation'}"
        f"{f' ({device.note})' if device.note else ''}. {device.source}."
    )


def _aligned(rows):
    """Lines of a table: the first column to the left, the others to the right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    for first, *others in rows:
        cells = [
            first.ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(others, widths[1:])),
        ]
        yield "  ".join(cells)


def _html_table(rows):
    head, *body = [[html.escape(str(cell)) for cell in row] for row in rows]
    return html_table(body, head)
