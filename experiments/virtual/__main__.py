"""``python -m experiments.virtual``."""

from experiments.start import start

if __name__ == "__main__":
    start("experiments.virtual.command")
