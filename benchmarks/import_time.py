"""
How much longer ``import nengo_permadrop`` takes than ``import nengo``.

Each import is timed in a fresh process, the two in turn, so that both see the same
machine; after one unmeasured round, which fills the caches of the disk. Run it with the
package installed, in the folder of your choice::

    python benchmarks/import_time.py --repeats 15
"""

import argparse
import statistics
import subprocess
import sys

MODULES = ("nengo", "nengo_permadrop")
TIMED_IMPORT = (
    "import time; start = time.perf_counter(); import {}; "
    "print(time.perf_counter() - start)"
)


def seconds(module):
    """Seconds that an import takes in a fresh process."""
    command = [sys.executable, "-c", TIMED_IMPORT.format(module)]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="rounds to measure")
    repeats = parser.parse_args().repeats
    rounds = [[seconds(module) for module in MODULES] for _ in range(repeats + 1)][1:]
    medians = [statistics.median(times) for times in zip(*rounds)]
    for module, median in zip(MODULES, medians):
        print(f"{module}: {median:.3f} s")
    extra = statistics.median(b - a for a, b in rounds)
    print(f"difference: {extra:.3f} s (median of {repeats} pairs)")


if __name__ == "__main__":
    main()
