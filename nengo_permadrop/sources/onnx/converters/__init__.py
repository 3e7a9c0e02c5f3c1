"""What each of ONNX's operators is in the neutral graph, by topic."""
