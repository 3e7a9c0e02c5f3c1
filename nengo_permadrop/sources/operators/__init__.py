"""
What the sources have in common: operators written into the neutral graph.

Grids and arithmetic are every source's. What takes values with their axis of rows, as
PyTorch and ONNX do, with the channels before the grid, is `.operators.rows` and those
beside it.
"""
