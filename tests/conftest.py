"""Settings of the test process; they are made before anything optional is imported."""

import os

SETTINGS = {
    "MPLBACKEND": "Agg",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    # the processes of pytest-xdist, which inherit these, have one core each
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
for name, value in SETTINGS.items():
    os.environ.setdefault(name, value)

import nengo  # noqa: E402
import pytest  # noqa: E402

nengo.rc.set("progress", "progress_bar", "none")
nengo.rc.set("decoder_cache", "enabled", "False")  # no test depends on an earlier one


@pytest.fixture(autouse=True)
def nengo_precision():
    """Nengo's precision, which simulators of other packages set, as it was before."""
    bits = nengo.rc.get("precision", "bits")
    yield
    nengo.rc.set("precision", "bits", bits)
