"""``python -m sparring``."""

import sys

from sparring.errors import absent

if __name__ == "__main__":
    try:
        from sparring.commands.cli import main
    except ImportError as error:
        if (told := absent(error)) is None:
            raise
        sys.exit(f"error: {told}")
    main()
