"""The benchmark: one network, its draws by several simulators."""

from nengo_permadrop.bench.network import BenchNetwork
from nengo_permadrop.bench.run import growth, run_benchmark

__all__ = ["BenchNetwork", "growth", "run_benchmark"]
