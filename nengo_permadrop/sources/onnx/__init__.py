"""
ONNX models and files as a source.

`model` reads a model, and `external` the data beside a file, as plain data; `patterns`
finds the activations that exporters write in several nodes, `noise` dropout that they
write as random numbers, and `convert` makes the neutral graph, node by node, as
`converters` say. `forward` is the answer of onnx's reference evaluator.
"""
