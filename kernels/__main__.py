"""``python -m kernels``."""

from kernels.commands.cli import main

if __name__ == "__main__":
    main()
