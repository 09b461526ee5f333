"""``python -m experiments.validation``."""

from experiments.start import start

if __name__ == "__main__":
    start("experiments.validation.command", "main")
