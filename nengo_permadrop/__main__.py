"""``python -m nengo_permadrop`` is the command ``nengo-permadrop``."""

import sys

from nengo_permadrop.cli import main

if __name__ == "__main__":
    sys.exit(main())
