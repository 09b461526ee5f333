"""The one error that users see: a sentence that names file, key and expectation."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """Bad input or an absent prerequisite, told in one sentence and without a traceback.

    The command line prints the message on stderr and ends with ``exit_code``.
    """

    exit_code = 2


class InputError(UserError):
    """A fault in a file that the user wrote.

    Args:
        file: the file that holds the fault.
        message: one sentence that names the key and says what was expected.
        line: 1-based line of the fault, if it is known.
    """

    def __init__(self, file: Path | str, message: str, line: int | None = None) -> None:
        self.file, self.line = Path(file), line
        place = f"{file}:{line}" if line else f"{file}"
        super().__init__(f"{place}: {message}")
