"""Functions of Nodes that say what they compute."""


class Shift:
    """
    The function of a Node that adds a constant.

    Having a class, it pickles, and `nengo_permadrop.Simulator` knows it for linear.

    Parameters
    ----------
    constant : (n,) array_like
    """

    def __init__(self, constant):
        self.constant = constant

    def __call__(self, t, x):
        return x + self.constant
