"""
What a model answers in other processes.

Run as a module, this is such a process: it opens the model that its arguments name, and
writes its answers.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from nengo_permadrop.support.plain import to_json

_NAME = "nengo_permadrop.sampling.audit.elsewhere"


def answers_elsewhere(path, X, asked, n_draws, trust, n_processes=2, timeout=300):
    """
    The first draws of a model in some new processes.

    Parameters
    ----------
    path : str or path-like
        The model's file.
    X : array, list of arrays or dict
    asked : str
        How rows are asked for, one of ``asking.WAYS``.
    n_draws : int
    trust : bool
    n_processes : int, optional
        They run at the same time.
    timeout : float, optional
        Seconds.

    Returns
    -------
    answers : list of (n_draws, n_rows, n_outputs) ndarray
        One a process.

    Raises
    ------
    RuntimeError
        If a process fails; it says why.
    """
    with tempfile.TemporaryDirectory(prefix="nengo_permadrop_audit_") as folder:
        _write(Path(folder, "X.npz"), X)
        command = [sys.executable, "-m", _NAME, os.path.abspath(path), folder, asked]
        command += [str(n_draws), "trust" if trust else "plain"]
        # the package may be found by a path that only this process has
        paths = os.pathsep.join(each for each in sys.path if each)
        env = {**os.environ, "PYTHONPATH": paths}
        running = [
            subprocess.Popen(
                [*command, f"answers{number}.npy"],
                env=env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(n_processes)
        ]
        try:
            said = [process.communicate(timeout=timeout)[1] for process in running]
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"it took more than {timeout:g} s") from error
        finally:
            for process in running:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        for process, text in zip(running, said):
            if process.returncode:
                last = text.strip().splitlines()[-1:] or [f"code {process.returncode}"]
                raise RuntimeError(last[0])
        return [
            np.load(Path(folder, f"answers{number}.npy"))
            for number in range(n_processes)
        ]


def _write(path, X):
    """Arrays, and the container that they are in."""
    if isinstance(X, dict):
        names, arrays, kind = list(X), list(X.values()), "dict"
    else:
        kind = "list" if isinstance(X, (list, tuple)) else "array"
        arrays = list(X) if kind == "list" else [X]
        names = []
    kept = {f"x{number}": x for number, x in enumerate(arrays)}
    np.savez(path, said=np.array(to_json({"kind": kind, "names": names})), **kept)


def _read(path):
    import json

    with np.load(path) as kept:
        said = json.loads(str(kept["said"]))
        arrays = [kept[f"x{number}"] for number in range(len(kept.files) - 1)]
    if said["kind"] == "dict":
        return dict(zip(said["names"], arrays))
    return arrays if said["kind"] == "list" else arrays[0]


def main(arguments):
    """Answer, in a process of its own."""
    from nengo_permadrop.sampling.audit.asking import draws_of
    from nengo_permadrop.sampling.audit.opening import subject_of

    path, folder, asked, n_draws, trust, name = arguments
    session = subject_of(path, trust == "trust").session()
    draws = draws_of(session, _read(Path(folder, "X.npz")), asked, int(n_draws))
    np.save(Path(folder, name), draws)


if __name__ == "__main__":
    main(sys.argv[1:])
