"""
PyTorch modules and exported programs as a source.

`exporting` has torch write down what a module computes, by ``torch.export``; `program`
is that as plain data, `pt2` the same of a file, and `convert` makes the neutral graph
of it, operator by operator, as `converters` say. `forward` is PyTorch's own answer.

`layers` are what users train with, and `rate_curves` what they compute; these import
torch, and nothing that is imported with the package does.
"""
