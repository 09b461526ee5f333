"""``python -m experiments.virtual``."""

import sys

from experiments.virtual.command import run

if __name__ == "__main__":
    sys.exit(run())
