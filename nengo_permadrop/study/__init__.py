"""
The study: train, convert, draw from both networks, compare, and report.

`study` runs it, `result` holds what was found, `report` writes it, with the template in
`templates`. A new section of the report is a function in `report` and a block in the
template.
"""

from nengo_permadrop.study.result import Study
from nengo_permadrop.study.run import study

__all__ = ["Study", "study"]
