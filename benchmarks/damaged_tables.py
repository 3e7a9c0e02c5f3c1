"""
Damage files at random, and see that each is an error in one line or read rightly.

Of each kind of file (samples, a checkpoint's manifest and parts, feature scaling, the
state of a training, CANDLE's tables) one is written, and then again and again a copy
with flipped bytes, cut off, or with a piece missing. Reading it must end

- in an error that the command line shows as one line with the name of the file, or, for
  a part of a checkpoint, in a warning, and it is computed again;
- or in the right answer: for files of this package that of the whole file; for CANDLE's
  tables, in which a changed digit can't be seen, what a plain reading of the damaged
  text by Python's csv module gives;

within 10 s and 500 MB::

    python benchmarks/damaged_tables.py --trials 500
"""

import argparse
import csv
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from nengo_permadrop.cli.errors import one_line
from nengo_permadrop.combo.data import files
from nengo_permadrop.combo.data.generator import generate_files
from nengo_permadrop.combo.data.reading import MISSING, read_features
from nengo_permadrop.combo.data.scaling import FeatureScaling
from nengo_permadrop.combo.saved import TrainingFiles
from nengo_permadrop.execution.checkpoint import Checkpoint
from nengo_permadrop.samples.loading import load_samples
from nengo_permadrop.samples.samples import PredictiveSamples
from nengo_permadrop.support.errors import DamagedFileError

SECONDS = 10
MEMORY = 500 * 2**20
SIZES = dict(n_cells=6, n_drugs=5, n_genes=9, n_descriptors=11, measured=0.9)
SIZES |= dict(n_set_samples=4, n_set_drugs=4, n_doses=2, n_replicates=2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--trials", type=int, default=500, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    args = parser.parse_args()
    failures = 0
    for name in args.kinds:
        with tempfile.TemporaryDirectory() as folder:
            rng = random.Random(f"{args.seed} {name}")
            failures += run(name, args.trials, rng, Path(folder))
    sys.exit(failures > 0)


def run(name, n_trials, rng, folder):
    """Number of damaged files of a kind that were not read as they should."""
    path, read, plain = KINDS[name](folder)
    whole = path.read_bytes()
    answer = read()
    if plain is not None and not same(answer, plain()):
        raise AssertionError(f"{name}: the whole file isn't read rightly")
    limit_memory()
    counts = {"refused": 0, "right": 0, "WRONG": 0}
    slowest = 0
    for trial in range(n_trials):
        damaged, words = damage(whole, rng)
        path.write_bytes(damaged)
        start = time.monotonic()
        outcome, detail = tried(path, read, plain, answer)
        slowest = max(slowest, time.monotonic() - start)
        counts[outcome] += 1
        if outcome == "WRONG":
            print(f"{name}, trial {trial} ({words}): {detail}")
    path.write_bytes(whole)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        f"{name}: {len(whole)} bytes, {n_trials} damaged: "
        + ", ".join(f"{n} {outcome}" for outcome, n in counts.items())
        + f"; {1000 * slowest:.0f} ms at most, {peak:.0f} MB in all",
        flush=True,
    )
    return counts["WRONG"]


def tried(path, read, plain, answer):
    """What became of reading a file: (outcome, details)."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = read()
        signal.alarm(0)
        if found is None:
            return "refused", ""
        if same(found, answer if plain is None else plain()):
            return "right", ""
        return "WRONG", "another answer than the file has"
    except Exception as error:
        line = one_line(error)
        clear = isinstance(error, DamagedFileError) and str(path.parent) in line
        if not clear or "\n" in line or len(line) > 1000:
            return "WRONG", line
        return "refused", line
    finally:
        signal.alarm(0)


def damage(content, rng):
    """A damaged copy, and what was done to it."""
    way = rng.choice(["flip", "flip", "flip", "flip few", "cut", "cut", "gap", "zeros"])
    damaged = bytearray(content)
    place = rng.randrange(len(content))
    if way.startswith("flip"):
        for _ in range(1 if way == "flip" else rng.randrange(2, 9)):
            place = rng.randrange(len(content))
            damaged[place] ^= rng.choice([1 << rng.randrange(8), rng.randrange(1, 256)])
    elif way == "cut":
        del damaged[place:]
    elif way == "gap":
        del damaged[place : place + rng.randrange(1, 100)]
    else:
        n = len(damaged[place : place + 64])
        damaged[place : place + n] = bytes(n)
    return bytes(damaged), f"{way} at {place}"


def same(a, b):
    """Whether two answers are the same, but for how numbers are rounded to float32."""
    if isinstance(a, np.ndarray) and a.dtype.kind == "f":
        return np.shape(a) == np.shape(b) and np.allclose(
            a, b, rtol=2.0**-22, atol=0, equal_nan=True
        )
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b or (a != a and b != b)


def limit_memory():
    """Let no more than `MEMORY` be taken from now on."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmSize"))
        used = int(line.split()[1]) * 2**10
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))


def _too_long(number, frame):
    raise TimeoutError(f"more than {SECONDS} s")


# -- kinds of files: each gives a path, a function that reads it, and one that reads it
# plainly, or None where the answer must be that of the whole file


