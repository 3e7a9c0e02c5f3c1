"""
What watches a running network: KS probes, live distributions, views for Nengo GUI.

A new view of a running network's draws is a network with a Node, as in `probes`.
"""

from nengo_permadrop.live.probes import KSProbe, LiveDistribution

__all__ = ["KSProbe", "LiveDistribution"]
