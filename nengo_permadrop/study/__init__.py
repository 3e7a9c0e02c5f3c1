"""
The study: train, convert, draw from both networks, compare, and report.

`run` does it, `result` holds what was found, `report` writes it, with the template in
`templates`. A new section of the report is a function in `report` and a block in the
template. `prediction` predicts rows without targets.

The package can be called: ``npd.study(model, X, y)`` is `.study.study`.
"""

import inspect
import sys
import types

from nengo_permadrop.study.result import Study
from nengo_permadrop.study.run import study

__all__ = ["Study", "study"]


class _Callable(types.ModuleType):
    """A module that is called as the function that it is named after."""

    __signature__ = inspect.signature(study)

    def __call__(self, *args, **kwargs):
        return study(*args, **kwargs)


# modules may have another class, see "Customizing module attribute access" in Python's
# reference
sys.modules[__name__].__class__ = _Callable
