"""``python -m kernels``."""

import sys

from sparring.errors import absent

if __name__ == "__main__":
    try:
        from kernels.commands.cli import main
    except ImportError as error:
        if (told := absent(error)) is None:
            raise
        sys.exit(f"error: {told}")
    main()
