"""Pooling by the largest element, which may be replaced by averages."""

from nengo_permadrop.graph.errors import ConversionError

WORDS = (
    "averages what the model takes the largest of (max_to_avg_pool=True), so that its "
    "answers are others than the model's"
)


def check_replaced(where, max_to_avg_pool):
    """
    Raise if pooling by the largest element isn't to be replaced.

    Parameters
    ----------
    where : object
        The layer.
    max_to_avg_pool : bool
        As in `.Converter`.

    Raises
    ------
    ConversionError
        Then.
    """
    if not max_to_avg_pool:
        raise ConversionError(
            str(where),
            "takes the largest of several elements, and what goes into a neuron is a "
            "sum",
            "Train the model with average pooling, or take averages in its place: "
            "max_to_avg_pool=True",
        )
