"""
Kill a run at random moments, let it go on each time, and compare what it writes.

A command that takes a checkpoint is run once undisturbed, and then again and again with
the same arguments in another folder: each time but the last it is killed (SIGKILL) at a
random moment, until it has been killed as often as asked. Its output must be that of
the undisturbed run, byte by byte.

By default the command samples a small network::

    python benchmarks/kill_and_resume.py --kills 20

Any other is given behind ``--``, with ``{checkpoint}`` and ``{output}`` in it for the
folder of the checkpoint and the file or folder that it writes::

    python benchmarks/kill_and_resume.py -- nengo-permadrop infer ... \
        --checkpoint {checkpoint} -o {output}
"""

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SAMPLE = """
import sys
import nengo
import numpy as np
import nengo_permadrop as npd
from nengo_permadrop.backends import get_backend

get_backend("batched").chunk_size = lambda *args: 20
rng = np.random.RandomState(0)
with nengo.Network(seed=0) as net:
    node = nengo.Node(np.zeros(3))
    a = nengo.Ensemble(100, 3)
    b = nengo.Ensemble(100, 1)
    out = nengo.Node(size_in=1)
    nengo.Connection(node, a, synapse=None)
    for pre, post, shape in ((a, b.neurons, (100, 100)), (b, out, (1, 100))):
        transform = npd.PermanentDropout(shape, init=rng.randn(*shape) / 500, rate=0.2)
        nengo.Connection(pre.neurons, post, transform=transform)
samples = npd.sample(
    net,
    {node: rng.randn(20, 3)},
    n_draws=60,
    output=out,
    presentation_time=0.2,
    checkpoint=sys.argv[1],
    progress=False,
)
samples.values.tofile(sys.argv[2])
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("command", nargs="*", help="behind --")
    args = parser.parse_args()
    command = args.command or [
        sys.executable,
        "-c",
        SAMPLE,
        "{checkpoint}",
        "{output}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(compare(command, args.kills, random.Random(args.seed), Path(folder)))


def compare(command, kills, rng, folder):
    """0 if no output differs, 1 otherwise."""
    start = time.monotonic()
    whole = filled(command, folder / "whole", folder / "expected")
    subprocess.run(whole, check=True)
    seconds = time.monotonic() - start
    expected = digests(folder / "expected")
    print(f"undisturbed: {seconds:.1f} s, {len(expected)} file(s)")

    killed = runs = different = 0
    while killed < kills:
        runs += 1
        checkpoint, output = folder / f"run{runs}", folder / f"output{runs}"
        moments = []
        while True:
            moment = rng.uniform(0, seconds) if killed < kills else None
            if kill_at(moment, filled(command, checkpoint, output)):
                killed += 1
                moments.append(moment)
            else:
                break
        same = digests(output) == expected
        different += not same
        words = ", ".join(f"{moment:.2f}" for moment in moments) or "never"
        print(
            f"run {runs}: killed after {words} s; {'same' if same else 'DIFFERENT'}",
            flush=True,
        )
    print(f"{killed} kills in {runs} runs; {different} runs differ")
    return int(different > 0)


def filled(command, checkpoint, output):
    """The command for these places."""
    places = {"{checkpoint}": str(checkpoint), "{output}": str(output)}
    words = []
    for word in command:
        for name, place in places.items():
            word = word.replace(name, place)
        words.append(word)
    return words


def kill_at(seconds, command):
    """Run a command; whether it was killed, before it ended on its own."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        code = process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        code = process.wait()
    if code not in (0, -signal.SIGKILL):
        sys.exit(f"the command failed with code {code}: {command}")
    return code != 0


def digests(path):
    """SHA-256 by name, of a file or of all files in a folder."""
    paths = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in paths
        if file.is_file()
    }


if __name__ == "__main__":
    main()
