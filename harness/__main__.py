"""``python -m harness``, and the command ``sparring-harness``."""


def main() -> None:
    """Run the command line; imports stand inside, as their order matters."""
    from harness import current_folder

    current_folder.leave()

    import signal
    import sys

    # Nothing has begun yet: Ctrl-C ends us without a word, also inside of what is imported.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    from harness.streams import open_streams

    open_streams()  # before anything opens a file

    from harness.errors import absent

    try:
        from harness.cli import main as command_line
    except ImportError as error:
        if (told := absent(error, (), "")) is None:
            raise
        sys.exit(f"error: {told}")

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command_line()


if __name__ == "__main__":
    main()
