"""
What every room may use: files, digests, checks of arguments, optional packages.

Nothing here imports from another room.
"""
