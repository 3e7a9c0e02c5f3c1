"""Constants of a model, as Keras has them in memory and writes them into files."""

from nengo_permadrop.sources.linear.broadcasting import constant_array


def keras_constant(call, constant):
    """
    A constant of a Keras model as an array.

    Parameters
    ----------
    call : `.LayerCall`
    constant : object
        What `.constant_array` takes, or what Keras 3 writes of an array into its files.

    Returns
    -------
    values : ndarray of float

    Raises
    ------
    ConversionError
        If it is anything else.
    """
    if isinstance(constant, dict) and isinstance(constant.get("config"), dict):
        constant = constant["config"].get("value")
    return constant_array(call, constant)
