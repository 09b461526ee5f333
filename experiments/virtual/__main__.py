"""``python -m experiments.virtual``."""

import sys

from sparring.errors import absent

if __name__ == "__main__":
    try:
        from experiments.virtual.command import run
    except ImportError as error:
        if (told := absent(error)) is None:
            raise
        sys.exit(f"error: {told}")
    sys.exit(run())
