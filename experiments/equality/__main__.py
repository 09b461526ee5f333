"""``python -m experiments.equality``."""

from experiments.equality.command import main

if __name__ == "__main__":
    main()
