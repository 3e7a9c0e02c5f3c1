"""Commands say what they find, and nothing else."""

import os
import subprocess
import sys


def said(*argv, folder):
    """Standard output and standard error of a command in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    done = subprocess.run(
        [sys.executable, "-m", "nengo_permadrop", *argv],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr


def test_backends(tmp_path):
    out, err = said("backends", folder=tmp_path)
    assert err == "" and "batched" in out


def test_convert(tmp_path):
    from kmodels import mlp

    mlp().save(tmp_path / "m.h5")
    out, err = said("convert", "m.h5", folder=tmp_path)
    assert err == "" and "neurons" in out
