"""``python -m experiments.simulated``."""

from experiments.start import start

if __name__ == "__main__":
    start("experiments.simulated.command")
