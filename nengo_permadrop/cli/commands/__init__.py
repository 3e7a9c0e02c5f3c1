"""
The commands, one file each.

A command is a module with a function ``add`` that describes its arguments and one,
``run``, that does it; it is named in `nengo_permadrop.cli`.
"""