def samples(folder):
    values = np.random.RandomState(0).randn(20, 7, 2)
    names = [f"row {i}" for i in range(7)]
    written = PredictiveSamples(
        values, observation_names=names, backend="nengo", seed=3, meta={"settle": 0.04}
    )
    path = written.save(folder / "samples")

    def read():
        return {k: v for k, v in vars(load_samples(path)).items()}

    return path, read, None


IDENTITY = {"seed": 3, "model": "a" * 64, "settle": 0.04}


def manifest(folder):
    with Checkpoint(folder / "run", IDENTITY) as checkpoint:
        checkpoint.fixed("chunk_size", lambda: 20)

    def read():
        with Checkpoint(folder / "run", IDENTITY) as checkpoint:
            return checkpoint.fixed("chunk_size", lambda: -1)

    return folder / "run" / "manifest.json", read, None


def part(folder):
    with Checkpoint(folder / "run", IDENTITY) as checkpoint:
        checkpoint.save("0-20", np.random.RandomState(0).randn(20, 3))

    def read():
        with Checkpoint(folder / "run", IDENTITY) as checkpoint:
            return checkpoint.load("0-20")

    return folder / "run" / "parts" / "0-20.part", read, None


def features(folder):
    generate_files(folder, **SIZES)
    cells, drugs = files.read_training_cells(folder), files.read_training_drugs(folder)
    path = folder / "saved.features.npz"
    FeatureScaling.fit(cells, drugs, rnaseq=files.RNASEQ).save(path)

    def read():
        found = FeatureScaling.load(path)
        return [vars(found.cells), vars(found.drugs), found.rnaseq]

    return path, read, None


def state(folder):
    rng = np.random.RandomState(0)
    training = TrainingFiles(folder / "saved")
    record = {"options": {}, "data": "a", "architecture": "b", "history": [{"lr": 0.1}]}
    weights = [rng.randn(9, 4).astype(np.float32), np.zeros(4, np.float32)]
    training.save_state(record, weights, [*weights, np.array(3)])
    return training.state, training.load_state, None


def response(folder, name=files.RESPONSE):
    generate_files(folder, **SIZES)

    def read():
        found = files.read_response(folder)
        columns = [n[c] for n, c in (found.cell, found.drug1, found.drug2)]
        return {
            tuple(map(str, key)): growth for *key, growth in zip(*columns, found.growth)
        }

    return folder / name, read, lambda: plain_response(folder)


def response_cells(folder):
    return response(folder, files.RESPONSE_CELLS)


def expression(folder, name=files.RNASEQ):
    generate_files(folder, **SIZES)

    def read():
        return table_parts(files.read_training_cells(folder))

    def plain():
        ids, columns, values = plain_features(folder / files.RNASEQ, "Sample")
        rows = [i for i, each in enumerate(ids) if each.startswith("NCI60")]
        known = plain_map(folder / files.RNASEQ_CELLS, "NCI60.ID")
        return [[known[ids[i]] for i in rows], columns, values[rows]]

    return folder / name, read, plain


def expression_cells(folder):
    return expression(folder, files.RNASEQ_CELLS)


def descriptors(folder):
    generate_files(folder, **SIZES)
    path = folder / files.TRAINING_DRUGS

    def read():
        return table_parts(read_features(path, "NAME"))

    return path, read, lambda: plain_features(path, "NAME")


KINDS = {
    kind.__name__: kind
    for kind in (samples, manifest, part, features, state, response, response_cells)
    + (expression, expression_cells, descriptors)
}


# -- CANDLE's tables, read as plainly as can be


def table_parts(table):
    return [table.ids.tolist(), table.columns.tolist(), table.values]


def plain_rows(path, separator="\t"):
    with open(path, encoding="utf-8", newline="") as stream:
        names, *rows = csv.reader(stream, delimiter=separator)
    return [dict(zip(names, row, strict=True)) for row in rows]


def plain_number(text):
    return np.nan if text in MISSING else float(text)


def plain_features(path, id_column):
    rows = plain_rows(path)
    ids = [row.pop(id_column) for row in rows]
    values = [[plain_number(text) for text in row.values()] for row in rows]
    return [ids, list(rows[0]), np.array(values)]


def plain_map(path, key):
    return {
        row[key]: row["CELLNAME"].replace(":", ".")
        for row in plain_rows(path)
        if row[key] not in MISSING and row["CELLNAME"] not in MISSING
    }


def plain_response(folder):
    known = plain_map(folder / files.RESPONSE_CELLS, "Name")
    doses = {}
    for row in plain_rows(folder / files.RESPONSE, ","):
        if row["VALID"] != "Y":
            continue
        for name in ("NSC", "CONC"):
            if row[f"{name}2"] in MISSING:
                row[f"{name}2"] = row[f"{name}1"]
        key = known[row["CELLNAME"]], row["NSC1"], row["NSC2"]
        dose = row["CONC1"], row["CONC2"]
        growth = plain_number(row["PERCENTGROWTH"])
        doses.setdefault(key, {}).setdefault(dose, []).append(growth)
    found = {}
    for key, growths in doses.items():
        means = [np.nanmean(g) for g in growths.values() if not np.isnan(g).all()]
        if means:
            found[key] = min(means) / 100
    return found


if __name__ == "__main__":
    main()
