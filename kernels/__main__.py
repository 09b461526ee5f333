"""``python -m kernels``."""

import sys

#: Modules of the optional packages that the commands import.
EXTRA = frozenset({"capstone", "osaca", "pydantic", "scipy", "simpy"})

if __name__ == "__main__":
    try:
        from kernels.commands.cli import main
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        sys.exit(f"error: {error.name} is not installed: pip install 'sparring[models]'")
    main()
