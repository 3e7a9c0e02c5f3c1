"""
PyTorch: the layers to train with, and modules as a source.

`layers` are what users train with, `rate_curves` what they compute; these import torch,
and nothing that is imported with the package does.
"""
