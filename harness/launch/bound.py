"""What starts each rank of a command: bind it to its cores, then become the program.

``python -m harness.launch.bound FOLDER PROGRAM ARGUMENTS ...``; nobody types it.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from harness import current_folder

    current_folder.leave()

import os

from harness.launch.binding import bind


def main(folder: str, argv: list[str]) -> None:
    """Become the program; it does not return."""
    bind()
    os.chdir(folder)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.exit(f"{argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
