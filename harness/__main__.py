"""``python -m harness``."""

from harness.streams import open_streams

if __name__ == "__main__":
    open_streams()  # before anything opens a file
    from harness.cli import main

    main()
