"""Settings of the test process; they are made before anything optional is imported."""

import contextlib
import os
import re

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

from nengo_permadrop.support.optional import choose_keras_backend  # noqa: E402

# or a test that begins with importorskip("keras") skips where TensorFlow isn't
with contextlib.suppress(ImportError):
    choose_keras_backend()

# A test of what can't be installed everywhere is skipped where it is missing. Where it
# should be there, as in .ci/run, a skip would hide that it isn't: "all" that the extra
# ``all`` installs, or some packages by name.
REQUIRED = os.environ.get("NPD_REQUIRE_EXTRAS", "").split()
# of the extra ``bench``, what can't be beside TensorFlow 2.12, and what only deployed
# models need
NOT_REQUIRED = {"snntorch", "spikingjelly", "ai_edge_litert", "openvino"}
NOT_REQUIRED |= {"torch", "onnx", "onnxruntime", "onnxscript"}
MISSING = re.compile(r"(?:could not import '|needs (?=nengo))(\w+)")


def _of_all(name):
    return name not in NOT_REQUIRED


def _failed_if_missing(report):
    found = MISSING.search(str(report.longrepr)) if report.skipped else None
    if found and (found[1] in REQUIRED or ("all" in REQUIRED and _of_all(found[1]))):
        report.outcome = "failed"
        report.longrepr = f"NPD_REQUIRE_EXTRAS is set: {report.longrepr[2]}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    _failed_if_missing(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    _failed_if_missing(report)
    return report


nengo.rc.set("progress", "progress_bar", "none")
nengo.rc.set("decoder_cache", "enabled", "False")  # no test depends on an earlier one


@pytest.fixture(autouse=True)
def nengo_precision():
    """Nengo's precision, which simulators of other packages set, as it was before."""
    bits = nengo.rc.get("precision", "bits")
    yield
    nengo.rc.set("precision", "bits", bits)


@pytest.fixture
def written_env(monkeypatch):
    """What is written to this process's environment, at any time by any thread."""
    from nengo_permadrop.execution.pool import THREAD_VARIABLES

    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    written, putenv, unsetenv = [], os.putenv, os.unsetenv

    def note(name):
        if name != b"PYTEST_CURRENT_TEST":
            written.append(name)

    def noting_put(name, value):
        note(name)
        putenv(name, value)

    def noting_unset(name):
        note(name)
        unsetenv(name)

    # all that os.environ does comes to these
    with monkeypatch.context() as context:
        context.setattr(os, "putenv", noting_put)
        context.setattr(os, "unsetenv", noting_unset)
        os.environ["NOTED_AS_A_TEST"] = "1"
        del os.environ["NOTED_AS_A_TEST"]
        assert written == [b"NOTED_AS_A_TEST"] * 2
        written.clear()
        yield written
