"""``python -m experiments.simulation``."""

import sys

from experiments.simulation.command import run

if __name__ == "__main__":
    sys.exit(run())
