"""``python -m experiments.equality``."""

from experiments.start import start

if __name__ == "__main__":
    start("experiments.equality.command", "main")
