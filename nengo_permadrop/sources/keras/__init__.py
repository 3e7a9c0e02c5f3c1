"""
Keras models: our layers, files, the reader, the table of layers, and the forward pass.

A new Keras layer is a function in `convert`, registered under the layer's class name.
"""
