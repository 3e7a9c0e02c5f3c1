"""The benchmark: one network, its draws by several simulators."""

from nengo_permadrop.bench.network import BenchNetwork
from nengo_permadrop.bench.peers import installed_peers
from nengo_permadrop.bench.run import growth, run_benchmark

__all__ = ["BenchNetwork", "growth", "installed_peers", "run_benchmark"]
