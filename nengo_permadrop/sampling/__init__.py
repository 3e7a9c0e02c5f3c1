"""
`sample` and what builds on it: single runs, and the search for their window.

A new way of drawing is a module here that `sampler` calls.
"""
