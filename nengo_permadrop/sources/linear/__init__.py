"""
Matrices of linear layers, whatever library a model was written in.

Convolutions, windows, broadcasting and reductions, as sparse matrices between values
that are flattened in C order.
"""
