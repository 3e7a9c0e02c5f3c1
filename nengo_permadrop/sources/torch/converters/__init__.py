"""What each of PyTorch's operators is in the neutral graph, by topic."""
