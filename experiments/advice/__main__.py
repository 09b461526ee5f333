"""``python -m experiments.advice``."""

from experiments.start import start

if __name__ == "__main__":
    start("experiments.advice.command")
