"""
Where draws are computed: one thin adapter each.

A backend turns a `Problem` (a network or model, and its observations) and some of its
`Replicas` into their answers. A new one is a subclass of `Backend` in a module of its
own, registered in `base` or by an entry point.
"""

from nengo_permadrop.backends.base import (
    Backend,
    Problem,
    Replicas,
    backend_names,
    get_backend,
    register_backend,
)

__all__ = [
    "Backend",
    "Problem",
    "Replicas",
    "backend_names",
    "get_backend",
    "register_backend",
]
