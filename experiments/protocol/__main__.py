"""``python -m experiments.protocol``."""

from experiments.protocol.cli import main

if __name__ == "__main__":
    main()
