"""``python -m experiments.protocol``."""

from experiments.start import start

if __name__ == "__main__":
    start("experiments.protocol.cli", "main")
