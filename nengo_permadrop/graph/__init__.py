"""
The neutral model: values, affine maps, activations, dropouts, and what can go wrong.

A source (`nengo_permadrop.sources`) reads a model into these objects, and the converter
makes Nengo objects of them; nothing here knows where a model came from or where it is
going. New kinds of calls, or of randomness, are added here first, then to the sources
that read them and to `nengo_permadrop.converter`, which builds them.
"""
