"""
Let two processes write one table, kill them at random moments, and read what is there.

In each trial two processes write the same file again and again, by
`.support.files.atomic_stream` or `atomic_path`, until both have been killed
(SIGKILL). Whenever the file is read, meanwhile or afterwards, it must be whole: one of
the tables that were written, to the last byte. After the last trial the table is
written once more, and nothing else may be left in the folder::

    python benchmarks/two_writers.py --trials 200
"""

import argparse
import contextlib
import hashlib
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from nengo_permadrop.support.files import atomic_path, atomic_stream

LONGEST_TRIAL = 0.05  # seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(run(args.trials, random.Random(args.seed), Path(folder)))


def run(n_trials, rng, folder):
    """0 if the table was always whole and nothing is left, 1 otherwise."""
    path = folder / "table.tsv"
    reads = damaged = refused = 0
    for _ in range(n_trials):
        writers = [start(path, rng.getrandbits(32)) for writer in "ab"]
        ends = sorted(rng.uniform(0, LONGEST_TRIAL) for writer in writers)
        begin = time.monotonic()
        for end, writer in zip(ends, writers):
            while time.monotonic() < begin + end:
                reads += 1
                damaged += not is_whole(path)
            os.kill(writer.pid, signal.SIGKILL)
        for writer in writers:
            writer.join()
            refused += writer.exitcode != -signal.SIGKILL
        damaged += not is_whole(path)
    left = len(os.listdir(folder)) - path.exists()
    with atomic_stream(path) as stream:
        stream.write(table(0, 3))
    found = sorted(os.listdir(folder))
    print(
        f"{n_trials} trials, {2 * n_trials} kills, {reads} reads meanwhile: {damaged} "
        f"damaged, {refused} writers ended otherwise; {left} files left by the killed, "
        f"{len(found) - 1} after the next run"
    )
    return int(damaged > 0 or refused > 0 or found != [path.name])


def start(path, seed):
    """A process that writes the table until it is killed."""
    process = multiprocessing.get_context("fork").Process(
        target=write_forever, args=(path, seed)
    )
    process.start()
    return process


def write_forever(path, seed):
    rng = random.Random(seed)
    for number in range(10**9):
        text = table(seed + number, rng.randrange(1, 400))
        if rng.random() < 0.2:
            with atomic_path(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
            continue
        with contextlib.suppress(FileExistsError), atomic_stream(path) as stream:
            middle = len(text) // 2
            stream.write(text[:middle])
            stream.flush()
            time.sleep(rng.uniform(0, 0.002))
            stream.write(text[middle:])


def table(seed, n_rows):
    """A table whose last line is a checksum of those before."""
    rows = "".join(f"{seed}\t{row}\n" for row in range(n_rows))
    return f"{rows}{hashlib.sha256(rows.encode()).hexdigest()}\n"


def is_whole(path):
    """Whether the file is whole, or there is none."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return True
    rows, checksum = text[:-65], text[-65:]
    return hashlib.sha256(rows).hexdigest().encode() + b"\n" == checksum


if __name__ == "__main__":
    main()
