"""The one error that users see: a sentence that names file, key and expectation."""

from __future__ import annotations

import sys
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

#: Modules that every installation brings.
_OWN = frozenset({"click", "filelock", "mpi4py", "numpy", "psutil", "rich"})


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


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a message on an unknown name: the nearest of those known, or nothing."""
    from difflib import get_close_matches

    near = get_close_matches(str(name), list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def absent(error: ImportError, modules: Collection[str], extra: str) -> str | None:
    """What to do about a package that is not there, or a Python that is too old; else None.

    Args:
        error: what the import raised.
        modules: those that an extra brings.
        extra: its name.
    """
    if error.name in modules:
        return f"{error.name} is not installed: pip install 'sparring[{extra}]'"
    if sys.version_info < (3, 11):  # noqa: UP036  (whoever starts an old one is told)
        import platform  # nobody else waits for it

        told = f"this is Python {platform.python_version()}, and Sparring needs 3.11 or newer"
    elif error.name in _OWN:
        told = f"{error.name} is not installed for {sys.executable}"
        if sys.prefix != sys.base_prefix:  # a virtual environment, ours perhaps
            return f"{told}; expected it there: {sys.executable} -m pip install {error.name}"
    else:
        return None
    return f"{told}; expected .venv/bin/python, which `make setup` makes"
