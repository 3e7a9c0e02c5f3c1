"""Which networks' weights can be fitted through the mean-field model."""

from nengo_permadrop.targets.registry import get_target


def why_not_weights(conv):
    """
    Why a converter can't be calibrated with ``method="weights"``.

    Parameters
    ----------
    conv : `.Converter`

    Returns
    -------
    reason : str or None
        None if it can.
    """
    for dropout in conv.dropouts:
        if dropout.gated:
            return (
                f"gates redraw the masks of '{dropout.path}', and weights aren't "
                "fitted there; convert without redraw, or use method='currents'"
            )
    if get_target(conv.target).whole_steps:
        return (
            f"rates of neurons on target {conv.target!r} have steps, so that fitted "
            "weights make answers worse; use method='currents'"
        )
    return None
