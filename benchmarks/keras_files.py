"""
Are model files read right, whichever Keras has written them?

Each Python that is named, with Keras and NumPy in it, writes thirteen models (those of
the tests) in all the ways that its Keras has, and its own answers for some rows, with
all dropout off and with masks of its own. Here they are read without Keras and compared
by the forward pass of the network that was read, by the rate network that it converts
to, and by the draws of its spiking twin, which must be the same for each file of one
model. If an answer is off by more than 1e-5 of the largest, or a draw differs, the exit
status is 1.

    python benchmarks/keras_files.py --python ENV/bin/python OTHER/bin/python

This Python needs no Keras; the others need what this package needs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import nengo_permadrop as npd
from nengo_permadrop.sources.registry import get_source

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 1e-5

WRITE = """
import pathlib, sys
import numpy as np
from file_models import MODELS, keras, made, saved
from nengo_permadrop.sources.keras.forward import KerasForward

folder = pathlib.Path(sys.argv[1])
for name in MODELS:
    (folder / name).mkdir()
    model = made(name)
    files = saved(model, folder / name)
    rng = np.random.RandomState(1)
    X = [rng.normal(size=(50, *each.shape[1:])) for each in model.inputs]
    forward = KerasForward(model, single=True)
    masks = [rng.rand(50, units) >= rate for _, units, rate in forward.dropouts]
    arrays = {f"x{i}": x for i, x in enumerate(X)}
    arrays |= {f"m{i}": mask for i, mask in enumerate(masks)}
    arrays |= {f"off{i}": y for i, y in enumerate(forward(X))}
    arrays |= {f"on{i}": y for i, y in enumerate(forward(X, masks))}
    np.savez(folder / name / "answers.npz", **arrays)
    lines = [f"{a.name} {b.name if b else ''}" for a, b in files]
    (folder / name / "files.txt").write_text("\\n".join(lines))
print(keras.__version__)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--python", nargs="+", required=True, metavar="FILE")
    parser.add_argument("--draws", type=int, default=3)
    args = parser.parse_args()
    wrong = 0
    print(
        f"{'Keras':8}{'model':26}{'files':>6}{'off':>9}{'masks':>9}{'rates':>9}  draws"
    )
    for python in args.python:
        with tempfile.TemporaryDirectory() as folder:
            version = written(python, Path(folder))
            for model in sorted(path for path in Path(folder).iterdir()):
                row = compared(model, args.draws)
                n_files, worst, same = row
                wrong += not (max(worst) <= TOLERANCE and same)
                print(
                    f"{version:8}{model.name:26}{n_files:6}",
                    *(f"{error:8.1e}" for error in worst),
                    " the same" if same else " DIFFERENT",
                    flush=True,
                )
    assert "keras" not in sys.modules and "h5py" not in sys.modules
    return int(wrong > 0)


def written(python, folder):
    """Have a Python write all models; the version of its Keras."""
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    done = subprocess.run(
        [python, "-W", "ignore", "-c", WRITE, str(folder)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{python} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout.split()[-1]


def compared(folder, n_draws):
    """Number of files, largest relative errors of each kind, whether draws agree."""
    with np.load(folder / "answers.npz") as arrays:
        answers = dict(arrays)
    X, masks = ([answers[k] for k in answers if k[0] == kind] for kind in "xm")
    source, worst, drawn = get_source("keras"), np.zeros(3), []
    files = (folder / "files.txt").read_text().splitlines()
    for line in files:
        name, _, weights = line.partition(" ")
        file = source.load(folder / name, weights=folder / weights if weights else None)
        forward = source.forward(file)
        for place, (key, given) in enumerate((("off", None), ("on", masks))):
            for number, found in enumerate(forward(X, given)):
                worst[place] = max(
                    worst[place], relative(found, answers[f"{key}{number}"])
                )
        conv = npd.Converter(file, seed=0)
        worst[2] = max(worst[2], conv.verify(X, tolerance=1.0))
        samples = npd.sample(conv, [x[:2] for x in X], n_draws=n_draws, progress=False)
        drawn.append(samples.values)
    return len(files), worst, all(np.array_equal(each, drawn[0]) for each in drawn)


def relative(found, expected):
    """The largest difference, relative to the largest answer or 1."""
    return np.abs(found - expected).max() / max(1.0, np.abs(expected).max())


if __name__ == "__main__":
    sys.exit(main())
