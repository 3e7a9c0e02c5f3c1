"""ONNX models and files as a source."""
