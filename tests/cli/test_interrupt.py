"""Ctrl-C at the command line: a signal to a process of its own, in mid-work."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from nengo_permadrop.cli.interrupts import insistent

pytestmark = pytest.mark.skipif(
    not hasattr(os, "killpg"), reason="needs POSIX process groups"
)

# the command, with a training as short as can be
COMMAND = [
    sys.executable,
    "-c",
    "import sys; from nengo_permadrop import cli; from nengo_permadrop.training import "
    "fit; train, epochs = fit.train, int(sys.argv.pop(1)); fit.train = lambda *args, "
    "**options: train(*args, **{**options, 'epochs': epochs}); sys.exit(cli.main())",
]
TIMEOUT = 60  # seconds; far more than is needed, on a busy machine too


def processes(group):
    """Whether any process of a group is alive."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def interrupt(command, when, to_group, wait=0.5):
    """
    Run a command and interrupt it once it has written something on standard error.

    Returns its exit code, all that it wrote there, and whether it left processes.
    """
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    told = b""
    try:
        deadline = time.monotonic() + TIMEOUT
        while when not in told and time.monotonic() < deadline:
            piece = process.stderr.read1(4096)
            if not piece:
                break
            told += piece
        assert when in told, told.decode()
        time.sleep(wait)  # into the work
        # a terminal signals the whole group, `kill` the one process
        (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)
        _, rest = process.communicate(timeout=TIMEOUT)
        deadline = time.monotonic() + 10
        while processes(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        return process.returncode, (told + rest).decode(), processes(process.pid)
    finally:
        if processes(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize(
    "options, when, to_group, epochs",
    [
        ([], b"Training", True, 10_000),
        (["--backend", "nengo", "--workers", "2"], b"Sampling (nengo)", True, 1),
        (["--backend", "nengo", "--workers", "2"], b"Sampling (nengo)", False, 1),
    ],
)
def test_study(options, when, to_group, epochs, tmp_path):
    for module in ("sklearn", "jinja2", "matplotlib", "keras"):
        pytest.importorskip(module)
    argv = ["study", "--draws", "500", "-o", str(tmp_path / "out"), *options]
    code, told, left = interrupt([*COMMAND, str(epochs), *argv], when, to_group)
    assert code == 130, told
    assert "Traceback" not in told
    assert told.splitlines()[-1] == (
        "nengo-permadrop: interrupted; the same command goes on from what is finished"
    )
    assert not left
    # nothing but what the same study goes on from
    assert {path.name for path in tmp_path.glob("out/*")} <= {"unfinished"}


def test_bench():
    argv = ["bench", "--json", "--only", "batched", "--replicas", "200000"]
    command = [*COMMAND, "1", *argv]
    code, told, left = interrupt(command, b"simulator ", to_group=False)
    assert code == 130, told
    assert "Traceback" not in told
    assert told.splitlines()[-1] == "nengo-permadrop: interrupted"
    assert not left


# what infer would compute; some of it takes long
DASK = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from logged import LoggedNetwork
import nengo_permadrop.combo.infer
from nengo_permadrop import cli

def infer(executor, **options):
    net = LoggedNetwork(Path({folder!r}), seconds={seconds})
    print("Sampling", file=sys.stderr, flush=True)
    net.sample(n_draws=1000, executor=executor)

nengo_permadrop.combo.infer.infer = infer
if __name__ == "__main__":
    sys.exit(cli.main(["infer", "--dask", "local:2"]))
"""


@pytest.mark.parametrize("to_group, seconds", [(True, 0.05), (False, 30)])
def test_dask(to_group, seconds, tmp_path):
    pytest.importorskip("distributed")
    script = tmp_path / "script.py"
    folder = tmp_path / "log"
    folder.mkdir()
    tests = os.path.dirname(os.path.dirname(__file__))
    script.write_text(DASK.format(tests=tests, folder=str(folder), seconds=seconds))
    command = [sys.executable, str(script)]
    code, told, left = interrupt(command, b"Sampling", to_group, wait=1.5)
    assert code == 130, told
    assert told.splitlines() == ["Sampling", "nengo-permadrop: interrupted"]
    assert not left
    assert list(folder.glob("chunk*")), "no worker was at work"


class _Destroyed:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def _ignore():
    thing = _Destroyed()
    del thing  # Python tells sys.unraisablehook of it, and goes on
    time.sleep(10)


def _translate():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise SystemError("returned a result with an exception set") from None


def _catch():
    with contextlib.suppress(BaseException):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("lose", [_ignore, _translate, _catch])
def test_is_not_lost(lose):
    handler, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), insistent():
        lose()
    assert signal.getsignal(signal.SIGINT) is handler
    assert sys.unraisablehook is hook


def test_other_errors_are_raised_as_they_are():
    with pytest.raises(RuntimeError, match="no interrupt"), insistent():
        raise RuntimeError("no interrupt")


def test_where_it_is_ignored_it_stays_so():
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with insistent():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, handler)


def test_in_another_thread():
    """Threads end in any order, and the hook is the process's."""
    hook, both = sys.unraisablehook, threading.Barrier(2)
    first = threading.Event()

    def in_context(value):
        assert value == 1 or first.wait(timeout=60)
        with insistent():
            first.set()
            both.wait(timeout=60)  # both are in it
            if value == 2:
                time.sleep(0.1)
            return value

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(in_context, [1, 2])) == [1, 2]
    assert sys.unraisablehook is hook
