"""Names of outputs that were given none."""


def default_output_names(n_outputs):
    """
    The names of outputs that were given none.

    Parameters
    ----------
    n_outputs : int

    Returns
    -------
    names : list of str
    """
    return ["y"] if n_outputs == 1 else [f"y{i}" for i in range(n_outputs)]
