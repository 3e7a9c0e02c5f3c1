"""The simulator that Nengo's own test suite runs against; see nengo_suite.cfg."""

from nengo.rc import rc

import nengo_permadrop


def load_simulator(request):
    """The batched simulator without replicas, in the precision of Nengo's settings."""

    class Simulator(nengo_permadrop.Simulator):
        def __init__(self, network, dt=0.001, seed=None, **kwargs):
            kwargs.setdefault("dtype", rc.float_dtype)
            super().__init__(network, dt=dt, seed=seed, **kwargs)

    return Simulator
