"""``python -m experiments.simulation``."""

from experiments.start import start

if __name__ == "__main__":
    start("experiments.simulation.command")
