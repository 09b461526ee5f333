"""``python -m sparring``."""

from sparring.commands.cli import main

if __name__ == "__main__":
    main()
