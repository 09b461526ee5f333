"""The error that a user of the library is meant to read."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable

#: Modules that every installation brings.
_OWN = frozenset({"click", "mpi4py", "numpy", "platformdirs", "pooch", "psutil", "rich", "torch"})
#: Modules of the optional packages that commands import, and the extra that brings each.
_EXTRAS = dict.fromkeys(("capstone", "osaca", "pydantic", "scipy", "simpy"), "models")


class SparringError(Exception):
    """Bad input, told in one sentence that names the culprit and what was expected."""


def sentence(error: BaseException) -> str:
    """What an error says, in one line; its kind if it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def diverged(found: str) -> SparringError:
    """The error of training that led to numbers which are none, and what may help."""
    return SparringError(
        f"training diverged: {found}; a smaller learning rate or step size may help"
    )


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a message on an unknown name: the nearest of those known, or nothing."""
    from difflib import get_close_matches

    near = get_close_matches(str(name).lower(), known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def absent(error: ImportError) -> str | None:
    """What to do about a package that is not there, or a Python that is too old; else None."""
    name = error.name or ""
    if name in _EXTRAS:
        return f"{name} is not installed: pip install 'sparring[{_EXTRAS[name]}]'"
    if sys.version_info < (3, 11):  # noqa: UP036  (whoever starts an old one is told)
        told = f"this is Python {platform.python_version()}, and Sparring needs 3.11 or newer"
    elif name in _OWN:
        told = f"{name} is not installed for {sys.executable}"
        if sys.prefix != sys.base_prefix:  # a virtual environment, ours perhaps
            return f"{told}; expected it there: {sys.executable} -m pip install {name}"
    else:
        return None
    return f"{told}; expected .venv/bin/python, which `make setup` makes"
