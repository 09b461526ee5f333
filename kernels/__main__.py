"""``python -m kernels``."""

import sys

from sparring.commands.group import told_absent

if __name__ == "__main__":
    try:
        from kernels.commands.cli import main
    except ModuleNotFoundError as error:
        if (told := told_absent(error)) is None:
            raise
        sys.exit(f"error: {told}")
    main()
