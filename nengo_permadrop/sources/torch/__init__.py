"""
PyTorch: the layers to train with, and modules as a source.

`layers` imports torch; nothing else that is imported with the package does.
"""
