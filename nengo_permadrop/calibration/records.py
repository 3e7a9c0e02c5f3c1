"""What a calibration did."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Correction:
    """
    What was corrected in one layer, or output.

    Attributes
    ----------
    layer : str
        Its path in ``Converter.layers``, or name in ``Converter.outputs``.
    gain, bias : (n,) ndarray or None
        A neuron's current ``J``, or an element ``J`` of the output, became
        ``gain * J + bias``. None where weights were fitted instead.
    before, after : float
        Error of the current without and with the calibration of all layers: root mean
        square over held-out observations and neurons of the mean over masks of spiking
        minus rate network, in standard deviations of the rate network's currents.
    """

    layer: str
    gain: np.ndarray
    bias: np.ndarray
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """
    What `calibrate` did to a converter; kept as its ``calibration``.

    Attributes
    ----------
    corrections : tuple of `Correction`
        In the order in which they were made: from the input to the outputs.
    n_observations : int
        That it was fitted to.
    n_held_out : int
        That the errors were measured with.
    options : dict
        Presentation time, settle, draws, seed and whether gains were corrected.
    """

    corrections: tuple
    n_observations: int
    n_held_out: int
    options: dict

    def __repr__(self):
        last = self.corrections[-1]
        return (
            f"<Calibration: {len(self.corrections)} layers and outputs, "
            f"{self.n_observations} observations; error of '{last.layer}' "
            f"{last.before:.3f} -> {last.after:.3f} sd>"
        )

    def __str__(self):
        width = max(len(correction.layer) for correction in self.corrections)
        lines = [f"{'layer':<{width}}  before   after  (sd, held-out observations)"]
        lines += [
            f"{correction.layer:<{width}}  {correction.before:6.4f}  "
            f"{correction.after:6.4f}"
            for correction in self.corrections
        ]
        return "\n".join(lines)
