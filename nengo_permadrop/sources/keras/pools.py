"""Pooling by the largest element, and the pooling by averages that may replace it."""

AVERAGES = {
    f"{where}Max{rank}": f"{where}Average{rank}"
    for where in ("", "Global")
    for rank in ("Pooling1D", "Pooling2D", "Pooling3D")
}


def pool_class(class_name, max_to_avg_pool):
    """
    The class that a layer acts as.

    Parameters
    ----------
    class_name : str
    max_to_avg_pool : bool
        Whether pooling by the largest element acts as pooling by averages.

    Returns
    -------
    class_name : str
    """
    return AVERAGES.get(class_name, class_name) if max_to_avg_pool else class_name


def is_replaced(spec):
    """Whether a layer, a `.LayerSpec`, pools by averages in place of the largest."""
    return AVERAGES.get(spec.class_name) == spec.acts_as
