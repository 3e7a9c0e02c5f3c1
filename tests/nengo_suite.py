"""The simulator that Nengo's own test suite runs against; see nengo_suite.ini."""

from nengo.rc import rc

import nengo_permadrop


class SuiteSimulator(nengo_permadrop.Simulator):
    """The batched simulator without replicas, in the precision of Nengo's settings."""

    def __init__(self, network, *args, **kwargs):
        kwargs.setdefault("dtype", rc.float_dtype)
        super().__init__(network, *args, **kwargs)
