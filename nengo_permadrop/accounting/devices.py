"""
Published figures of devices: the energy of one operation.

The figures are those of KerasSpiking's ``ModelEnergy`` [1]_, and one for an accelerator
of dense products, each with its own source. They are orders of magnitude: of chips of
different years and technologies, got in different ways, some by simulation of a chip
that was yet to be made.

References
----------
.. [1] KerasSpiking, Applied Brain Research, https://www.nengo.ai/keras-spiking
"""

from collections.abc import Iterable
from dataclasses import dataclass

from nengo.exceptions import ValidationError

_DEGNAN = (
    "Degnan, B., Marr, B., & Hasler, J. (2016). Assessing trends in performance per "
    "watt for signal processing applications. IEEE Trans. VLSI Systems 24(1), 58-66"
)
_DAVIES = (
    "Davies, M., et al. (2018). Loihi: a neuromorphic manycore processor with on-chip "
    "learning. IEEE Micro 38(1), 82-99"
)
_HOEPPNER = (
    "Höppner, S., et al. (2019). Dynamic power management for neuromorphic many-core "
    "systems. IEEE Trans. Circuits and Systems I 66(8), 2973-2986"
)
_JOUPPI = (
    "Jouppi, N. P., et al. (2017). In-datacenter performance analysis of a Tensor "
    "Processing Unit. ISCA"
)


@dataclass(frozen=True)
class Device:
    """
    Energy of the operations of one device.

    Attributes
    ----------
    name : str
    spiking : bool
        Whether it runs the spiking network, event by event; otherwise the classical
        one.
    synapse : float
        Joules of one synaptic event; classical: of one multiply-accumulate.
    neuron : float
        Joules of one update of a neuron; classical: of one activation.
    source : str
        Where the figures were published.
    note : str, optional
        What has to be known about them.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a figure is negative.
    """

    name: str
    spiking: bool
    synapse: float
    neuron: float
    source: str
    note: str = ""

    def __post_init__(self):
        for attr in ("synapse", "neuron"):
            if not getattr(self, attr) >= 0:
                raise ValidationError(
                    f"must be at least 0 (joules), got {getattr(self, attr)}",
                    attr=attr,
                    obj=self,
                )


# By name. An activation on a classical device is taken as one multiply-accumulate.
DEVICES = {
    device.name: device
    for device in (
        Device(
            "loihi",
            True,
            synapse=23.6e-12 + 3.5e-12,
            neuron=81e-12,
            source=_DAVIES,
            note="of the chip's simulation before it was made; 23.6 pJ a synaptic "
            "operation and 3.5 pJ for a spike's way on the chip, as KerasSpiking adds "
            "them, and 81 pJ an active neuron",
        ),
        Device("spinnaker", True, 13.3e-9, 26e-9, _HOEPPNER),
        Device("spinnaker2", True, 450e-12, 2.19e-9, _HOEPPNER, "a prototype"),
        Device(
            "cpu",
            False,
            8.6e-9,
            8.6e-9,
            _DEGNAN,
            "Intel i7-4960X (2013)",
        ),
        Device("arm", False, 0.9e-9, 0.9e-9, _DEGNAN, "ARM Cortex-A"),
        Device(
            "gpu",
            False,
            0.3e-9,
            0.3e-9,
            _DEGNAN,
            "Nvidia GTX Titan Black (2014), with large batches",
        ),
        Device(
            "tpu",
            False,
            40 / 46e12,
            40 / 46e12,
            _JOUPPI,
            "first TPU (2015), 8 bits: 40 W while busy, divided by its peak of 46e12 "
            "multiply-accumulates per second, so a lower bound; small layers don't "
            "fill it",
        ),
    )
}
# What is computed off the chip is priced as on this device
HOST = DEVICES["cpu"]


def find_devices(devices=None):
    """
    Devices by name.

    Parameters
    ----------
    devices : sequence of str or `Device`, optional
        Names in `DEVICES`, or devices of one's own. Default: all of `DEVICES`.

    Returns
    -------
    devices : tuple of `Device`

    Raises
    ------
    nengo.exceptions.ValidationError
        If a name is unknown, or there are two devices of one name.
    """
    if devices is None:
        return tuple(DEVICES.values())
    if isinstance(devices, (str, Device)):
        devices = [devices]
    if not isinstance(devices, Iterable):
        raise ValidationError(
            f"must be names or Devices, got {devices!r}", attr="devices"
        )
    found = []
    for device in devices:
        if not isinstance(device, Device):
            if device not in DEVICES:
                raise ValidationError(
                    f"unknown device {device!r}; there are {', '.join(DEVICES)}, or "
                    "give a nengo_permadrop.accounting.Device",
                    attr="devices",
                )
            device = DEVICES[device]
        if device.name in (other.name for other in found):
            raise ValidationError(
                f"there are two devices {device.name!r}; give each another name",
                attr="devices",
            )
        found.append(device)
    return tuple(found)
