"""``python -m experiments.simulation``."""

import sys

from sparring.errors import absent

if __name__ == "__main__":
    try:
        from experiments.simulation.command import run
    except ImportError as error:
        if (told := absent(error)) is None:
            raise
        sys.exit(f"error: {told}")
    sys.exit(run())
