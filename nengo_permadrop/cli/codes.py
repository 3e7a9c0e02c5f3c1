"""Exit codes of the command; wrong arguments exit with 2, as argparse does."""

SUCCESS = 0
ERROR = 1
DISAGREE = 3
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
